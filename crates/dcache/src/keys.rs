//! Public keys, ready for use. Making one ready (finding the curve's point to its 32 bytes) takes a tenth of the time
//! of a verification, and most records are by peers who have spoken before.

use crate::PeerId;
use ed25519_dalek::VerifyingKey;
use std::collections::BTreeMap;

/// How many are kept: some 200 bytes each.
const MOST: usize = 1024;

/// The keys of those whose signatures were verified of late.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys(BTreeMap<PeerId, VerifyingKey>);

impl Keys {
    /// The key of a peer; `None` when its bytes are no point of the curve.
    pub(crate) fn of(&self, peer: PeerId) -> Option<VerifyingKey> {
        self.0.get(&peer).copied().or_else(|| peer.verifying_key())
    }

    /// Keeps the key of somebody whose signature fitted: nobody else gets in. When there is no room, all begin anew.
    pub(crate) fn keep(&mut self, peer: PeerId, key: VerifyingKey) {
        if self.0.len() >= MOST && !self.0.contains_key(&peer) {
            self.0.clear();
        }
        self.0.insert(peer, key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keypair;

    #[test]
    fn never_holds_more_than_it_may() {
        let mut keys = Keys::default();
        let key = Keypair::from_seed([1; 32]).peer_id().verifying_key().unwrap();
        for number in 0..3 * MOST {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_be_bytes());
            keys.keep(PeerId::from_public_key(id), key);
            assert!(keys.0.len() <= MOST);
        }
        assert_eq!(keys.of(PeerId::from_public_key([2; 32])), None, "no point of the curve");
    }
}
