//! One configured rule of the routing table.

use crate::{Address, AddressError, Segments};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

/// `PATTERN => TEMPLATE`: an address that begins with the pattern is rewritten to the template.
///
/// The pattern is compared by whole segments, and a `*` in it matches any one segment. A `*` in the address matches
/// only a `*` in the pattern: a line for all peers must not go where a rule sends lines for one peer. In the template,
/// the segment `$0` stands for the whole matched address, and `$1` to `$9` stand for the segments that the pattern's
/// wildcards matched, in their order. The segments of the address after the pattern are part of `$0`. If the template
/// has no `$0`, they are appended to the template.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rule {
    pattern: Segments,
    template: Segments,
    segments: usize,
    wildcards: usize,
    /// Address before `$0`, if the template has the form `ADDRESS/$0`; makes such rules faster.
    prefix: Option<Address>,
}

/// Error for a text that is not a valid rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The arrow `=>` is missing.
    #[error("a rule is `PATTERN => TEMPLATE`, such as `/dswarm/ID/brain => /ip4/A/udp/P/dswarm-line/$0`")]
    Arrow,
    /// The pattern is invalid.
    #[error("invalid pattern: {0}")]
    Pattern(AddressError),
    /// The rule would never be used.
    #[error("{0} begins with a channel: such addresses need no rule")]
    Channel(Segments),
    /// The template is invalid.
    #[error("invalid template: {0}")]
    Template(AddressError),
    /// A placeholder without a corresponding wildcard.
    #[error("the template's ${number} stands for nothing: the pattern has {wildcards} wildcards")]
    Placeholder {
        /// Number of the placeholder.
        number: usize,
        /// Number of wildcards in the pattern.
        wildcards: usize,
    },
}

impl Rule {
    /// Returns the number of segments of the pattern.
    pub(super) fn segments(&self) -> usize {
        self.segments
    }

    /// Returns whether the pattern has wildcards.
    pub(super) fn is_wild(&self) -> bool {
        self.wildcards > 0
    }

    /// Returns the pattern, which addresses have to begin with.
    pub fn pattern(&self) -> &Segments {
        &self.pattern
    }

    /// Returns the sort key of the rules. The rule with the smaller key is tried first, so the longest match wins.
    pub(super) fn precedence(&self) -> (Reverse<usize>, usize, &str) {
        (Reverse(self.segments), self.wildcards, self.pattern.as_str())
    }

    /// Returns whether an address begins with the pattern.
    pub fn matches(&self, address: &Address) -> bool {
        if self.wildcards == 0 {
            let rest = address.as_str().strip_prefix(self.pattern.as_str());
            return rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        }
        self.matched(address).is_some()
    }

    /// Returns the segments that the wildcards match, and the segments after the pattern.
    fn matched<'a>(&self, address: &'a Address) -> Option<(Vec<&'a str>, impl Iterator<Item = &'a str>)> {
        let mut segments = address.segments();
        let mut wild = Vec::new();
        for expected in self.pattern.iter() {
            match segments.next()? {
                found if expected == "*" => wild.push(found),
                found if expected == found => {}
                _ => return None,
            }
        }
        Some((wild, segments))
    }

    /// Returns the rewritten address, if the rule matches.
    pub(super) fn apply(&self, address: &Address) -> Option<Result<Address, AddressError>> {
        if let Some(prefix) = &self.prefix {
            return self.matches(address).then(|| prefix.then(address));
        }
        let (wild, rest) = self.matched(address)?;
        let mut text = String::new();
        let mut is_whole = false;
        for segment in self.template.iter() {
            match placeholder(segment) {
                Some(0) => {
                    is_whole = true;
                    text.push_str(address.as_str());
                }
                // `check` has verified the number.
                Some(number) => push(&mut text, wild.get(number - 1).unwrap_or(&"*")),
                None => push(&mut text, segment),
            }
        }
        if !is_whole {
            rest.for_each(|segment| push(&mut text, segment));
        }
        Some(text.try_into())
    }

    /// Finds the errors that can be found without an address.
    fn check(&self) -> Result<(), RuleError> {
        for number in self.template.iter().filter_map(placeholder) {
            if number > self.wildcards {
                return Err(RuleError::Placeholder { number, wildcards: self.wildcards });
            }
        }
        // Since a `*` is valid in place of most values, most patterns are addresses themselves, and match themselves.
        let Ok(address) = self.pattern.as_str().parse::<Address>() else { return Ok(()) };
        if address.first_hop().is_some() {
            return Err(RuleError::Channel(self.pattern.clone()));
        }
        match self.apply(&address) {
            Some(Err(error)) => Err(RuleError::Template(error)),
            _ => Ok(()),
        }
    }
}

fn push(text: &mut String, segment: &str) {
    text.push('/');
    text.push_str(segment);
}

/// Returns the number of a placeholder segment `$0` to `$9`.
fn placeholder(segment: &str) -> Option<usize> {
    match segment.as_bytes() {
        [b'$', digit @ b'0'..=b'9'] => Some(usize::from(digit - b'0')),
        _ => None,
    }
}

/// Returns the text before the only placeholder `$0` at the end of a template, if that text is an address.
fn prefix(template: &Segments) -> Option<Address> {
    let prefix = template.as_str().strip_suffix("/$0")?;
    let has_more = prefix.split('/').any(|segment| placeholder(segment).is_some());
    if has_more { None } else { prefix.parse().ok() }
}

impl FromStr for Rule {
    type Err = RuleError;
    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (pattern, template) = text.split_once("=>").ok_or(RuleError::Arrow)?;
        let pattern: Segments = pattern.trim().parse().map_err(RuleError::Pattern)?;
        let template: Segments = template.trim().parse().map_err(RuleError::Template)?;
        let segments = pattern.iter().count();
        let wildcards = pattern.iter().filter(|segment| *segment == "*").count();
        let prefix = prefix(&template);
        let rule = Self { pattern, template, segments, wildcards, prefix };
        rule.check().map(|()| rule)
    }
}

impl TryFrom<String> for Rule {
    type Error = RuleError;
    fn try_from(text: String) -> Result<Self, RuleError> {
        text.parse()
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} => {}", self.pattern, self.template)
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({self})")
    }
}
