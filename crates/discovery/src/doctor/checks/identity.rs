//! The identity of this robot: whether another host uses the same key.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::troubles::{self, Family};
use crate::doctor::findings::works;
use crate::doctor::observed::Observed;
use crate::protocol::Finding;

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    match troubles::of(observed, Family::Identity) {
        copied if copied.is_empty() => {
            vec![works("identity", "no other host is known to use the identity of this robot")]
        }
        copied => copied,
    }
}
