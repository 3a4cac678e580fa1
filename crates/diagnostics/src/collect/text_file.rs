//! The text files in which local programs leave values, in the text format of Prometheus. It is the convention of
//! node_exporter's textfile collector.
//!
//! A line is `name{key="value",…} number`, and may have a timestamp at its end, which is ignored. Comments, which begin
//! with `#`, are ignored as well: all values are treated as gauges.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Root;
use crate::metrics::{ALL, CUSTOM, Label, Series, prometheus_name};
use crate::sample::Readings;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of files that are read.
const MAX_FILES: usize = 32;
/// Maximum number of series that are taken from all files together.
pub const MAX_SERIES: usize = 64;
/// End of the names of the files.
const EXTENSION: &str = ".prom";

/// Adds the values of all text files in a folder.
pub(super) fn read(root: &impl Root, folder: &str, readings: &mut Readings) {
    let files = root.names(folder);
    let mut taken = 0;
    let own = own_names();
    for file in files.iter().filter(|name| name.ends_with(EXTENSION)).take(MAX_FILES) {
        let parsed = parse(&root.read(&format!("{folder}/{file}")).unwrap_or_default());
        readings.omit(parsed.refused);
        for (label, value) in parsed.values {
            if taken >= MAX_SERIES || own.contains(name_of(label.as_str())) {
                readings.omit(1);
                continue;
            }
            taken += 1;
            readings.put(Series { metric: &CUSTOM, label }, value);
        }
    }
}

/// Returns the names for Prometheus of the metrics that a robot measures itself. Programs cannot use these names.
pub fn own_names() -> BTreeSet<String> {
    ALL.iter().map(|row| prometheus_name(&row.metric)).collect()
}

/// The values of a text file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// The series, such as `disk_ok{disk="sda"}`, with their values. There are at most [`MAX_SERIES`]. Not all values
    /// are finite.
    pub values: Vec<(Label, f64)>,
    /// Number of lines that were left out, because they are wrong or too long, or because there are too many.
    pub refused: u64,
}

/// Reads the text of a file.
pub fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match value(line).filter(|_| parsed.values.len() < MAX_SERIES) {
            Some(value) => parsed.values.push(value),
            None => parsed.refused += 1,
        }
    }
    parsed
}

/// Reads a line.
fn value(line: &str) -> Option<(Label, f64)> {
    let name = name_of(line);
    let rest = line.get(name.len()..)?;
    if !is_name(name, ":") {
        return None;
    }
    let (labels, rest) = match rest.trim_start().strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let mut words = rest.split_whitespace();
    let number = words.next()?.parse().ok()?;
    let timestamp = words.next().map(str::parse::<i64>);
    if timestamp.is_some_and(|timestamp| timestamp.is_err()) || words.next().is_some() {
        return None;
    }
    Some((Label::exact(&series(name, &labels))?, number))
}

/// Returns the start of a line that may be a name, or the name of a series.
pub fn name_of(line: &str) -> &str {
    let end = line.find(|char: char| char == '{' || char.is_whitespace()).unwrap_or(line.len());
    &line[..end]
}

/// Returns whether a text is a name of letters, digits and `_`, or of these other characters, and begins with no digit.
fn is_name(text: &str, others: &str) -> bool {
    let is_good = |char: char| char.is_ascii_alphanumeric() || char == '_' || others.contains(char);
    text.chars().all(is_good) && text.starts_with(|first: char| !first.is_ascii_digit())
}

/// Reads labels up to the closing brace. Returns them with their escapes, and the text after the brace.
fn labels(mut rest: &str) -> Option<(BTreeMap<&str, &str>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start();
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (key, after) = rest.split_once('=')?;
        let (value, after) = quoted(after.trim_start())?;
        let key = key.trim();
        if !is_name(key, "") || labels.insert(key, value).is_some() {
            return None;
        }
        rest = after.trim_start();
        if !rest.starts_with('}') {
            rest = rest.strip_prefix(',')?;
        }
    }
}

/// Reads a text in quotation marks. Returns it with its escapes, and the text after it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('"')?;
    let mut is_escaped = false;
    for (at, char) in text.char_indices() {
        match char {
            '\\' | '"' | 'n' if is_escaped => is_escaped = false,
            _ if is_escaped => return None,
            '\\' => is_escaped = true,
            '"' => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

/// Returns the name and the labels of a series, without escapes. Returns `None` for a text that is no series.
pub(crate) fn parts(series: &str) -> Option<(&str, BTreeMap<&str, String>)> {
    let name = name_of(series);
    let rest = series.get(name.len()..).filter(|_| is_name(name, ":") && !name.is_empty())?;
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let labels = labels.into_iter().map(|(key, value)| (key, unescaped(value))).collect();
    rest.is_empty().then_some((name, labels))
}

fn unescaped(text: &str) -> String {
    let (mut plain, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(char) = chars.next() {
        plain.extend(match char {
            '\\' => chars.next().map(|escaped| if escaped == 'n' { '\n' } else { escaped }),
            char => Some(char),
        });
    }
    plain
}

/// Writes a series. The order of its labels does not matter, so they are sorted.
fn series(name: &str, labels: &BTreeMap<&str, &str>) -> String {
    if labels.is_empty() {
        return name.to_owned();
    }
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    format!("{name}{{{}}}", pairs.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(line: &str) -> Option<(String, f64)> {
        value(line).map(|(label, value)| (label.as_str().to_owned(), value))
    }

    fn series_of(text: &str, value: f64) -> Option<(String, f64)> {
        Some((text.to_owned(), value))
    }

    #[test]
    fn lines_are_read() {
        assert_eq!(read("a 1"), series_of("a", 1.0));
        assert_eq!(read("a:b_c2\t-1.5e3 1700000000000"), series_of("a:b_c2", -1500.0));
        assert_eq!(read(r#"a{y="2", x="1",} 0"#), series_of(r#"a{x="1",y="2"}"#, 0.0));
        assert_eq!(read(r#"a { x = "a\"b\\\n}" } 7"#), series_of(r#"a{x="a\"b\\\n}"}"#, 7.0));
        assert_eq!(read("a{} +Inf"), series_of("a", f64::INFINITY));
        assert!(read("a NaN").is_some_and(|(_, value)| value.is_nan()));
    }

    #[test]
    fn the_parts_of_a_series_are_found() {
        let part = |text| {
            parts(text).map(|(name, labels)| (name.to_owned(), labels.into_iter().collect::<Vec<_>>()))
        };
        assert_eq!(part("a:b"), Some(("a:b".to_owned(), vec![])));
        let labels = vec![("x", "1\"\\\n".to_owned()), ("y", "2".to_owned())];
        assert_eq!(part(r#"a{x="1\"\\\n",y="2"}"#), Some(("a".to_owned(), labels)));
        for wrong in ["", "1a", "a b", "a{", "a{x=1}", r#"a{x="1"} "#, r#"{x="1"}"#] {
            assert_eq!(part(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn wrong_lines_are_refused() {
        for line in [
            "a",
            "a b",
            "1a 1",
            "é 1",
            "a 1 2 3",
            "a 1 2.5",
            "a{ 1",
            r#"a{x=1} 1"#,
            r#"a{x="1} 1"#,
            r#"a{x="\t"} 1"#,
            r#"a{x="1" y="2"} 1"#,
            r#"a{x="1",x="2"} 1"#,
            r#"a{1="1"} 1"#,
            "a{x=\"\u{1b}[2J\"} 1",
            &format!("{} 1", "a".repeat(97)),
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn comments_are_skipped_and_too_many_lines_are_counted() {
        let text = "# HELP a b\n# TYPE a counter\n\n  a 1\nwrong\n";
        let parsed = parse(text);
        assert_eq!((parsed.values.len(), parsed.refused), (1, 1));
        let many: String = (0..100_000).map(|number| format!("a{number} 1\n")).collect();
        let parsed = parse(&many);
        assert_eq!((parsed.values.len(), parsed.refused), (MAX_SERIES, 100_000 - MAX_SERIES as u64));
    }

    proptest! {
        #[test]
        fn a_series_that_was_read_is_read_again(
            line in r#"[a-c]{1,3}(\{([x-z]="([a-c{},=]|\\n|\\\\|\\"){0,4}",?){0,3}\})? ?[0-9.eE+-]{1,6}( [0-9]{1,3})?"#,
        ) {
            if let Some((label, number)) = value(&line) {
                let again = value(&format!("{label} {number}"));
                prop_assert_eq!(again, Some((label, number)));
            }
        }

        #[test]
        fn any_text_is_read_within_the_limits(text in "(?s).{0,300}") {
            let parsed = parse(&text);
            prop_assert!(parsed.values.len() + parsed.refused as usize <= text.lines().count());
        }
    }
}
