//! Peer IDs: libp2p peer IDs that contain an Ed25519 public key.

mod base58;

use base58::BYTES;
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Bytes before the key in a peer ID with an Ed25519 key (libp2p specification, *Peer Ids and Keys*). They are an
/// identity multihash of 36 bytes, which holds a protobuf with key type 1 (Ed25519) and 32 bytes of key.
const PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// A libp2p peer ID that contains an Ed25519 key (`12D3Koo…`). It identifies both a signer of records and an IPFS node.
/// The IDs of other kinds of keys contain only a hash, with which no signature can be verified. Such peers sign no
/// records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PeerId([u8; 32]);

/// Reason why a text is not the ID of a peer that can sign records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerIdError {
    /// The text is not base58, or is far too long for a peer ID.
    #[error("a peer ID is base58 text of about 52 characters")]
    Encoding,
    /// The text is a peer ID of another kind.
    #[error("not the peer ID of an Ed25519 key (they begin with 12D3Koo)")]
    Kind,
}

impl PeerId {
    /// Returns the ID of the peer with this public key (RFC 8032 encoding). Whether the key is a point of the curve is
    /// checked only when a signature is verified.
    pub const fn from_public_key(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Returns the public key, in the encoding of RFC 8032.
    pub const fn public_key(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the key for verification, or `None` if the 32 bytes are not a point of the curve.
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
    // One byte more than a valid ID has, so that a longer one is detected. A long text is never decoded completely.
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
        // The text is always ASCII.
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

    /// Encodes a peer ID with the library `bs58`, which uses the algorithm for any length.
    fn text(key: [u8; 32]) -> String {
        bs58::encode([&PREFIX[..], &key].concat()).into_string()
    }

    #[test]
    fn a_printed_id_parses_back_to_the_same_id() {
        let id = Keypair::from_seed([7; 32]).peer_id();
        assert!(id.to_string().starts_with("12D3Koo"));
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn other_ids_and_nonsense_are_refused() {
        // A hashed (RSA) peer ID, and texts that are empty, not base58 or too long.
        for text in ["QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "", "0OIl", &"1".repeat(10_000)] {
            assert!(text.parse::<PeerId>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_smallest_and_the_largest_id_are_encoded_like_the_others() {
        for key in [[0; 32], [255; 32]] {
            let id = PeerId::from_public_key(key);
            assert_eq!((id.to_string(), text(key).parse()), (text(key), Ok(id)));
        }
    }

    proptest! {
        #[test]
        fn an_id_is_encoded_as_in_the_library(key: [u8; 32]) {
            let id = PeerId::from_public_key(key);
            prop_assert_eq!(id.to_string(), text(key));
            prop_assert_eq!(text(key).parse(), Ok(id));
        }

        #[test]
        fn a_changed_text_is_parsed_as_in_the_library(key: [u8; 32], place in 0..52usize, character: char, cut in 0..2usize) {
            let right = text(key);
            let changed = [&right[..place], &character.to_string(), &right[place + cut..]].concat();
            let read: Option<PeerId> = changed.parse().ok();
            let bytes = bs58::decode(&changed).into_vec().unwrap_or_default();
            let key = bytes.strip_prefix(&PREFIX).and_then(|key| key.try_into().ok());
            prop_assert_eq!(read, key.map(PeerId::from_public_key));
        }

        #[test]
        fn a_text_of_valid_digits_is_not_always_an_id(text in "1?[1-9A-HJ-NP-Za-km-z]{50,52}") {
            let bytes = bs58::decode(&text).into_vec().unwrap_or_default();
            let key = bytes.strip_prefix(&PREFIX).and_then(|key| key.try_into().ok());
            prop_assert_eq!(text.parse().ok(), key.map(PeerId::from_public_key));
        }
    }
}
