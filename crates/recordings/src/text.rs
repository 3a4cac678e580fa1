//! The first lines of a text log.

use telemetry::clean;

/// Maximum number of lines in a description.
pub const MAX_LINES: usize = 8;
/// Maximum length of such a line, in characters.
pub const MAX_LINE_CHARS: usize = 160;

/// Returns the first lines of a text that begins with these bytes, or none if they are not text in UTF-8. The last
/// character may be incomplete if the file goes on.
pub(crate) fn head(begin: &[u8], goes_on: bool) -> Option<Vec<String>> {
    let text = match std::str::from_utf8(begin) {
        Ok(text) => text,
        Err(error) if goes_on && error.error_len().is_none() => {
            std::str::from_utf8(begin.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    let is_text = !text.is_empty() && text.chars().all(|c| !c.is_control() || is_of_text(c));
    is_text.then(|| text.lines().take(MAX_LINES).map(|line| clean(line, MAX_LINE_CHARS)).collect())
}

/// Returns whether a control character occurs in text logs: white space, backspace, bell, and the begin of a colour.
fn is_of_text(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\x07' | '\x08' | '\x0c' | '\x1b')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_are_shown_without_dangerous_characters() {
        let log = b"one\r\n\x1b[31mtwo\x1b[0m\n\n4\n5\n6\n7\n8\n9\n";
        let lines = head(log, false).unwrap();
        assert_eq!(lines.len(), MAX_LINES);
        assert_eq!(lines[..4], ["one", "\\u{1b}[31mtwo\\u{1b}[0m", "", "4"]);
        let long = head("ä".repeat(500).as_bytes(), false).unwrap();
        assert_eq!(long[0].chars().count(), MAX_LINE_CHARS + 1);
    }

    #[test]
    fn a_character_may_be_incomplete_where_the_window_ends() {
        let cut = &"aä".as_bytes()[..2];
        assert_eq!(head(cut, true), Some(vec!["a".to_owned()]));
        assert_eq!(head(cut, false), None);
    }

    #[test]
    fn binary_content_is_not_text() {
        for bytes in [&b""[..], b"\0", b"ab\0c", b"\xff\xfea", b"a\x01"] {
            assert_eq!(head(bytes, true), None, "{bytes:?}");
        }
    }
}
