//! Formats text for people. Every text from the network goes through [`clean`] before it reaches a terminal.

use dcache::Time;
use jiff::Timestamp;
use std::fmt::Write as _;
pub(crate) use telemetry::clean;
use telemetry::is_dangerous;

/// Cleans each line of a text as [`clean`] does.
pub(crate) fn clean_lines(text: &str, most: usize) -> String {
    text.lines().map(|line| clean(line, most)).collect::<Vec<_>>().join("\n")
}

/// Returns the JSON text with dangerous characters escaped as `\uXXXX` (RFC 8259, section 7). The document has the same
/// meaning for programs, and is safe to show on a terminal. Outside of strings, JSON contains no dangerous characters
/// except line ends.
pub(crate) fn clean_json(json: String) -> String {
    // Most documents are long and plain, so they are not copied.
    if json.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~')) {
        return json;
    }
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || !is_dangerous(c) {
            shown.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a String does not fail.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    shown
}

/// Returns a duration, rounded down, in the unit that gives two or three digits: `6 days`, `30 h`, `12 min`, `5 s`.
pub(crate) fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Returns a time as RFC 3339 in UTC, for people and programs: `2027-01-01T00:00:00Z`. A time after the year 9999 is
/// `@` and its seconds since 1970.
pub(crate) fn date(time: Time) -> String {
    let timestamp = i64::try_from(time.0).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    timestamp.map_or_else(|| format!("@{time}"), |timestamp| timestamp.to_string())
}

/// Returns when something ends, relative to `now`: `in 5 s`, `over` or `never`.
pub(crate) fn until(end: Option<Time>, now: Time) -> String {
    match end {
        Some(end) if end <= now => "over".to_owned(),
        Some(end) => format!("in {}", duration(end.since(now))),
        None => "never".to_owned(),
    }
}

/// Returns a size in decimal units: 1 kB is 1000 B.
pub(crate) fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    // Counts whole tenths of a unit, so that the size is rounded down only once.
    let mut tenths = bytes / 100;
    let mut unit = 0;
    while tenths >= 10_000 {
        tenths /= 1000;
        unit += 1;
    }
    match tenths {
        0..1000 => format!("{}.{} {}", tenths / 10, tenths % 10, units[unit]),
        _ => format!("{} {}", tenths / 10, units[unit]),
    }
}

/// Returns a number with its noun: `1 record`, `2 records`.
pub(crate) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(clean("abcdef", 6), "abcdef");
        assert_eq!(clean("abcdef", 5), "abcde…");
        assert_eq!(clean("ab\x1b", 5), "ab…");
        assert_eq!(clean_lines("abc\n\x1b\nd", 8), "abc\n\\u{1b}\nd");
    }

    #[test]
    fn json_stays_the_same_document() {
        let text = "a\x1b\u{202e}\u{9b}\u{e0041}\n\"é";
        let clean = clean_json(serde_json::to_string_pretty(&[text]).unwrap());
        assert!(!clean.chars().any(|c| c != '\n' && is_dangerous(c)));
        assert_eq!(serde_json::from_str::<Vec<String>>(&clean).unwrap(), [text]);
        let plain = serde_json::to_string_pretty(&["a\n~"]).unwrap();
        assert_eq!(clean_json(plain.clone()), plain);
    }

    #[test]
    fn times_and_sizes_in_words() {
        assert_eq!(
            [0, 119, 120, 7199, 7200, 172_799, 172_800, 6 * 86_400].map(duration),
            ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 days", "6 days"]
        );
        assert_eq!(until(Some(Time(70)), Time(10)), "in 60 s");
        assert_eq!(until(Some(Time(10)), Time(10)), "over");
        assert_eq!(until(None, Time(10)), "never");
        assert_eq!(
            [0, 999, 1000, 868_400, 99_999, 999_999, 1_000_000, 314_572_800].map(size),
            ["0 B", "999 B", "1.0 kB", "868 kB", "99.9 kB", "999 kB", "1.0 MB", "314 MB"]
        );
        assert_eq!(size(u64::MAX), "18.4 EB");
        assert_eq!((count(1, "record"), count(0, "record")), ("1 record".into(), "0 records".into()));
    }

    proptest! {
        #[test]
        fn every_text_is_cleaned_and_cut(text in any::<String>(), most in 0usize..80) {
            let shown = clean(&text, most);
            prop_assert!(shown.chars().count() <= most + 1);
            prop_assert!(!shown.chars().any(is_dangerous));
        }
    }
}
