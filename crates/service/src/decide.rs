//! The pure part of a service: what to state and what to do, from the set and the time.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::{Moment, Set, Statements, Time};

/// A pure decider. The daemon and the simulator run the same one.
pub trait Decide {
    /// Work for the shell, such as fetching a file.
    type Action;

    /// Decides what to state and to do at `now`. It runs inside the task that owns the set, so it must be quick. The same
    /// state, set and time must give the same decision.
    fn decide(&mut self, set: &Set, now: Moment) -> Decision<Self::Action>;
}

/// What a decider decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<A> {
    /// What this node is to state.
    pub statements: Statements,
    /// Work for the shell, in order.
    pub actions: Vec<A>,
    /// Time of day at which to decide again even if no record comes: when something begins or ceases to hold
    /// ([`Set::next_edge`] of the buckets that were read), or is to be renewed. Absent when only a new record or a new input
    /// can change the decision. Many times in a row are slowed down: records of others decide about them.
    pub wake: Option<Time>,
}

impl<A> Decision<A> {
    /// Makes a decision without actions.
    pub fn state(statements: Statements, wake: Option<Time>) -> Self {
        Self { statements, actions: Vec::new(), wake }
    }
}

impl<A> Default for Decision<A> {
    fn default() -> Self {
        Self { statements: Statements::new(), actions: Vec::new(), wake: None }
    }
}
