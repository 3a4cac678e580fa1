//! Globs over bucket paths, as used in `req` messages and queries.
//!
//! Strangers write the patterns and may write the paths. The matcher therefore does not backtrack: it keeps the set of
//! places in the pattern that are reachable with the text so far. Its work is at most [`Pattern::cost`]. Patterns with
//! at most one `*` and no alternatives are compared from both ends, because services use such patterns in each
//! decision.

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
/// - `\` removes the special meaning of the next character.
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

    fn accepts(&self, mut characters: impl DoubleEndedIterator<Item = char>) -> bool {
        let (first, rest) = self.split();
        let fits = |step: &Step, character: Option<char>| match step {
            Step::One(class) => character.is_some_and(|character| class.contains(character)),
            _ => false,
        };
        if !first.iter().all(|step| fits(step, characters.next())) {
            return false;
        }
        match rest {
            [] => characters.next().is_none(),
            [Step::Run, last @ ..] if are_single(last) => {
                last.iter().rev().all(|step| fits(step, characters.next_back()))
            }
            _ => accepts_from(Places::new(self.program.steps(), first.len()), characters),
        }
    }

    /// Splits the steps before the first step that can match in several ways.
    fn split(&self) -> (&[Step], &[Step]) {
        let steps = self.program.steps();
        steps.split_at(steps.iter().take_while(|step| matches!(step, Step::One(_))).count())
    }

    /// Returns the maximum number of steps of [`Self::matches`] for the bucket: the length of the pattern or, if the
    /// pattern can match in several ways, its length times the length of the path.
    pub fn cost(&self, bucket: &BucketPath) -> usize {
        let steps = self.program.steps().len() + 1;
        match self.split().1 {
            [] => steps,
            [Step::Run, last @ ..] if are_single(last) => steps,
            _ => steps * (bucket.as_str().len() + 1),
        }
    }
}

/// Returns whether each step matches exactly one character.
fn are_single(steps: &[Step]) -> bool {
    steps.iter().all(|step| matches!(step, Step::One(_)))
}

fn accepts_from(mut places: Places<'_>, characters: impl Iterator<Item = char>) -> bool {
    for character in characters {
        if places.are_all_matching() {
            return true;
        }
        if places.list.is_empty() {
            return false;
        }
        places.advance(character);
    }
    places.is_reached(places.steps.len())
}

/// The places in a pattern that are reachable with the text so far, each at most once. The buffers are reused for each
/// character.
struct Places<'a> {
    steps: &'a [Step],
    /// Reached places that consume a character.
    list: Vec<usize>,
    /// Number of the character after which each place was reached last; 0 for never.
    reached: Vec<usize>,
    /// Number of characters that were consumed, plus 1.
    round: usize,
    /// The places of the character before.
    former: Vec<usize>,
    /// Places that are still to be added.
    open: Vec<usize>,
}

impl<'a> Places<'a> {
    fn new(steps: &'a [Step], start: usize) -> Self {
        let reached = vec![0; steps.len() + 1];
        let mut places =
            Self { steps, list: Vec::new(), reached, round: 1, former: Vec::new(), open: Vec::new() };
        places.add(start);
        places
    }

    fn is_reached(&self, place: usize) -> bool {
        self.reached[place] == self.round
    }

    /// Adds a place, and all places that it leads to without consuming a character.
    fn add(&mut self, place: usize) {
        self.open.push(place);
        while let Some(place) = self.open.pop() {
            if std::mem::replace(&mut self.reached[place], self.round) == self.round {
                continue;
            }
            match self.steps.get(place) {
                Some(Step::Run) => self.open.push(place + 1),
                Some(Step::Fork(other)) => self.open.extend([place + 1, *other]),
                Some(Step::Jump(other)) => self.open.push(*other),
                Some(Step::One(_)) | None => {}
            }
            if let Some(Step::Run | Step::One(_)) = self.steps.get(place) {
                self.list.push(place);
            }
        }
    }

    /// Returns whether the pattern ends with a `*` that was reached. Any remaining text then matches.
    fn are_all_matching(&self) -> bool {
        matches!(self.steps.last(), Some(Step::Run)) && self.is_reached(self.steps.len() - 1)
    }

    /// Replaces the places by those that are reachable from them with this character.
    fn advance(&mut self, character: char) {
        std::mem::swap(&mut self.list, &mut self.former);
        self.list.clear();
        self.round += 1;
        let former = std::mem::take(&mut self.former);
        for place in &former {
            match &self.steps[*place] {
                Step::Run => self.add(*place),
                Step::One(class) if class.contains(character) => self.add(place + 1),
                _ => {}
            }
        }
        self.former = former;
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
    fn single_characters_classes_alternatives_and_escapes_match() {
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
    fn both_ways_of_matching_agree() {
        let texts = ["", "/", "/a", "/ab", "/aba", "/abab", "/é/é", "/a/b/a", "abab/"];
        for pattern in ["/a*a", "*a", "/*", "*", "/a?*", "/ab*ab", "/a*b?", "/é*é", "/[ab]*[!c]", "", "/ab"]
        {
            let pattern = Pattern::new(pattern).unwrap();
            for text in texts {
                let places = Places::new(pattern.program.steps(), 0);
                let expected = accepts_from(places, text.chars());
                assert_eq!(pattern.matches_text(text), expected, "{} {text}", pattern.as_str());
            }
        }
    }

    #[test]
    fn a_malformed_or_too_long_glob_is_refused() {
        for wrong in ["[", "[]", "[z-a]", "{a", "a}", "\\", "{a}}", "{[}", &"*".repeat(257)] {
            assert!(Pattern::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_hostile_pattern_costs_at_most_its_length_times_the_length_of_the_path() {
        let bucket: BucketPath = vec!["a".repeat(64); 8].join("/").parse().unwrap();
        for part in ["*a", "{*a,*a*}", "?*", "{a,{a,*}}"] {
            let text = part.repeat(256 / part.len() - 1) + "b";
            let pattern = Pattern::new(&text).unwrap();
            assert!(pattern.cost(&bucket) <= 2 * (text.len() + 1) * 521, "{part}");
            let mut places = Places::new(pattern.program.steps(), 0);
            let mut steps = places.list.len();
            for character in bucket.as_str().chars() {
                places.advance(character);
                steps += places.list.len();
            }
            assert!(steps <= pattern.cost(&bucket), "{part}: {steps}");
            assert!(!pattern.matches(&bucket));
        }
    }
}
