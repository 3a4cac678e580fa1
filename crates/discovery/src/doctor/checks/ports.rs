//! The ports at which this robot listens.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::troubles::{self, Family};
use crate::doctor::findings::works;
use crate::doctor::observed::Observed;
use crate::protocol::Finding;

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    match troubles::of(observed, Family::Ports) {
        taken if taken.is_empty() => {
            vec![works(
                "ports",
                "this robot listens at its UDP, TCP and IPFS ports; no other program holds them",
            )]
        }
        taken => taken,
    }
}
