//! The pure part of a service. It derives statements and actions from the set and the time.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::{Moment, Set, Statements, Time};

/// A pure decider. The daemon and the simulator run the same code.
pub trait Decide {
    /// Work for the I/O shell, such as fetching a file.
    type Action;

    /// Decides the statements and actions at `now`. It runs inside the task that owns the set, so it must be fast. The
    /// same state, set and time must give the same decision.
    fn decide(&mut self, set: &Set, now: Moment) -> Decision<Self::Action>;
}

/// The result of one run of a decider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<A> {
    /// Statements for this node to publish.
    pub statements: Statements,
    /// Work for the I/O shell, in order.
    pub actions: Vec<A>,
    /// Time of day at which to decide again even if no record arrives: when a record becomes valid or expires
    /// ([`Set::next_edge`] of the buckets that were read), or a statement must be renewed. `None` when only a new
    /// record or a new input can change the decision. Frequent wake-ups are rate limited, since records of other peers
    /// can cause them.
    pub wake: Option<Time>,
}

impl<A> Decision<A> {
    /// Creates a decision without actions.
    pub fn state(statements: Statements, wake: Option<Time>) -> Self {
        Self { statements, actions: Vec::new(), wake }
    }
}

impl<A> Default for Decision<A> {
    fn default() -> Self {
        Self { statements: Statements::new(), actions: Vec::new(), wake: None }
    }
}
