//! Headers that make a request conditional: `If-None-Match` and `Cache-Control: only-if-cached`.

/// The entity tags of `If-None-Match` headers: the versions that the client has already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known(String);

impl Known {
    /// Joins the values of the headers. Returns `None` if there are none.
    pub fn read<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let all: Vec<&str> = headers.collect();
        (!all.is_empty()).then(|| Self(all.join(",")))
    }

    /// Returns whether the headers have this tag. The comparison is weak, as HTTP requires for `If-None-Match`.
    pub fn has(&self, tag: &str) -> bool {
        let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        self.0.split(',').any(|known| known.trim() == "*" || strong(known) == strong(tag))
    }
}

/// Returns whether the `Cache-Control` headers accept only content that is stored on this node.
pub(crate) fn is_only_if_cached<'a>(mut headers: impl Iterator<Item = &'a str>) -> bool {
    let is_it = |directive: &str| directive.trim().eq_ignore_ascii_case("only-if-cached");
    headers.any(|header| header.split(',').any(is_it))
}
