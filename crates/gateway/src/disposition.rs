//! The header `Content-Disposition`: whether a browser saves or shows content, and the file name.
use crate::request::encode;

/// Returns the header's value for a name.
///
/// A name with quotes or with characters outside of printable ASCII is given twice: once with `_` in place of each such
/// character, and once percent-encoded.
pub(crate) fn header(is_attachment: bool, name: Option<&str>) -> String {
    let kind = if is_attachment { "attachment" } else { "inline" };
    let Some(name) = name else {
        return kind.to_owned();
    };
    let is_plain = |c: char| c == ' ' || c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%' | '/');
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    match plain == name {
        true => format!("{kind}; filename=\"{plain}\""),
        false => format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{}", encode(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::header;

    #[test]
    fn a_name_outside_ascii_is_given_in_ascii_and_encoded() {
        assert_eq!(header(true, None), "attachment");
        assert_eq!(header(false, Some("a b.pdf")), "inline; filename=\"a b.pdf\"");
        assert_eq!(
            header(true, Some("testтест.pdf")),
            "attachment; filename=\"test____.pdf\"; filename*=UTF-8''test%D1%82%D0%B5%D1%81%D1%82.pdf"
        );
        assert_eq!(
            header(false, Some("a\"; x=\r\n\"b")),
            "inline; filename=\"a_; x=___b\"; filename*=UTF-8''a%22%3B%20x%3D%0D%0A%22b"
        );
    }
}
