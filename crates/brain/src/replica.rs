//! The records of this node: the set, and its latest changes.

use crate::Now;
use crate::history::History;
use dcache::{
    Admission, BOUND_GRID, End, Fingerprint, Key, Limits, Moment, Policy, Record, Refusal, Set, Signature,
    Statement, Time,
};
use routing::Beacon;
use std::time::Duration;

/// The result of comparing a neighbour's beacon with the records of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Both nodes hold the same records.
    Same,
    /// The neighbour lacks only some of the latest changes of this node.
    Behind,
    /// Records are missing here, or there, or both.
    Different,
}

/// The set of records, and its latest changes.
#[derive(Debug)]
pub(crate) struct Replica {
    set: Set,
    history: History,
}

impl Replica {
    pub(crate) fn new(set: Set) -> Self {
        Self { set, history: History::default() }
    }

    pub(crate) fn set(&self) -> &Set {
        &self.set
    }

    /// Returns the bound of this node's beacons: they compare only records that have to be kept beyond it. The bound is
    /// a multiple of [`BOUND_GRID`], and at least [`BOUND_GRID`] seconds ahead. So the clocks of two nodes may differ
    /// by that time without either node having forgotten records that the other still compares.
    pub(crate) fn bound(now: Now) -> Time {
        Time((now.moment.time.0 / BOUND_GRID + 2) * BOUND_GRID)
    }

    /// Returns the beacon that this node sends.
    pub(crate) fn beacon(&self, now: Now) -> Beacon {
        let bound = Self::bound(now);
        Beacon { bound, fingerprint: self.fingerprint(bound) }
    }

    /// Returns the fingerprint of the records that have to be kept beyond `bound`.
    pub(crate) fn fingerprint(&self, bound: Time) -> Fingerprint {
        self.set.fingerprint(End::at(bound))
    }

    /// Returns when the set last changed.
    pub(crate) fn last_change(&self) -> Option<Duration> {
        self.history.last()
    }

    /// Compares a beacon with the records of this node. If the neighbour is behind, also returns since when.
    pub(crate) fn judge(&self, now: Now, beacon: &Beacon) -> (Verdict, Duration) {
        let ours = self.fingerprint(beacon.bound);
        if ours == beacon.fingerprint {
            return (Verdict::Same, now.elapsed);
        }
        // A node whose clock is this far ahead ignores our beacons. It will not ask, so this node has to ask.
        let ignores_us = beacon.bound.since(Self::bound(now)) >= 2 * BOUND_GRID;
        match self.history.explains(beacon.fingerprint, ours, End::at(beacon.bound)) {
            Some(since) if !ignores_us => (Verdict::Behind, since),
            _ => (Verdict::Different, now.elapsed),
        }
    }

    /// Checks a record of another signer; see [`Set::verify`].
    pub(crate) fn verify(
        &mut self,
        statement: Statement,
        signature: Signature,
        time: Time,
    ) -> Result<Option<Record>, Refusal> {
        self.set.verify(statement, signature, time)
    }

    /// Admits a record that was verified, or that this node made.
    pub(crate) fn admit_verified(&mut self, record: Record, time: Time) -> Result<Admission, Refusal> {
        self.set.admit_verified(record, time)
    }

    /// Notes that the set admitted a record, and which record that replaced.
    pub(crate) fn note_change(&mut self, new: &Record, former: Option<&Record>, at: Duration) {
        self.history.note(new, former, at);
    }

    /// Replaces the policy. Returns the records that the new policy does not allow, and those that were signed in
    /// another swarm.
    pub(crate) fn adopt(&mut self, policy: Policy, moment: Moment) -> Vec<Key> {
        let limits = Limits::of(&policy);
        let before = std::mem::replace(&mut self.set, Set::new(policy, limits));
        let domain = |policy: &Policy, record: &Record| policy.domain(record.validity());
        let is_signed_here =
            |record: &&Record| domain(before.policy(), record) == domain(self.set.policy(), record);
        let (here, elsewhere): (Vec<&Record>, Vec<&Record>) = before.records().partition(is_signed_here);
        let mut dropped: Vec<Key> = elsewhere.into_iter().map(Key::from).collect();
        dropped.extend(self.set.restore(here.into_iter().cloned(), moment));
        dropped
    }

    /// Updates the roles, if one of them begins or ends. Returns the keys of the records that are removed.
    pub(crate) fn update_roles(&mut self, moment: Moment) -> Vec<Key> {
        self.set.update_roles(moment)
    }

    /// Removes records that need not be kept any longer, and returns their keys.
    pub(crate) fn advance(&mut self, moment: Moment) -> Vec<Key> {
        self.set.advance(moment)
    }
}
