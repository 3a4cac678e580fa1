//! How an address was resolved, for programs and for people.

use super::learned::LearnedRoute;
use super::resolution::{Resolution, RouteError};
use super::rule::Rule;
use crate::Address;
use serde::{Serialize, Serializer};
use std::fmt;

/// Every step of a resolution. Printed, it is lines for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// What was asked.
    pub address: Address,
    /// What was done to it.
    pub steps: Vec<Step>,
    /// What came of it.
    #[serde(serialize_with = "end")]
    pub end: Result<Resolution, RouteError>,
}

/// One rewriting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// By what.
    pub by: By,
    /// The address until then.
    pub before: Address,
    /// The address from then on.
    pub after: Address,
}

/// What rewrites an address.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A configured rule.
    Rule(Rule),
    /// Somebody was heard.
    Learned(LearnedRoute),
    /// This node's own brain comes first in the address, and something behind it.
    Here,
}

/// A failure is an end like the others for those who only read about it.
fn end<S: Serializer>(end: &Result<Resolution, RouteError>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    #[serde(tag = "end", rename_all = "snake_case")]
    enum Failure {
        Failed { error: String },
    }
    match end {
        Ok(resolution) => resolution.serialize(serializer),
        Err(error) => Failure::Failed { error: error.to_string() }.serialize(serializer),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.address)?;
        for step in &self.steps {
            writeln!(f, "  {}\n    -> {}", step.by, step.after)?;
        }
        match &self.end {
            Ok(resolution) => write!(f, "  {resolution}"),
            Err(error) => write!(f, "  error: {error}"),
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => write!(f, "rule {rule}"),
            Self::Learned(route) => write!(f, "learned {route}"),
            Self::Here => f.write_str("this node's brain passes it on"),
        }
    }
}
