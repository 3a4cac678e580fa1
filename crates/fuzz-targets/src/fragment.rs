//! Target: fragments of lines from an IRC channel, in any order.
//!
//! Each line of the input is one fragment. Its first character identifies the sender.

use routing::{Assembler, MAX_LINE_BYTES, MAX_PARTIAL, MAX_WHOLE_BYTES, fragments};
use std::time::Duration;

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    let pieces = |text: &str, sender: &str| -> Vec<String> {
        fragments(&text.repeat(50)).into_iter().map(|piece| format!("{sender}{piece}")).collect()
    };
    let in_order = pieces("duckie ", "a");
    let mixed: Vec<String> = in_order.iter().rev().cloned().chain(pieces("é\n\"}", "b")).collect();
    vec![
        in_order.join("\n").into(),
        mixed.join("\n").into(),
        b"a{\"from\":\"/a\"}\na{\"fragment\":0}".to_vec(),
    ]
}

/// Checks that fragments are assembled within the limits.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    check_whole(text);
    let mut assembler = Assembler::new(Duration::from_secs(10));
    for (time, said) in text.split('\n').enumerate() {
        let mut rest = said.chars();
        let sender = rest.next();
        if let Ok(Some(line)) = assembler.take(Duration::from_secs(time as u64), sender, rest.as_str()) {
            assert!(line.len() <= MAX_LINE_BYTES.max(said.len()));
        }
        assert!(assembler.partial() <= MAX_PARTIAL);
    }
}

/// Checks that a text cut into fragments is assembled again. A text that is too short to be cut, or too long for a
/// line, is not checked.
fn check_whole(text: &str) {
    if text.len() <= MAX_WHOLE_BYTES || text.len() > MAX_LINE_BYTES {
        return;
    }
    let mut assembler = Assembler::new(Duration::ZERO);
    let came: Vec<String> = fragments(text)
        .iter()
        .rev()
        .filter_map(|piece| assembler.take(Duration::ZERO, (), piece).ok()?)
        .collect();
    assert_eq!(came, [text]);
}
