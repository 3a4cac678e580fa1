//! Derives the time from statements that peers with a role have signed.

use super::{MAX_GUESS, TOLERANCE};
use crate::Time;

/// A time that a peer with a role has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedTime {
    /// Time that was signed.
    pub time: Time,
    /// Whether the signer is admin or root.
    pub is_admin: bool,
}

/// Minimum number of peers that must have signed a time before this node accepts it although its own clock is behind
/// it. A single clock may be wrong.
const WITNESSES: usize = 2;

/// The signed times, the latest first, with the floor and the clock of this node. The floor is a time that is known to
/// have passed: see `clock.rs`.
pub(super) struct Votes {
    signed: Vec<SignedTime>,
    /// Number of signers that count as present: their signed times are at most [`TOLERANCE`] earlier than the floor.
    /// The times of the other signers are from before this node was switched off.
    present: usize,
    floor: Time,
    wall: Time,
}

impl Votes {
    /// Creates the votes for a node whose own clock shows `wall`. `floor` is the floor that the node knows without the
    /// times signed by other peers.
    pub(super) fn new(signed: impl IntoIterator<Item = SignedTime>, floor: Time, wall: Time) -> Self {
        let mut signed: Vec<SignedTime> = signed.into_iter().collect();
        signed.sort_unstable_by(|one, other| other.cmp(one));
        let present = signed.iter().filter(|vote| vote.time.plus(TOLERANCE) >= floor).count();
        Self { signed, present, floor, wall }
    }

    /// Returns the latest time that has passed according to the votes.
    pub(super) fn latest(&self) -> Option<Time> {
        self.signed.iter().map(|vote| vote.time).find(|time| self.carry(*time))
    }

    /// Returns whether a time has passed according to the votes. A peer with a role supports the time if it has signed
    /// this time or a later one. Either of these conditions suffices:
    ///
    /// - The own clock shows this time or a later one, and at least one peer supports it. The clock may be up to
    ///   [`TOLERANCE`] behind.
    /// - The time is at most [`MAX_GUESS`] later than the floor, and at least [`WITNESSES`] peers support it. They
    ///   include an admin, or are more than half of the present signers.
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
