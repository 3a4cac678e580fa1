//! The steps by which an address was resolved, in machine-readable and human-readable form.

use super::learned::LearnedRoute;
use super::resolution::{Resolution, RouteError};
use super::rule::Rule;
use crate::Address;
use serde::{Serialize, Serializer};
use std::fmt;

/// All steps of a resolution. Its `Display` output is human-readable and has several lines.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Address that was to be resolved.
    pub address: Address,
    /// Rewriting steps, in order.
    pub steps: Vec<Step>,
    /// Result of the last step.
    #[serde(serialize_with = "end")]
    pub end: Result<Resolution, RouteError>,
}

/// One rewriting step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Cause of the rewriting.
    pub by: By,
    /// Address before the step.
    pub before: Address,
    /// Address after the step.
    pub after: Address,
}

/// The cause of a rewriting.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A configured rule.
    Rule(Rule),
    /// A route to a peer that was heard.
    Learned(LearnedRoute),
    /// The address begins with this node's own brain, which forwards to the rest.
    Here,
}

/// Serializes an error like the other results, so that readers need not treat it separately.
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
            Self::Here => f.write_str("this node's brain forwards it"),
        }
    }
}
