//! Checks of a table of faults at compile time. They are plain loops over bytes, because constant evaluation allows no
//! more.

use crate::Fault;

/// Returns whether the codes of a table are sorted and unique.
pub const fn is_sorted_table(table: &[&Fault]) -> bool {
    let mut next = 1;
    while next < table.len() {
        if !is_before(table[next - 1].code.as_bytes(), table[next].code.as_bytes()) {
            return false;
        }
        next += 1;
    }
    true
}

const fn is_before(a: &[u8], b: &[u8]) -> bool {
    let mut next = 0;
    while next < a.len() && next < b.len() {
        if a[next] != b[next] {
            return a[next] < b[next];
        }
        next += 1;
    }
    a.len() < b.len()
}

pub(crate) const fn is_code(code: &[u8]) -> bool {
    let (mut dots, mut next, mut is_start) = (0, 0, true);
    while next < code.len() {
        let byte = code[next];
        let is_separator = byte == b'.' || byte == b'-';
        // A separator stands between two words. The area, which is the part before the dot, is one word.
        let is_misplaced = is_separator && (is_start || (byte == b'-' && dots == 0));
        if is_misplaced || !(is_separator || byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
            return false;
        }
        dots += (byte == b'.') as usize;
        is_start = is_separator;
        next += 1;
    }
    dots == 1 && !is_start
}

pub(crate) const fn is_text(text: &[u8]) -> bool {
    let (mut next, mut is_inside) = (0, false);
    while next < text.len() {
        match text[next] {
            b'{' if !is_inside => is_inside = true,
            b'}' if is_inside && text[next - 1] != b'{' => is_inside = false,
            b'{' | b'}' => return false,
            b'a'..=b'z' | b'_' => {}
            _ if is_inside => return false,
            _ => {}
        }
        next += 1;
    }
    !text.is_empty() && !is_inside
}

/// Returns whether every placeholder of a text is one of these names.
pub(crate) const fn all_are_among(mut text: &[u8], names: &[&str]) -> bool {
    while let Some((name, rest)) = next_placeholder(text) {
        let (mut next, mut is_known) = (0, false);
        while next < names.len() {
            is_known = is_known || is_same(name, names[next].as_bytes());
            next += 1;
        }
        if !is_known {
            return false;
        }
        text = rest;
    }
    true
}

/// Returns whether a text has a placeholder of this name.
pub(crate) const fn has(mut text: &[u8], wanted: &[u8]) -> bool {
    while let Some((name, rest)) = next_placeholder(text) {
        if is_same(name, wanted) {
            return true;
        }
        text = rest;
    }
    false
}

/// Returns the name of the first placeholder, and the text after it.
const fn next_placeholder(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut start = 0;
    while start < text.len() && text[start] != b'{' {
        start += 1;
    }
    if start == text.len() {
        return None;
    }
    let (_, rest) = text.split_at(start + 1);
    let mut end = 0;
    while end + 1 < rest.len() && rest[end] != b'}' {
        end += 1;
    }
    let (name, rest) = rest.split_at(end);
    Some((name, rest.split_at(1).1))
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    !is_before(a, b) && !is_before(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_an_area_and_a_name() {
        for code in ["udp.port-taken", "a.b", "ipfs2.x-1-y"] {
            assert!(is_code(code.as_bytes()), "{code}");
        }
        for code in
            ["", "udp", "udp.", ".x", "udp.-x", "udp.x-", "u-dp.x", "udp.x.y", "udp.X", "udp.x y", "udp.x--y"]
        {
            assert!(!is_code(code.as_bytes()), "{code}");
        }
    }

    #[test]
    fn a_text_is_not_empty_and_its_braces_are_placeholders() {
        for text in ["a", "{a}", "{a_b} is {c}."] {
            assert!(is_text(text.as_bytes()), "{text}");
        }
        for text in ["", "{", "}", "{}", "{{a}}", "{a", "a}", "{a b}", "{a:?}", "{{}"] {
            assert!(!is_text(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_table_is_sorted_and_has_each_code_once() {
        let row = |code| Fault::new(code, "a", "b");
        let [one, two] = [row("a.x"), row("a.xy")];
        assert!(is_sorted_table(&[]) && is_sorted_table(&[&one, &two]));
        assert!(!is_sorted_table(&[&two, &one]) && !is_sorted_table(&[&one, &one]));
    }
}
