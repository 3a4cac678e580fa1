//! Globs over bucket paths, as `req` messages and queries name them.

use crate::BucketPath;
use globset::{GlobBuilder, GlobMatcher};

/// The most bytes of a pattern.
const MAX_PATTERN_BYTES: usize = 256;

/// A glob over `/bucket/path`: `*` stands for any run of characters, `/` included, so `*/summaries` matches
/// `/pri/ID/summaries` and `*` everything (the meaning that IPSD gives its patterns).
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    matcher: GlobMatcher,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Over the bound that keeps a stranger's pattern cheap.
    #[error("a pattern has at most {MAX_PATTERN_BYTES} bytes, not {0}")]
    Length(usize),
    /// Not a glob.
    #[error("not a glob: {0}")]
    Syntax(#[source] globset::Error),
}

impl Pattern {
    /// Reads a glob.
    ///
    /// # Errors
    /// When it is too long or not well formed.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::Length(text.len()));
        }
        let glob = GlobBuilder::new(text).literal_separator(false).backslash_escape(true).build();
        let matcher = glob.map_err(PatternError::Syntax)?.compile_matcher();
        Ok(Self { text: text.to_owned(), matcher })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the bucket's path, with its leading `/`, matches.
    pub fn matches(&self, bucket: &BucketPath) -> bool {
        self.text == "*" || self.matcher.is_match(format!("/{bucket}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, bucket: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(&bucket.parse().unwrap())
    }

    #[test]
    fn a_star_crosses_slashes_as_in_the_original() {
        assert!(matches("*", "share/files"));
        assert!(matches("*/summaries", "pri/ID/summaries"));
        assert!(matches("/share/*", "share/files"));
        assert!(!matches("/share/*", "shared"));
        assert!(!matches("share/files", "share/files"), "patterns are over the path with its leading slash");
    }

    #[test]
    fn what_is_no_glob_or_too_long_is_refused() {
        assert!(Pattern::new("[").is_err());
        assert!(Pattern::new(&"*".repeat(257)).is_err());
    }
}
