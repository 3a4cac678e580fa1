//! The terminal of standard output, and texts that fit its width.

use std::io::{IsTerminal as _, stdout};
use unicode_width::UnicodeWidthStr as _;

/// Width, in columns, of tables that do not go to a terminal.
pub(crate) const USUAL_WIDTH: usize = 80;

/// Size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terminal {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

/// Returns the terminal of standard output; `None` if it is not a terminal, or does not tell its size.
pub(crate) fn terminal() -> Option<Terminal> {
    let stdout = stdout();
    let size = stdout.is_terminal().then(|| rustix::termios::tcgetwinsize(&stdout).ok()).flatten()?;
    let terminal = Terminal { columns: size.ws_col.into(), rows: size.ws_row.into() };
    // Some terminals, such as serial lines, state 0.
    (terminal.columns > 0 && terminal.rows > 0).then_some(terminal)
}

/// Returns the number of columns that a text needs.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Cuts a text in its middle, where `…` then stands, so that it needs at most `most` columns. Both ends of a file name
/// tell files apart, the beginning more often. The text is clean already.
pub(crate) fn middle(text: &str, most: usize) -> String {
    if text.width() <= most {
        return text.to_owned();
    }
    let left = most.saturating_sub(1);
    let ends = text.char_indices().map(|(at, character)| at + character.len_utf8());
    let head = ends.take_while(|end| text[..*end].width() <= left * 3 / 5).last();
    let head = &text[..head.unwrap_or_default()];
    let left = left - head.width();
    let begins = text.char_indices().rev().map(|(at, _)| at);
    let tail = begins.take_while(|begin| text[*begin..].width() <= left).last();
    format!("{head}…{}", &text[tail.unwrap_or(text.len())..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_text_keeps_both_ends() {
        assert_eq!(middle("run.bag", 7), "run.bag");
        assert_eq!(middle("2027-01-01_drive.bag", 12), "2027-0…e.bag");
        assert_eq!(middle("🦆🦆🦆🦆", 6), "🦆…🦆");
        assert_eq!((middle("abc", 1), middle("abc", 0)), ("…".to_owned(), "…".to_owned()));
    }

    proptest! {
        #[test]
        fn every_text_fits(text in any::<String>(), most in 1usize..80) {
            let text = crate::text::clean(&text, 300);
            prop_assert!(width(&middle(&text, most)) <= most);
        }
    }
}
