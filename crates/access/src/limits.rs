//! Limits the number of streams, so that no peer can use up the memory or the slots of the others.

use dcache::PeerId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Maximum number of streams of all peers with a permission. Each has buffers of 128 KiB.
const MAX_STREAMS: usize = 64;
/// Maximum number of streams of one peer with a permission. A browser opens six connections with one host.
const MAX_OF_PEER: usize = 16;
/// Maximum number of streams of peers without a permission, which are refused within seconds.
const MAX_STRANGERS: usize = 16;

/// The streams that are open. All clones share the same counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits(Arc<Mutex<BTreeMap<Option<PeerId>, usize>>>);

/// One of the streams that are open. Dropping it frees its place.
#[derive(Debug)]
pub(crate) struct Slot {
    limits: Limits,
    /// The peer; `None` for peers without a permission, which share one limit.
    peer: Option<PeerId>,
}

impl Limits {
    /// Takes a place for a stream of a peer with a permission. Returns `None` if too many streams are open.
    pub(crate) fn of_peer(&self, peer: PeerId) -> Option<Slot> {
        let counts = self.lock();
        let all: usize = counts.iter().filter(|(peer, _)| peer.is_some()).map(|(_, count)| count).sum();
        let of_peer = counts.get(&Some(peer)).copied().unwrap_or(0);
        (all < MAX_STREAMS && of_peer < MAX_OF_PEER).then(|| self.take(counts, Some(peer)))
    }

    /// Takes a place for a stream of a peer without a permission. Returns `None` if too many are open.
    pub(crate) fn of_stranger(&self) -> Option<Slot> {
        let counts = self.lock();
        let strangers = counts.get(&None).copied().unwrap_or(0);
        (strangers < MAX_STRANGERS).then(|| self.take(counts, None))
    }

    fn take(
        &self,
        mut counts: MutexGuard<'_, BTreeMap<Option<PeerId>, usize>>,
        peer: Option<PeerId>,
    ) -> Slot {
        *counts.entry(peer).or_default() += 1;
        Slot { limits: self.clone(), peer }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Option<PeerId>, usize>> {
        // Each change is a single call that leaves the map consistent, so a poisoned lock is safe to use.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.limits.lock();
        let Some(count) = counts.get_mut(&self.peer) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&self.peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::Keypair;

    #[test]
    fn strangers_and_greedy_peers_leave_room_for_others() {
        let limits = Limits::default();
        let peer = |who| Keypair::from_seed([who; 32]).peer_id();
        let strangers: Vec<Slot> = std::iter::from_fn(|| limits.of_stranger()).collect();
        let greedy: Vec<Slot> = std::iter::from_fn(|| limits.of_peer(peer(1))).collect();
        assert_eq!((strangers.len(), greedy.len()), (MAX_STRANGERS, MAX_OF_PEER));
        let others: Vec<Slot> = (2..100).filter_map(|who| limits.of_peer(peer(who))).collect();
        assert_eq!(others.len(), MAX_STREAMS - MAX_OF_PEER);
        drop((strangers, greedy));
        assert!(limits.of_stranger().is_some() && limits.of_peer(peer(1)).is_some());
        drop(others);
        assert!(limits.lock().is_empty());
    }
}
