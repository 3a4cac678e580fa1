//! Judges whether a peer may reach a port of this robot.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::permission::{Grantee, Permission};
use dcache::{Digest, Moment, PeerId, Policy, Role, Set, Time};
use serde::{Deserialize, Serialize};

/// Reason why a peer may not reach a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No permission names the peer or a role that it holds.
    #[error("no permission names the peer or its role")]
    Stranger,
    /// A permission names the peer or its role, but not this port.
    #[error("no permission of the peer names this port")]
    Port,
    /// The permission has ended.
    #[error("the permission has ended")]
    Ended,
    /// The permission has an end, and the time is not known.
    #[error("the permission has an end, and this robot does not know the time")]
    TimeUnknown,
    /// An admin of the swarm denies the peer.
    #[error("an admin of the swarm denies the peer")]
    Denied,
}

/// The facts about a peer on which the judgement depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) peer: PeerId,
    /// Strongest role of the peer now.
    pub(crate) role: Option<Role>,
    pub(crate) is_denied: bool,
    /// Number of the swarm of which the role is.
    pub(crate) swarm: u64,
}

impl Asker {
    /// Reads the facts about a peer.
    pub(crate) fn new(set: &Set, peer: PeerId, now: Time) -> Self {
        let (role, is_denied) = (set.role(peer, now), set.is_denied(peer, now));
        Self { peer, role, is_denied, swarm: swarm_number(set.policy()) }
    }

    /// Returns whether the permission names the peer, or a role that it holds.
    fn is_named_by(&self, permission: &Permission) -> bool {
        match permission.grantee {
            Grantee::Peer(peer) => peer == self.peer,
            Grantee::Role(role) => {
                permission.swarm == self.swarm && self.role.is_some_and(|held| held >= role.role())
            }
        }
    }
}

/// Returns a number that identifies the swarm of a policy: by its ID, or by its roots if its file is from before the
/// introduction of swarm IDs.
pub(crate) fn swarm_number(policy: &Policy) -> u64 {
    if policy.binding().is_some() {
        return policy.mark();
    }
    let roots: Vec<u8> = policy.roots().iter().flat_map(|root| *root.public_key()).collect();
    Digest::of(&roots).as_bytes().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Judges whether a peer may reach a port; without a port, whether it may reach any port.
pub(crate) fn judge<'a>(
    permissions: impl Iterator<Item = &'a Permission>,
    asker: &Asker,
    port: Option<u16>,
    now: Moment,
) -> Result<(), Refusal> {
    if asker.is_denied {
        return Err(Refusal::Denied);
    }
    let mut best = Err(Refusal::Stranger);
    for permission in permissions.filter(|permission| asker.is_named_by(permission)) {
        match standing(permission, port, now) {
            Ok(()) => return Ok(()),
            // Later reasons are closer to a permission.
            Err(refusal) => best = best.max(Err(refusal)),
        }
    }
    best
}

/// Judges by one permission that names the peer or its role.
fn standing(permission: &Permission, port: Option<u16>, now: Moment) -> Result<(), Refusal> {
    if port.is_some_and(|port| port != permission.port) {
        return Err(Refusal::Port);
    }
    match permission.until {
        Some(until) if until <= now.latest() => Err(Refusal::Ended),
        Some(_) if !now.is_certain => Err(Refusal::TimeUnknown),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission::GivenRole;
    use dcache::Keypair;

    const NOW: Time = Time(1_800_000_000);

    fn peer(who: u8) -> PeerId {
        Keypair::from_seed([who; 32]).peer_id()
    }

    fn asker(who: u8, role: Option<Role>) -> Asker {
        Asker { peer: peer(who), role, is_denied: false, swarm: 7 }
    }

    fn to(grantee: Grantee, port: u16) -> Permission {
        Permission { grantee, port, given: NOW, until: None, swarm: 7 }
    }

    fn judged(permissions: &[Permission], asker: Asker, port: u16) -> Result<(), Refusal> {
        judge(permissions.iter(), &asker, Some(port), Moment::certain(NOW))
    }

    #[test]
    fn without_a_permission_nobody_is_allowed() {
        for role in [None, Some(Role::Peer), Some(Role::Root)] {
            assert_eq!(judged(&[], asker(1, role), 22), Err(Refusal::Stranger));
            assert_eq!(judge([].iter(), &asker(1, role), None, Moment::certain(NOW)), Err(Refusal::Stranger));
        }
    }

    #[test]
    fn only_the_named_peer_reaches_only_the_named_port() {
        let permissions = [to(Grantee::Peer(peer(1)), 22)];
        assert_eq!(judged(&permissions, asker(1, None), 22), Ok(()));
        assert_eq!(judged(&permissions, asker(1, None), 23), Err(Refusal::Port));
        assert_eq!(judged(&permissions, asker(2, Some(Role::Root)), 22), Err(Refusal::Stranger));
    }

    #[test]
    fn a_role_includes_stronger_ones_and_counts_only_in_its_swarm() {
        let permissions = [to(Grantee::Role(GivenRole::Admin), 22)];
        for (role, allowed) in [
            (None, false),
            (Some(Role::Peer), false),
            (Some(Role::Trusted), false),
            (Some(Role::Admin), true),
            (Some(Role::Root), true),
        ] {
            assert_eq!(judged(&permissions, asker(1, role), 22).is_ok(), allowed, "{role:?}");
        }
        let elsewhere = Asker { swarm: 8, ..asker(1, Some(Role::Root)) };
        assert_eq!(judged(&permissions, elsewhere, 22), Err(Refusal::Stranger));
    }

    #[test]
    fn a_denied_peer_is_refused_even_if_a_permission_names_it() {
        let permissions = [to(Grantee::Peer(peer(1)), 22)];
        let denied = Asker { is_denied: true, ..asker(1, Some(Role::Root)) };
        assert_eq!(judged(&permissions, denied, 22), Err(Refusal::Denied));
    }

    #[test]
    fn a_permission_ends_at_its_end_and_while_the_time_is_unknown() {
        let until = |seconds| Permission { until: Some(seconds), ..to(Grantee::Peer(peer(1)), 22) };
        let judged = |permission: Permission, now| judge([permission].iter(), &asker(1, None), Some(22), now);
        let now = Moment::certain(NOW);
        assert_eq!(judged(until(NOW.plus(1)), now), Ok(()));
        assert_eq!(judged(until(NOW), now), Err(Refusal::Ended));
        let doubtful = Moment { is_certain: false, ..now };
        assert_eq!(judged(until(NOW.plus(1)), doubtful), Err(Refusal::TimeUnknown));
        assert_eq!(judged(to(Grantee::Peer(peer(1)), 22), doubtful), Ok(()), "it has no end");
        let behind = Moment { neighbours: NOW.plus(9), ..now };
        assert_eq!(judged(until(NOW.plus(5)), behind), Err(Refusal::Ended), "the later of two clocks counts");
    }

    #[test]
    fn one_valid_permission_suffices() {
        let ended = Permission { until: Some(NOW), ..to(Grantee::Peer(peer(1)), 22) };
        let permissions = [ended, to(Grantee::Role(GivenRole::Trusted), 22), to(Grantee::Peer(peer(1)), 80)];
        assert_eq!(judged(&permissions, asker(1, Some(Role::Trusted)), 22), Ok(()));
        assert_eq!(
            judged(&permissions, asker(1, None), 22),
            Err(Refusal::Ended),
            "the closest reason is told"
        );
        assert_eq!(judged(&permissions, asker(1, None), 80), Ok(()));
    }
}
