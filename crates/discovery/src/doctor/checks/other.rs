//! Faults that belong to no other check.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::troubles::{self, Family};
use crate::doctor::observed::Observed;
use crate::protocol::Finding;

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    troubles::of(observed, Family::Other)
}
