//! The ID of a swarm with roots in batches.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::{Digest, Policy};

/// Identifies a swarm with roots in batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FleetId([u8; Self::BYTES]);

impl FleetId {
    /// Size of the ID in bytes.
    pub const BYTES: usize = 32;

    /// Returns the ID of the swarm with this policy. `None` stands for the open swarm, which has no collectors.
    pub fn of(policy: &Policy) -> Option<Self> {
        if policy.roots().is_empty() {
            return None;
        }
        let name = match policy.binding() {
            Some(binding) => binding.id.to_string(),
            // Files from before the introduction of swarm IDs have only their roots.
            None => policy.roots().iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        };
        Some(Self(*Digest::of(format!("dt-swarm fleet 1\0{name}").as_bytes()).as_bytes()))
    }

    /// Returns the ID with these bytes.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes of the ID.
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Binding, Keypair, PeerId, SwarmId, Time};
    use std::num::NonZeroU8;

    #[test]
    fn swarms_differ_by_their_id_or_else_by_their_roots() {
        let policy = |roots: &[u8], id: Option<u8>| {
            let peers = roots.iter().map(|seed| Keypair::from_seed([*seed; 32]).peer_id());
            let id = id.map(|id| Binding { id: SwarmId::from_bytes([id; 16]), from: Time(0) });
            FleetId::of(
                &Policy::new(peers.collect::<Vec<PeerId>>().into_iter().collect(), vec![], NonZeroU8::MIN)
                    .bound(id),
            )
        };
        assert_eq!(policy(&[], None), None, "the open swarm");
        assert_eq!(policy(&[1], Some(7)), policy(&[2], Some(7)), "roots change, and the ID stays");
        assert_ne!(policy(&[1], Some(7)), policy(&[1], Some(8)));
        assert_ne!(policy(&[1], None), policy(&[2], None));
    }
}
