//! Makes text of other peers and servers safe for terminals and logs.

/// Returns at most `most` characters of `text`. Characters that could control a terminal or mislead its reader are
/// replaced by their code point, such as `\u{1b}`. A text that was cut ends with `…`.
pub fn clean(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut left = most;
    for c in text.chars() {
        let mut piece = String::from(c);
        if is_dangerous(c) {
            piece = format!("\\u{{{:x}}}", u32::from(c));
        }
        let length = piece.chars().count();
        if length > left {
            shown.push('…');
            break;
        }
        left -= length;
        shown.push_str(&piece);
    }
    shown
}

/// Returns whether a character is dangerous on a terminal. These are control characters, which begin escape sequences,
/// characters that change the direction of writing, and invisible characters. (Unicode 16: the general categories Cc,
/// Cf, Zl and Zp, as far as they concern text on a terminal.)
pub fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_control_a_terminal_are_escaped() {
        assert_eq!(clean("a\x1b[2Jb", 99), "a\\u{1b}[2Jb");
        assert_eq!(clean("gpj.\u{202e}exe", 99), "gpj.\\u{202e}exe");
        assert_eq!(clean("a\u{9b}1m\r\n\t", 99), "a\\u{9b}1m\\u{d}\\u{a}\\u{9}");
        assert_eq!(clean("Ente 🦆 é", 99), "Ente 🦆 é");
    }
}
