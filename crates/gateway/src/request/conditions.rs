//! Under which conditions a client wants an answer.

/// An `If-None-Match` header: what the client has already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known(String);

impl Known {
    /// Keeps the values of the headers; none when there are none.
    pub fn read<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let all: Vec<&str> = headers.collect();
        (!all.is_empty()).then(|| Self(all.join(",")))
    }

    /// Whether this tag is among them.
    pub fn has(&self, tag: &str) -> bool {
        let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        self.0.split(',').any(|known| known.trim() == "*" || strong(known) == strong(tag))
    }
}

/// Whether `Cache-Control` headers ask for what is here already, and nothing else.
pub(crate) fn is_only_if_cached<'a>(mut headers: impl Iterator<Item = &'a str>) -> bool {
    let is_it = |directive: &str| directive.trim().eq_ignore_ascii_case("only-if-cached");
    headers.any(|header| header.split(',').any(is_it))
}
