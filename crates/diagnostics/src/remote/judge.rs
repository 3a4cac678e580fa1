//! Judges whether a peer may read the metrics of this robot.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::{PeerId, Role, Set, Time};

/// The facts about a peer that do not follow from records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Whether the swarm has a key. Then only members can open a stream.
    pub has_key: bool,
    /// Whether the peer is connected directly from one of the own networks of this robot.
    pub is_near: bool,
}

/// Returns whether a peer may read the metrics. In a swarm with a key, each member may. Elsewhere, holders of the role trusted
/// or a stronger one may, and peers on the own networks of this robot.
pub fn may_read(set: &Set, peer: PeerId, now: Time, around: Surroundings) -> bool {
    let has_role = || set.role(peer, now).is_some_and(|role| role >= Role::Trusted);
    !set.is_denied(peer, now) && (around.has_key || around.is_near || has_role())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{
        Data, End, Item, Keypair, Kind, Limits, Moment, Policy, Record, Rule, Statement, Validity, buckets,
    };
    use std::num::NonZeroU8;

    const NOW: Time = Time(1_800_000_000);
    const NEAR: Surroundings = Surroundings { has_key: false, is_near: true };
    const KEYED: Surroundings = Surroundings { has_key: true, is_near: false };
    const FAR: Surroundings = Surroundings { has_key: false, is_near: false };

    fn key(seed: u8) -> Keypair {
        Keypair::from_seed([seed; 32])
    }

    #[test]
    fn strangers_read_only_on_the_own_networks_and_denied_peers_nowhere() {
        let policy = Policy::new([key(1).peer_id()].into(), Vec::<Rule>::new(), NonZeroU8::MIN);
        let mut set = Set::new(policy, Limits::default());
        let reads = |set: &Set, seed| {
            [NEAR, KEYED, FAR].map(|around| may_read(set, key(seed).peer_id(), NOW, around))
        };
        assert_eq!(reads(&set, 1), [true, true, true], "a root");
        assert_eq!(reads(&set, 2), [true, true, false], "a stranger");
        let item =
            Item { bucket: buckets::PEER.path(), data: Data::new(&key(2).peer_id().to_string()).unwrap() };
        let statement = Statement::new(Kind::Dismiss, item, Validity::starting(NOW, 600)).unwrap();
        set.admit_verified(Record::sign(statement, &key(1), 1, End::default()), NOW).unwrap();
        set.update_roles(Moment::certain(NOW));
        assert_eq!(reads(&set, 2), [false; 3], "a denied peer");
    }
}
