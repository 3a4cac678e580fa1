//! Ed25519 keys of a repository.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::edit_error::EditError;
use super::metadata::{Key, KeyValue};
use crate::canonical::canonical;
use crate::hex;
use crate::limits::MAX_KEYS;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// Identifier of a key: the SHA-256 of the canonical form of its public part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub(super) String);

/// A public key, which can verify signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// A secret key. It is erased from memory when it is dropped.
pub struct SecretKey(SigningKey);

/// Makes signatures, for example with a key on another device.
pub trait Signer {
    /// Returns the public key.
    fn public_key(&self) -> PublicKey;
    /// Returns the Ed25519 signature of the bytes.
    fn sign(&self, bytes: &[u8]) -> [u8; 64];
}

/// The keys of a role, and how many of them must sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    keys: BTreeMap<KeyId, PublicKey>,
    threshold: usize,
}

impl PublicKey {
    /// Returns the key with these bytes.
    ///
    /// # Errors
    /// Returns an error if the bytes are not a public key.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, EditError> {
        let key = VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak());
        key.map(Self).ok_or_else(|| EditError::NotAKey(hex::encode(bytes)))
    }

    /// Returns the identifier of the key. It is the one that `securesystemslib` computes.
    pub fn id(&self) -> KeyId {
        let key = json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": self.to_string()}});
        // The value has no number, so it has a canonical form.
        KeyId(hex::encode(&Sha256::digest(canonical(&key).unwrap_or_default())))
    }

    /// Returns whether this is a signature of the bytes.
    pub(super) fn verifies(&self, bytes: &[u8], signature: &str) -> bool {
        let signature = hex::decode(signature).map(|bytes| Signature::from_bytes(&bytes));
        signature.is_some_and(|signature| self.0.verify_strict(bytes, &signature).is_ok())
    }

    pub(super) fn to_metadata(&self) -> Key {
        let keyval = KeyValue { public: self.to_string(), extra: Map::new() };
        Key { keytype: "ed25519".to_owned(), scheme: "ed25519".to_owned(), keyval, extra: Map::new() }
    }

    pub(super) fn of_metadata(key: &Key) -> Option<Self> {
        let is_ed25519 = key.keytype == "ed25519" && key.scheme == "ed25519";
        is_ed25519.then(|| key.keyval.public.parse().ok()).flatten()
    }
}

/// The 32 bytes of the key in hexadecimal digits.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0.as_bytes()))
    }
}

impl FromStr for PublicKey {
    type Err = EditError;

    fn from_str(text: &str) -> Result<Self, EditError> {
        let bytes = hex::decode(text).ok_or_else(|| EditError::NotAKey(text.to_owned()))?;
        Self::from_bytes(&bytes)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SecretKey {
    /// Returns the key with these 32 random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Returns the bytes from which the key can be made again. The caller has to keep them secret.
    pub fn to_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }
}

impl Signer for SecretKey {
    fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }
}

/// The secret part is not shown.
impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretKey").field(&self.public_key().to_string()).finish()
    }
}

impl KeySet {
    /// Returns a set of keys, of which `threshold` must sign. A key that is named twice counts once.
    ///
    /// # Errors
    /// Returns an error if there are no keys or too many, or if the threshold is zero or cannot be reached.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>, threshold: usize) -> Result<Self, EditError> {
        let keys: BTreeMap<_, _> = keys.into_iter().map(|key| (key.id(), key)).collect();
        if keys.len() > MAX_KEYS || !(1..=keys.len()).contains(&threshold) {
            return Err(EditError::Keys { keys: keys.len(), threshold });
        }
        Ok(Self { keys, threshold })
    }

    /// Returns the keys by their identifiers.
    pub fn keys(&self) -> &BTreeMap<KeyId, PublicKey> {
        &self.keys
    }

    /// Returns how many keys must sign.
    pub fn threshold(&self) -> usize {
        self.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> PublicKey {
        SecretKey::from_seed(&[seed; 32]).public_key()
    }

    #[test]
    fn a_threshold_can_be_reached_by_different_keys() {
        assert!(KeySet::new([key(1), key(2)], 2).is_ok());
        for (keys, threshold) in [(vec![], 0), (vec![], 1), (vec![key(1)], 0), (vec![key(1), key(1)], 2)] {
            assert!(matches!(KeySet::new(keys, threshold), Err(EditError::Keys { .. })));
        }
        assert!(KeySet::new((0..=MAX_KEYS).map(|seed| key(seed as u8)), 1).is_err());
    }

    #[test]
    fn a_key_is_the_same_after_writing_and_parsing() {
        let secret = SecretKey::from_seed(&[3; 32]);
        assert_eq!(secret.public_key().to_string().parse::<PublicKey>().unwrap(), secret.public_key());
        assert_eq!(SecretKey::from_seed(&secret.to_seed()).public_key(), secret.public_key());
        assert!(!format!("{secret:?}").contains("0303"));
        for text in ["", "00", &"0".repeat(64), &format!("01{}", "0".repeat(62))] {
            assert!(matches!(text.parse::<PublicKey>(), Err(EditError::NotAKey(_))), "{text}");
        }
    }

    #[test]
    fn only_the_right_key_verifies_the_right_bytes() {
        let secret = SecretKey::from_seed(&[3; 32]);
        let signature = hex::encode(&secret.sign(b"bytes"));
        assert!(secret.public_key().verifies(b"bytes", &signature));
        assert!(!secret.public_key().verifies(b"other", &signature));
        assert!(!key(4).verifies(b"bytes", &signature));
        assert!(!secret.public_key().verifies(b"bytes", "00"));
    }
}
