//! A fault and its report: what a row of a table of faults holds, and how a table is written down.
//!
//! Each crate may bring a table of its own with [`faults!`](crate::faults!). A mistake in a table does not compile: a code
//! that is malformed, out of order or there twice, a row without a way out, and a report whose values are not those that
//! the texts of its row ask for.

use crate::check::{all_are_among, has, is_code, is_text};
use std::fmt;
use std::time::Duration;

/// One thing that can go wrong: a row of a table of faults.
#[derive(Debug)]
#[non_exhaustive]
pub struct Fault {
    /// The identifier, such as `udp.port-taken`. It never changes once it was released.
    pub code: &'static str,
    /// What is wrong, with placeholders such as `{port}`.
    pub sentence: &'static str,
    /// What a person can do about it, with placeholders too.
    pub way_out: &'static str,
}

impl Fault {
    /// Makes a row. The [reporter](crate::report!) fills the placeholders.
    ///
    /// # Panics
    /// In a constant, and so when it is compiled: when the code is not an area and a name, such as `udp.port-taken`, in lower
    /// case letters, digits and hyphens, or when a text is empty or has a brace that is not part of a placeholder.
    pub const fn new(code: &'static str, sentence: &'static str, way_out: &'static str) -> Self {
        assert!(is_code(code.as_bytes()), "the code of a fault is an area, a dot and a name");
        assert!(is_text(sentence.as_bytes()), "the sentence of a fault is empty or has a stray brace");
        assert!(is_text(way_out.as_bytes()), "the way out of a fault is empty or has a stray brace");
        Self { code, sentence, way_out }
    }

    /// Whether `names` are the placeholders of both texts: none is missing and none is unknown.
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

/// A fault that was met, with what its texts leave open. [`report!`](crate::report!) makes one.
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

    /// Adds how long it takes until what failed is tried again.
    #[must_use]
    pub fn retry_in(mut self, wait: Duration) -> Self {
        self.retry_in = Some(wait);
        self
    }

    /// Returns the identifier of the fault, such as `udp.port-taken`.
    pub fn code(&self) -> &'static str {
        self.fault.code
    }

    /// Returns what is wrong and what can be done about it, for people.
    pub fn message(&self) -> String {
        let mut message = self.fill(self.fault.sentence) + "; " + &self.fill(self.fault.way_out);
        if let Some(wait) = self.retry_in {
            message += &format!(" (next attempt in {} s)", wait.as_secs_f64().ceil());
        }
        message
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

/// Makes a [`FaultReport`]: `report!(UDP_PORT_TAKEN, port = 1240)`. Values are anything that can be displayed.
///
/// It compiles only when the values are exactly those that the texts of the fault ask for:
///
/// ```compile_fail
/// telemetry::report!(telemetry::faults::UDP_PORT_TAKEN, prot = 1240);
/// ```
#[macro_export]
macro_rules! report {
    ($fault:path $(, $name:ident = $value:expr)* $(,)?) => {{
        const { assert!($fault.takes(&[$(stringify!($name)),*]), "the fault asks for other values") };
        $crate::FaultReport::new(&$fault, vec![$((stringify!($name), $value.to_string())),*])
    }};
}

/// Writes a table of faults down, sorted by code: a static for each row, and `ALL` of them.
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
        const _: () = assert!($crate::is_sorted_table(ALL), "the codes of a table are sorted, each there once");
    };
}

/// What stands before the first placeholder, its name, and what follows it.
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
    fn reports_differ_by_fault_values_and_wait() {
        static OTHER: Fault = Fault::new("disk.slow", "{folder} {bytes}", "wait");
        let report = |bytes: u8| crate::report!(FULL, folder = "/", bytes = bytes);
        assert_eq!(report(1), report(1));
        assert_ne!(report(1), report(2));
        assert_ne!(report(1), report(1).retry_in(Duration::ZERO));
        assert_ne!(report(1), crate::report!(OTHER, folder = "/", bytes = 1));
    }

    #[test]
    fn the_values_are_those_that_the_texts_ask_for() {
        assert!(FULL.takes(&["bytes", "folder"]) && FULL.takes(&["folder", "bytes"]));
        for names in [&["bytes"][..], &["folder"], &["bytes", "folder", "more"], &["byte", "folder"], &[]] {
            assert!(!FULL.takes(names), "{names:?}");
        }
    }
}
