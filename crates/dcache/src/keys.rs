//! Cache of decoded public keys. Decoding a key (finding the curve point of its 32 bytes) takes a tenth of the time of
//! a verification, and most records come from signers whose earlier records are already verified.

use crate::PeerId;
use ed25519_dalek::VerifyingKey;
use std::collections::BTreeMap;

/// Maximum number of cached keys, of about 200 bytes each.
const MOST: usize = 1024;

/// Keys of signers whose signatures were verified recently.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys(BTreeMap<PeerId, VerifyingKey>);

impl Keys {
    /// Returns the key of a peer, or `None` if its bytes are not a point of the curve.
    pub(crate) fn of(&self, peer: PeerId) -> Option<VerifyingKey> {
        self.0.get(&peer).copied().or_else(|| peer.verifying_key())
    }

    /// Caches the key of a peer whose signature was valid; other keys must not be cached. Clears the cache when it is
    /// full.
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
    fn the_cache_never_exceeds_its_limit() {
        let mut keys = Keys::default();
        let key = Keypair::from_seed([1; 32]).peer_id().verifying_key().unwrap();
        for number in 0..3 * MOST {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_be_bytes());
            keys.keep(PeerId::from_public_key(id), key);
            assert!(keys.0.len() <= MOST);
        }
        assert_eq!(keys.of(PeerId::from_public_key([2; 32])), None, "not a point of the curve");
    }
}
