//! One configured rule.

use crate::{Address, AddressError, Segments};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

/// `PATTERN => TEMPLATE`: an address that begins with the pattern becomes the template.
///
/// The pattern is compared by whole segments, and a `*` in it stands for any one segment. (Not so a `*` in the address:
/// what is for everybody must not go where a rule sends what is for one peer.) In the template the segment `$0` stands
/// for the whole address that matched, and `$1` to `$9` for what the pattern's wildcards stand for, in their order. What
/// follows the pattern in the address is part of `$0`; where a template has no `$0`, it follows the template.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rule {
    pattern: Segments,
    template: Segments,
    segments: usize,
    wildcards: usize,
    /// What stands before `$0`, when that is all that stands there.
    prefix: Option<Address>,
}

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// No arrow.
    #[error("a rule is `PATTERN => TEMPLATE`, such as `/dswarm/ID/brain => /ip4/A/udp/P/dswarm-line/$0`")]
    Arrow,
    /// The pattern cannot be.
    #[error("pattern: {0}")]
    Pattern(AddressError),
    /// It can never be used.
    #[error("{0} begins with a channel: what is addressed so needs no rule")]
    Channel(Segments),
    /// The template cannot be.
    #[error("template: {0}")]
    Template(AddressError),
    /// A number that stands for nothing.
    #[error("the template's ${number} stands for nothing: the pattern has {wildcards} wildcards")]
    Placeholder {
        /// Which.
        number: usize,
        /// How many there are.
        wildcards: usize,
    },
}

impl Rule {
    /// How many segments its pattern has.
    pub(super) fn segments(&self) -> usize {
        self.segments
    }

    /// Whether its pattern has wildcards.
    pub(super) fn is_wild(&self) -> bool {
        self.wildcards > 0
    }

    /// What it matches.
    pub fn pattern(&self) -> &Segments {
        &self.pattern
    }

    /// By which of two rules goes first, when both match: longest match first.
    pub(super) fn precedence(&self) -> (Reverse<usize>, usize, &str) {
        (Reverse(self.segments), self.wildcards, self.pattern.as_str())
    }

    /// Whether the address begins with the pattern.
    pub fn matches(&self, address: &Address) -> bool {
        if self.wildcards == 0 {
            let rest = address.as_str().strip_prefix(self.pattern.as_str());
            return rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        }
        self.matched(address).is_some()
    }

    /// What the wildcards stand for, and the segments that follow the pattern.
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

    /// The address rewritten, if it matches.
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
                // Its number was checked.
                Some(number) => push(&mut text, wild.get(number - 1).unwrap_or(&"*")),
                None => push(&mut text, segment),
            }
        }
        if !is_whole {
            rest.for_each(|segment| push(&mut text, segment));
        }
        Some(text.try_into())
    }

    /// Finds what can be found before any address comes.
    fn check(&self) -> Result<(), RuleError> {
        for number in self.template.iter().filter_map(placeholder) {
            if number > self.wildcards {
                return Err(RuleError::Placeholder { number, wildcards: self.wildcards });
            }
        }
        // A `*` may stand for any value, so most patterns are themselves an address that matches.
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

/// The number of a segment `$0` to `$9`.
fn placeholder(segment: &str) -> Option<usize> {
    match segment.as_bytes() {
        [b'$', digit @ b'0'..=b'9'] => Some(usize::from(digit - b'0')),
        _ => None,
    }
}

/// What stands before the only `$0`, at the end; that before any other is no address that something could follow.
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
