//! Globs over bucket paths, as used in `req` messages and queries.
//!
//! Strangers write the patterns and may write the paths. The matcher therefore does not backtrack: it keeps the set of
//! places in the pattern that the text so far leads to. Its work is at most [`Pattern::cost`].

mod program;

use crate::BucketPath;
pub use program::PatternSyntax;
use program::{Program, Step};

/// Maximum number of bytes of a pattern.
const MAX_PATTERN_BYTES: usize = 256;

/// A glob over `/bucket/path`, with the meaning that IPSD gives its patterns.
///
/// - `*` matches any run of characters, `/` included: `*/summaries` matches `/pri/ID/summaries`, and `*` matches
///   everything.
/// - `?` matches one character.
/// - `[a-c]` matches one character of the range, and `[!a-c]` one character outside it.
/// - `{a,b}` matches either text.
/// - `\` makes the next character an ordinary one.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    program: Program,
}

/// Reason why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The pattern is over the size limit, which keeps a stranger's pattern cheap.
    #[error("a pattern has at most {MAX_PATTERN_BYTES} bytes, not {0}")]
    Length(usize),
    /// The text is not a well-formed glob.
    #[error("not a glob: {0}")]
    Syntax(#[source] PatternSyntax),
}

impl Pattern {
    /// Parses a glob.
    ///
    /// # Errors
    /// Returns an error if the pattern is too long or not well formed.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::Length(text.len()));
        }
        let program = Program::read(text).map_err(PatternError::Syntax)?;
        Ok(Self { text: text.to_owned(), program })
    }

    /// Returns the pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns whether the bucket's path, with its leading `/`, matches.
    pub fn matches(&self, bucket: &BucketPath) -> bool {
        self.accepts(std::iter::once('/').chain(bucket.as_str().chars()))
    }

    /// Returns whether a text that is not a bucket matches, such as the name of a network interface.
    pub fn matches_text(&self, text: &str) -> bool {
        self.accepts(text.chars())
    }

    fn accepts(&self, characters: impl Iterator<Item = char>) -> bool {
        let mut places = Places::new(&self.program);
        for character in characters {
            if places.are_all_matching() {
                return true;
            }
            if places.list.is_empty() {
                return false;
            }
            places = places.after(character);
        }
        places.reached[self.program.steps().len()]
    }

    /// Returns the maximum number of steps of [`Self::matches`] for the bucket: the length of the pattern times the
    /// length of the path.
    pub fn cost(&self, bucket: &BucketPath) -> usize {
        (self.program.steps().len() + 1) * (bucket.as_str().len() + 1)
    }
}

/// The places in a pattern that the text so far leads to, each at most once.
struct Places<'a> {
    steps: &'a [Step],
    list: Vec<usize>,
    reached: Vec<bool>,
}

impl<'a> Places<'a> {
    fn none(steps: &'a [Step]) -> Self {
        Self { steps, list: Vec::new(), reached: vec![false; steps.len() + 1] }
    }

    fn new(program: &'a Program) -> Self {
        let mut places = Self::none(program.steps());
        places.add(0);
        places
    }

    /// Adds a place, and all places that it leads to without consuming a character.
    fn add(&mut self, place: usize) {
        let mut open = vec![place];
        while let Some(place) = open.pop() {
            if std::mem::replace(&mut self.reached[place], true) {
                continue;
            }
            match self.steps.get(place) {
                Some(Step::Run) => open.push(place + 1),
                Some(Step::Fork(other)) => open.extend([place + 1, *other]),
                Some(Step::Jump(other)) => open.push(*other),
                Some(Step::One(_)) | None => {}
            }
            if let Some(Step::Run | Step::One(_)) = self.steps.get(place) {
                self.list.push(place);
            }
        }
    }

    /// Returns whether a run that ends the pattern was reached. Any remaining text then matches.
    fn are_all_matching(&self) -> bool {
        matches!(self.steps.last(), Some(Step::Run)) && self.reached[self.steps.len() - 1]
    }

    fn after(&self, character: char) -> Self {
        let mut next = Self::none(self.steps);
        for place in &self.list {
            match &self.steps[*place] {
                Step::Run => next.add(*place),
                Step::One(class) if class.contains(character) => next.add(place + 1),
                _ => {}
            }
        }
        next
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
        assert!(
            !matches("share/files", "share/files"),
            "a pattern applies to the path with its leading slash"
        );
        assert!(!matches("/share", "share/files") && !matches("/share/files/x", "share/files"));
    }

    #[test]
    fn single_characters_classes_alternatives_and_escapes() {
        assert!(matches("/shar?/fil??", "share/files") && !matches("/share?", "share"));
        assert!(matches("/[a-s]hare", "share") && !matches("/[!a-s]hare", "share"));
        assert!(matches("/[^x]hare", "share") && matches("/[]-]", "]") && matches("/[a-]", "-"));
        for bucket in ["share/files", "share/safe"] {
            assert!(matches("/share/{files,safe}", bucket));
        }
        assert!(!matches("/share/{files,safe}", "share/discard"));
        assert!(matches("/{a{b,c}*,d}x", "acyx") && matches("/{a{b,c}*,d}x", "dx") && matches("/a{,b}", "a"));
        assert!(matches("/\\*", "*") && !matches("/\\*", "a") && matches("/\\{a,b\\}", "{a,b}"));
        assert!(matches("/é*", "élan"));
    }

    #[test]
    fn a_text_that_is_no_bucket_matches_without_a_slash() {
        let pattern = Pattern::new("wlan*").unwrap();
        assert!(pattern.matches_text("wlan0") && pattern.matches_text("wlan"));
        assert!(!pattern.matches_text("/wlan0") && !pattern.matches_text("eth0"));
    }

    #[test]
    fn a_malformed_or_too_long_glob_is_refused() {
        for wrong in ["[", "[]", "[z-a]", "{a", "a}", "\\", "{a}}", "{[}", &"*".repeat(257)] {
            assert!(Pattern::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_hostile_pattern_costs_at_most_its_length_times_that_of_the_path() {
        let bucket: BucketPath = vec!["a".repeat(64); 8].join("/").parse().unwrap();
        for part in ["*a", "{*a,*a*}", "?*", "{a,{a,*}}"] {
            let text = part.repeat(256 / part.len() - 1) + "b";
            let pattern = Pattern::new(&text).unwrap();
            assert!(pattern.cost(&bucket) <= 2 * (text.len() + 1) * 521, "{part}");
            let mut places = Places::new(&pattern.program);
            let mut steps = places.list.len();
            for character in bucket.as_str().chars() {
                places = places.after(character);
                steps += places.list.len();
            }
            assert!(steps <= pattern.cost(&bucket), "{part}: {steps}");
            assert!(!pattern.matches(&bucket));
        }
    }
}
