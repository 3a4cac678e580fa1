//! Makes the findings of the checks.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::protocol::{Finding, Verdict};
use telemetry::FaultReport;

/// Maximum number of characters of a message.
const MAX_MESSAGE: usize = 400;
/// Maximum number of names in one message.
const MAX_NAMES: usize = 5;

/// Makes the finding that something works.
pub(crate) fn works(code: &str, message: impl Into<String>) -> Finding {
    told(code, Verdict::Works, message.into(), None)
}

/// Makes the finding that a check could not be made, or does not apply.
pub(crate) fn unknown(code: &str, message: impl Into<String>) -> Finding {
    told(code, Verdict::Unknown, message.into(), None)
}

/// Makes the finding that something is worse than it should be.
pub(crate) fn warning(fault: &FaultReport) -> Finding {
    told(fault.code(), Verdict::Warning, fault.sentence(), Some(fault.way_out()))
}

/// Makes the finding that something does not work.
pub(crate) fn broken(fault: &FaultReport) -> Finding {
    told(fault.code(), Verdict::Broken, fault.sentence(), Some(fault.way_out()))
}

/// Makes a finding of its parts. Texts are cut to a bounded length.
pub(crate) fn told(code: &str, verdict: Verdict, message: String, remedy: Option<String>) -> Finding {
    let cut = |text: String| match text.char_indices().nth(MAX_MESSAGE) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    };
    Finding { code: code.to_owned(), verdict, message: cut(message), remedy: remedy.map(cut) }
}

/// Joins names for a sentence. Of many names, only the first ones are shown.
pub(crate) fn names<T: AsRef<str>>(all: &[T]) -> String {
    let shown: Vec<&str> = all.iter().take(MAX_NAMES).map(AsRef::as_ref).collect();
    match (shown.as_slice(), all.len().saturating_sub(MAX_NAMES)) {
        ([], _) => String::new(),
        ([one], _) => (*one).to_owned(),
        (some, 0) => format!("{} and {}", some[..some.len() - 1].join(", "), some[some.len() - 1]),
        (some, more) => format!("{} and {more} more", some.join(", ")),
    }
}

/// Returns a number with the noun in the right form.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Returns a number of bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => {
            format!("{}.{} {name}", bytes / unit, (u128::from(bytes) * 10 / u128::from(*unit)) % 10)
        }
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_sizes_are_short() {
        assert_eq!(names::<&str>(&[]), "");
        assert_eq!(names(&["a"]), "a");
        assert_eq!(names(&["a", "b", "c"]), "a, b and c");
        assert_eq!(names(&["a", "b", "c", "d", "e", "f", "g"]), "a, b, c, d, e and 2 more");
        assert_eq!([size(7), size(1_500), size(20_990_000)], ["7 bytes", "1.5 kB", "20.9 MB"]);
        assert_eq!((count(1, "robot"), count(2, "robot")), ("1 robot".to_owned(), "2 robots".to_owned()));
    }

    #[test]
    fn long_texts_are_cut() {
        let finding = works("x.y", "ä".repeat(1000));
        assert_eq!(finding.message.chars().count(), MAX_MESSAGE + 1);
    }
}
