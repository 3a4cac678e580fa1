//! Derives the time from statements that peers with a role have signed.

use super::{MAX_GUESS, TOLERANCE};
use crate::Time;

/// A time that a peer with a role has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedTime {
    /// The time.
    pub time: Time,
    /// Whether its signer is admin or root.
    pub is_admin: bool,
}

/// Number of signers that it takes at least, where this node's own clock is none of the witnesses: one clock may be wrong.
const WITNESSES: usize = 2;

/// The signed times, the latest first, and what this node knows by itself.
pub(super) struct Votes {
    signed: Vec<SignedTime>,
    /// Number of signers who have signed since the time that has passed for certain: those who are there. The others were
    /// there before this node was switched off.
    present: usize,
    floor: Time,
    wall: Time,
}

impl Votes {
    /// Counts the votes of a node whose own clock shows `wall`, and that knows by itself that `floor` has passed.
    pub(super) fn new(signed: impl IntoIterator<Item = SignedTime>, floor: Time, wall: Time) -> Self {
        let mut signed: Vec<SignedTime> = signed.into_iter().collect();
        signed.sort_unstable_by(|one, other| other.cmp(one));
        let present = signed.iter().filter(|vote| vote.time.plus(TOLERANCE) >= floor).count();
        Self { signed, present, floor, wall }
    }

    /// Returns the latest time that has passed by these votes.
    pub(super) fn latest(&self) -> Option<Time> {
        self.signed.iter().map(|vote| vote.time).find(|time| self.carry(*time))
    }

    /// Returns whether a time has passed by these votes: the own clock shows so, or it was signed by more than half of the
    /// peers with a role that are there, or by an admin and another one.
    pub(super) fn carry(&self, time: Time) -> bool {
        let witnesses = self.signed.partition_point(|vote| vote.time >= time);
        if witnesses > 0 && time <= self.wall.plus(TOLERANCE) {
            return true;
        }
        let has_admin = self.signed.iter().take(witnesses).any(|vote| vote.is_admin);
        let is_possible = time <= self.floor.plus(MAX_GUESS);
        is_possible && witnesses >= WITNESSES && (has_admin || 2 * witnesses > self.present)
    }
}
