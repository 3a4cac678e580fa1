//! Who speaks: a libp2p peer ID that holds its Ed25519 key.

mod base58;

use base58::BYTES;
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What precedes the key in the bytes of such a peer ID (libp2p specification, *Peer Ids and Keys*): an identity
/// multihash of 36 bytes, holding a protobuf with key type 1 (Ed25519) and 32 bytes of key.
const PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// A libp2p peer ID with an Ed25519 key inside it (`12D3Koo…`): a signer of records and an IPFS node in one. Keys of
/// other kinds are hashed into their IDs, so that nothing could be verified with them; they sign no records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PeerId([u8; 32]);

/// Why a text is not the ID of a peer that can sign records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerIdError {
    /// Not base58, or far too long to be looked at.
    #[error("a peer ID is base58 text of about 52 characters")]
    Encoding,
    /// A peer ID of another kind.
    #[error("not the peer ID of an Ed25519 key (they begin with 12D3Koo)")]
    Kind,
}

impl PeerId {
    /// The ID of the peer with this public key (RFC 8032 encoding). Whether the key is a point of the curve shows only
    /// when a signature is verified.
    pub const fn from_public_key(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The public key inside, in the encoding of RFC 8032.
    pub const fn public_key(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key to verify with; `None` when the 32 bytes are no point of the curve.
    pub(crate) fn verifying_key(&self) -> Option<VerifyingKey> {
        VerifyingKey::from_bytes(&self.0).ok()
    }
}

impl FromStr for PeerId {
    type Err = PeerIdError;
    fn from_str(text: &str) -> Result<Self, PeerIdError> {
        let key = base58::decode(text).and_then(|bytes| key(&bytes));
        key.map_or_else(|| Err(why_none(text)), |key| Ok(Self(key)))
    }
}

fn key(bytes: &[u8; BYTES]) -> Option<[u8; 32]> {
    bytes.strip_prefix(&PREFIX)?.try_into().ok()
}

fn why_none(text: &str) -> PeerIdError {
    // One byte more than a valid ID has, so that a longer one shows; no long text is ever decoded.
    let mut bytes = [0; BYTES + 1];
    match bs58::decode(text).onto(&mut bytes[..]) {
        Ok(_) => PeerIdError::Kind,
        Err(_) => PeerIdError::Encoding,
    }
}

impl TryFrom<String> for PeerId {
    type Error = PeerIdError;
    fn try_from(text: String) -> Result<Self, PeerIdError> {
        text.parse()
    }
}

impl From<PeerId> for String {
    fn from(id: PeerId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; BYTES];
        bytes[..PREFIX.len()].copy_from_slice(&PREFIX);
        bytes[PREFIX.len()..].copy_from_slice(&self.0);
        // Always ASCII.
        f.write_str(std::str::from_utf8(&base58::encode(&bytes)).unwrap_or_default())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keypair;
    use proptest::prelude::*;

    /// By the library, which knows only the general algorithm.
    fn text(key: [u8; 32]) -> String {
        bs58::encode([&PREFIX[..], &key].concat()).into_string()
    }

    #[test]
    fn reads_back_what_it_prints() {
        let id = Keypair::from_seed([7; 32]).peer_id();
        assert!(id.to_string().starts_with("12D3Koo"));
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn other_ids_and_nonsense_are_refused() {
        // A hashed (RSA) peer ID, a CID, and texts that are no base58.
        for text in ["QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "", "0OIl", &"1".repeat(10_000)] {
            assert!(text.parse::<PeerId>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_smallest_and_the_largest_are_spelt_like_the_others() {
        for key in [[0; 32], [255; 32]] {
            let id = PeerId::from_public_key(key);
            assert_eq!((id.to_string(), text(key).parse()), (text(key), Ok(id)));
        }
    }

    proptest! {
        #[test]
        fn is_spelt_as_base58_is_spelt(key: [u8; 32]) {
            let id = PeerId::from_public_key(key);
            prop_assert_eq!(id.to_string(), text(key));
            prop_assert_eq!(text(key).parse(), Ok(id));
        }

        #[test]
        fn no_other_text_is_taken(key: [u8; 32], place in 0..52usize, character: char, cut in 0..2usize) {
            let right = text(key);
            let changed = [&right[..place], &character.to_string(), &right[place + cut..]].concat();
            let read: Option<PeerId> = changed.parse().ok();
            let bytes = bs58::decode(&changed).into_vec().unwrap_or_default();
            let key = bytes.strip_prefix(&PREFIX).and_then(|key| key.try_into().ok());
            prop_assert_eq!(read, key.map(PeerId::from_public_key));
        }

        #[test]
        fn digits_alone_are_not_enough(text in "1?[1-9A-HJ-NP-Za-km-z]{50,52}") {
            let bytes = bs58::decode(&text).into_vec().unwrap_or_default();
            let key = bytes.strip_prefix(&PREFIX).and_then(|key| key.try_into().ok());
            prop_assert_eq!(text.parse().ok(), key.map(PeerId::from_public_key));
        }
    }
}
