//! Faults and reports of faults, and the macro that defines a table of faults.
//!
//! Each crate may define a table of its own with [`faults!`](crate::faults!). A mistake in a table does not compile:
//!
//! - a code that is malformed, out of order, or used twice;
//! - a row without a way out;
//! - a report whose values differ from the placeholders in the texts of its row.

use crate::check::{all_are_among, has, is_code, is_text};
use std::fmt;
use std::time::Duration;

/// A fault that can occur: one row of a table of faults.
#[derive(Debug)]
#[non_exhaustive]
pub struct Fault {
    /// Identifier, such as `udp.port-taken`. It never changes after its release.
    pub code: &'static str,
    /// Description of the fault, with placeholders such as `{port}`.
    pub sentence: &'static str,
    /// Remedy, with placeholders as well.
    pub way_out: &'static str,
}

impl Fault {
    /// Returns a row. The macro [`report!`](crate::report!) fills the placeholders.
    ///
    /// # Panics
    /// When the code is not an area and a name, such as `udp.port-taken`, in lower case letters, digits and hyphens.
    /// Also when a text is empty, or has a brace that does not belong to a placeholder. In a constant, this is a
    /// compile error.
    pub const fn new(code: &'static str, sentence: &'static str, way_out: &'static str) -> Self {
        assert!(is_code(code.as_bytes()), "the code of a fault must be an area, a dot and a name");
        assert!(is_text(sentence.as_bytes()), "the sentence of a fault is empty or has a stray brace");
        assert!(is_text(way_out.as_bytes()), "the way out of a fault is empty or has a stray brace");
        Self { code, sentence, way_out }
    }

    /// Returns whether `names` are exactly the placeholders of both texts.
    #[doc(hidden)]
    pub const fn takes(&self, names: &[&str]) -> bool {
        let texts = [self.sentence.as_bytes(), self.way_out.as_bytes()];
        let is_known = all_are_among(texts[0], names) && all_are_among(texts[1], names);
        let mut next = 0;
        while next < names.len() {
            let name = names[next].as_bytes();
            if !has(texts[0], name) && !has(texts[1], name) {
                return false;
            }
            next += 1;
        }
        is_known
    }
}

impl PartialEq for Fault {
    fn eq(&self, other: &Self) -> bool {
        self.code == other.code
    }
}

impl Eq for Fault {}

/// An occurrence of a fault, with the values of its placeholders. [`report!`](crate::report!) creates one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultReport {
    fault: &'static Fault,
    values: Vec<(&'static str, String)>,
    retry_in: Option<Duration>,
}

impl FaultReport {
    #[doc(hidden)]
    pub fn new(fault: &'static Fault, values: Vec<(&'static str, String)>) -> Self {
        Self { fault, values, retry_in: None }
    }

    /// Adds the time until the next attempt.
    #[must_use]
    pub fn retry_in(mut self, wait: Duration) -> Self {
        self.retry_in = Some(wait);
        self
    }

    /// Returns the identifier of the fault, such as `udp.port-taken`.
    pub fn code(&self) -> &'static str {
        self.fault.code
    }

    /// Returns the description of the fault and the remedy, for people.
    pub fn message(&self) -> String {
        let mut message = self.sentence() + "; " + &self.way_out();
        if let Some(wait) = self.retry_in {
            message += &format!(" (next attempt in {} s)", wait.as_secs_f64().ceil());
        }
        message
    }

    /// Returns the description of the fault, without the remedy.
    pub fn sentence(&self) -> String {
        self.fill(self.fault.sentence)
    }

    /// Returns the remedy.
    pub fn way_out(&self) -> String {
        self.fill(self.fault.way_out)
    }

    fn fill(&self, mut text: &str) -> String {
        let mut filled = String::new();
        while let Some((before, name, rest)) = split_at_placeholder(text) {
            filled += before;
            let value = self.values.iter().find(|(own, _)| *own == name);
            filled += value.map_or("?", |(_, value)| value.as_str());
            text = rest;
        }
        filled + text
    }
}

impl fmt::Display for FaultReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

/// Creates a [`FaultReport`]: `report!(UDP_PORT_TAKEN, port = 1240)`. Values may have any type that implements
/// `Display`.
///
/// The macro compiles only if the values are exactly those that the texts of the fault require:
///
/// ```compile_fail
/// telemetry::report!(telemetry::faults::UDP_PORT_TAKEN, prot = 1240);
/// ```
#[macro_export]
macro_rules! report {
    ($fault:path $(, $name:ident = $value:expr)* $(,)?) => {{
        const { assert!($fault.takes(&[$(stringify!($name)),*]), "the fault requires other values") };
        $crate::FaultReport::new(&$fault, vec![$((stringify!($name), $value.to_string())),*])
    }};
}

/// Defines a table of faults, sorted by code: a static for each row, and `ALL` with all rows.
///
/// ```
/// telemetry::faults! {
///     DISK_FULL = "disk.full": "only {bytes} bytes are left in {folder}"; "delete files there";
///     DISK_LOST = "disk.lost": "the disk was removed"; "put it back";
/// }
/// assert_eq!(ALL.len(), 2);
/// ```
#[macro_export]
macro_rules! faults {
    ($($name:ident = $code:literal: $sentence:literal; $way_out:literal;)*) => {
        $(
            #[doc = concat!("`", $code, "`: ", $sentence, "; ", $way_out, ".")]
            pub static $name: $crate::Fault = $crate::Fault::new($code, $sentence, $way_out);
        )*
        /// All rows, sorted by code.
        pub static ALL: &[&$crate::Fault] = &[$(&$name),*];
        const _: () = assert!($crate::is_sorted_table(ALL), "the codes of a table must be sorted and unique");
    };
}

/// Splits a text at its first placeholder. Returns the text before it, its name, and the text after it.
fn split_at_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (name, rest) = rest.split_once('}')?;
    Some((before, name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    static FULL: Fault = Fault::new(
        "disk.nearly-full",
        "only {bytes} bytes are left in {folder}",
        "delete files in {folder}, or wait",
    );

    #[test]
    fn a_report_fills_the_texts_of_its_row() {
        let report = crate::report!(FULL, folder = "/data", bytes = 7);
        assert_eq!(report.code(), "disk.nearly-full");
        assert_eq!(report.message(), "only 7 bytes are left in /data; delete files in /data, or wait");
        let again = report.clone().retry_in(Duration::from_millis(1200));
        assert_eq!(again.to_string(), report.message() + " (next attempt in 2 s)");
    }

    #[test]
    fn a_value_is_not_taken_for_a_placeholder() {
        let report = crate::report!(FULL, folder = "{bytes}", bytes = "{");
        assert_eq!(report.message(), "only { bytes are left in {bytes}; delete files in {bytes}, or wait");
    }

    #[test]
    fn reports_differ_by_fault_values_and_retry_time() {
        static OTHER: Fault = Fault::new("disk.slow", "{folder} {bytes}", "wait");
        let report = |bytes: u8| crate::report!(FULL, folder = "/", bytes = bytes);
        assert_eq!(report(1), report(1));
        assert_ne!(report(1), report(2));
        assert_ne!(report(1), report(1).retry_in(Duration::ZERO));
        assert_ne!(report(1), crate::report!(OTHER, folder = "/", bytes = 1));
    }

    #[test]
    fn the_values_must_be_those_that_the_texts_require() {
        assert!(FULL.takes(&["bytes", "folder"]) && FULL.takes(&["folder", "bytes"]));
        for names in [&["bytes"][..], &["folder"], &["bytes", "folder", "more"], &["byte", "folder"], &[]] {
            assert!(!FULL.takes(names), "{names:?}");
        }
    }
}
