//! The label of a series: the name of the thing that was measured.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt;
use std::sync::Arc;

/// Maximum size of a label in bytes. The series of a program's text file have names and labels of their own, and are
/// the longest ones.
pub const MAX_LABEL_BYTES: usize = 96;

/// A short text without characters that are dangerous on a terminal. Clones share it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label(Arc<str>);

impl Label {
    /// The label of a metric with only one series.
    pub fn none() -> Self {
        Self::default()
    }

    /// Returns the label with this text. A long text is cut, and dangerous characters are replaced by `_`.
    pub fn new(text: &str) -> Self {
        let cut = &text[..text.floor_char_boundary(MAX_LABEL_BYTES)];
        let clean: String = cut.chars().map(|c| if telemetry::is_dangerous(c) { '_' } else { c }).collect();
        Self(clean.into())
    }

    /// Returns the label with exactly this text; `None` if it is too long, or has dangerous characters.
    pub fn exact(text: &str) -> Option<Self> {
        let is_good = text.len() <= MAX_LABEL_BYTES && !text.chars().any(telemetry::is_dangerous);
        is_good.then(|| Self(text.into()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_label_is_short_and_harmless(text in "(?s).{0,120}") {
            let label = Label::new(&text);
            prop_assert_eq!(Label::exact(label.as_str()), Some(label.clone()));
            if let Some(exact) = Label::exact(&text) {
                prop_assert_eq!(exact.as_str(), &text);
                prop_assert_eq!(exact, label);
            }
        }
    }
}
