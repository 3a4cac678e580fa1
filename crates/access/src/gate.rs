//! The decider of the service: which open streams have to end.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::judge::{Asker, Refusal, judge};
use crate::permission::{Permission, PermissionKey};
use dcache::{Moment, PeerId, Set, Time};
use service::{Decide, Decision};
use std::collections::BTreeMap;

/// Number of a stream among those of this daemon.
pub(crate) type StreamNumber = u64;

/// The permissions of this robot, and the streams that are open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    permissions: BTreeMap<PermissionKey, Permission>,
    open: BTreeMap<StreamNumber, (PeerId, u16)>,
}

impl Gate {
    pub(crate) fn new(permissions: impl IntoIterator<Item = Permission>) -> Self {
        let permissions = permissions.into_iter().map(|permission| (permission.key(), permission));
        Self { permissions: permissions.collect(), open: BTreeMap::new() }
    }

    /// Returns all permissions, sorted by grantee and port.
    pub(crate) fn permissions(&self) -> impl Iterator<Item = &Permission> {
        self.permissions.values()
    }

    /// Adds permissions. Each replaces one for the same grantee and port.
    pub(crate) fn allow(&mut self, permissions: &[Permission]) {
        self.permissions.extend(permissions.iter().map(|permission| (permission.key(), *permission)));
    }

    /// Removes the permissions with these keys.
    pub(crate) fn take_back(&mut self, keys: &[PermissionKey]) {
        self.permissions.retain(|key, _| !keys.contains(key));
    }

    /// Notes a stream that begins. It is judged afterwards, so that a change meanwhile is not missed.
    pub(crate) fn begin(&mut self, number: StreamNumber, peer: PeerId, port: u16) {
        self.open.insert(number, (peer, port));
    }

    /// Notes the end of a stream.
    pub(crate) fn end(&mut self, number: StreamNumber) {
        self.open.remove(&number);
    }

    /// Judges whether a peer may reach a port; without a port, whether it may reach any port.
    pub(crate) fn judge(
        &self,
        set: &Set,
        peer: PeerId,
        port: Option<u16>,
        now: Moment,
    ) -> Result<(), Refusal> {
        judge(self.permissions.values(), &Asker::new(set, peer, now.time), port, now)
    }

    /// Returns the next time at which a permission ends. No other time matters while no stream is open.
    fn next_end(&self, now: Time) -> Option<Time> {
        self.permissions.values().filter_map(|permission| permission.until).filter(|until| *until > now).min()
    }
}

impl Decide for Gate {
    /// A stream that has to end, and the reason.
    type Action = (StreamNumber, Refusal);

    fn decide(&mut self, set: &Set, now: Moment) -> Decision<Self::Action> {
        if self.open.is_empty() {
            return Decision::default();
        }
        let judged = self
            .open
            .iter()
            .map(|(number, (peer, port))| (*number, self.judge(set, *peer, Some(*port), now)));
        let actions = judged.filter_map(|(number, judged)| Some((number, judged.err()?))).collect();
        let wake = set.next_edge(&[], now.time).into_iter().chain(self.next_end(now.time)).min();
        Decision { actions, wake, ..Decision::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::swarm_number;
    use crate::permission::{GivenRole, Grantee};
    use dcache::{Data, End, Item, Keypair, Kind, Limits, Policy, Record, Statement, Validity, buckets};
    use std::num::NonZeroU8;

    const NOW: Time = Time(1_800_000_000);

    fn key(who: u8) -> Keypair {
        Keypair::from_seed([who; 32])
    }

    fn policy() -> Policy {
        Policy::new([key(1).peer_id()].into(), Vec::new(), NonZeroU8::MIN)
    }

    fn permission(grantee: Grantee, until: Option<Time>) -> Permission {
        Permission { grantee, port: 22, given: NOW, until, swarm: swarm_number(&policy()) }
    }

    /// A swarm with the root 1, which makes a statement about the role *admin* of the peer 2.
    fn say(set: &mut Set, kind: Kind, sequence: u64, seconds: u64) {
        let item = Item { bucket: buckets::ADMIN.path(), data: Data::from(key(2).peer_id()) };
        let statement = Statement::new(kind, item, Validity::starting(NOW, seconds)).unwrap();
        set.admit_verified(Record::sign(statement, &key(1), sequence, End::default()), NOW).unwrap();
    }

    #[test]
    fn a_stream_ends_when_the_permission_is_taken_back_or_ends() {
        let peer = key(2).peer_id();
        let kept = permission(Grantee::Peer(peer), Some(NOW.plus(100)));
        let mut gate = Gate::new([kept]);
        let set = Set::default();
        gate.begin(5, peer, 22);
        let decision = gate.decide(&set, Moment::certain(NOW));
        assert_eq!((decision.actions, decision.wake), (vec![], Some(NOW.plus(100))));
        let ended = gate.clone().decide(&set, Moment::certain(NOW.plus(100)));
        assert_eq!(ended.actions, [(5, Refusal::Ended)]);
        gate.take_back(&[kept.key()]);
        assert_eq!(gate.decide(&set, Moment::certain(NOW)).actions, [(5, Refusal::Stranger)]);
        gate.end(5);
        assert_eq!(gate.decide(&set, Moment::certain(NOW)), Decision::default());
    }

    #[test]
    fn a_stream_ends_when_the_role_is_taken_away_or_ends() {
        let mut set = Set::new(policy(), Limits::NONE);
        let mut gate = Gate::new([permission(Grantee::Role(GivenRole::Admin), None)]);
        gate.begin(1, key(2).peer_id(), 22);
        let decide = |gate: &mut Gate, set: &Set, now| gate.decide(set, Moment::certain(now));
        assert_eq!(decide(&mut gate, &set, NOW).actions, [(1, Refusal::Stranger)]);
        say(&mut set, Kind::Propose, 1, 1000);
        let decision = decide(&mut gate, &set, NOW);
        assert_eq!((decision.actions, decision.wake), (vec![], Some(NOW.plus(1000))));
        assert_eq!(decide(&mut gate, &set, NOW.plus(1000)).actions, [(1, Refusal::Stranger)]);
        say(&mut set, Kind::Dismiss, 2, 2000);
        assert_eq!(decide(&mut gate, &set, NOW).actions, [(1, Refusal::Stranger)]);
    }
}
