//! The key for which batches are sealed: an X25519 key of a collector.
//!
//! HKDF-SHA256 derives it from the seed of the collector's identity. So it needs no file of its own, and the same
//! identity always has the same key. It differs from the signing key, so that neither weakens the other.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dcache::Keypair;
use hkdf::Hkdf;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, Serializable as _};
use sha2::Sha256;
use std::fmt;
use std::str::FromStr;
use zeroize::{Zeroize as _, Zeroizing};

/// Size of a key in bytes.
pub(super) const KEY_BYTES: usize = 32;
/// Salt that separates this key from other uses of the seed.
const DOMAIN: &[u8] = b"dt-swarm identity seed 1";
/// Label of the key.
const LABEL: &[u8] = b"collector sealing key";
/// Word before a key in a record. Keys of other kinds will have other words.
const KIND: &str = "x25519 ";

type Secret = <X25519HkdfSha256 as Kem>::PrivateKey;

/// The secret key of a collector.
#[derive(Clone)]
pub struct SealingKey(Secret);

impl SealingKey {
    /// Derives the key from the identity of a collector.
    #[expect(clippy::expect_used, reason = "HKDF gives up to 255 times 32 bytes")]
    pub fn of(identity: &Keypair) -> Self {
        let (mut seed, mut secret) = (identity.seed(), Zeroizing::new([0; KEY_BYTES]));
        let expanded = Hkdf::<Sha256>::new(Some(DOMAIN), &seed).expand(LABEL, &mut *secret);
        expanded.expect("HKDF-SHA256 can derive 32 bytes");
        seed.zeroize();
        Self(X25519HkdfSha256::derive_keypair(&*secret).0)
    }

    /// Returns the key that is published.
    pub fn public(&self) -> SealingPublicKey {
        SealingPublicKey(X25519HkdfSha256::sk_to_pk(&self.0).to_bytes().into())
    }

    pub(super) const fn secret(&self) -> &Secret {
        &self.0
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(…)")
    }
}

/// The published key of a collector. Its text form is `x25519`, a space, and the key in base64url without padding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SealingPublicKey([u8; KEY_BYTES]);

/// Error for a text that is not the key of a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key of a collector is `x25519`, a space, and 43 characters of base64url")]
pub struct NotAKey;

impl SealingPublicKey {
    pub(super) fn key(self) -> Option<<X25519HkdfSha256 as Kem>::PublicKey> {
        <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&self.0).ok()
    }
}

impl fmt::Display for SealingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KIND}{}", URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for SealingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingPublicKey({self})")
    }
}

impl FromStr for SealingPublicKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let mut key = [0; KEY_BYTES];
        // 32 bytes are 43 characters; a text of any other length is not decoded.
        let text = text.strip_prefix(KIND).filter(|key| key.len() == 43).ok_or(NotAKey)?;
        let decoded = URL_SAFE_NO_PAD.decode_slice(text, &mut key);
        if decoded == Ok(KEY_BYTES) { Ok(Self(key)) } else { Err(NotAKey) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_depends_on_the_identity_only_and_is_not_the_identity() {
        let key = |seed: u8| SealingKey::of(&Keypair::from_seed([seed; 32]));
        assert_eq!(key(1).public(), key(1).public());
        assert_ne!(key(1).public(), key(2).public());
        let identity = Keypair::from_seed([1; 32]);
        assert_ne!(&key(1).public().0, identity.peer_id().public_key());
        assert_ne!(key(1).0.to_bytes().as_slice(), &identity.seed());
        assert_eq!(format!("{:?}", key(1)), "SealingKey(…)");
    }

    #[test]
    fn only_one_text_names_a_key() {
        let key = SealingKey::of(&Keypair::from_seed([1; 32])).public();
        let text = key.to_string();
        assert_eq!((text.parse(), text.len() <= 64), (Ok(key), true));
        for wrong in [
            "",
            "x25519",
            "x25519 ",
            &text[1..],
            &format!("{text}="),
            &format!("{text} "),
            &text[..49],
            &text.to_uppercase(),
        ] {
            assert_eq!(wrong.parse::<SealingPublicKey>(), Err(NotAKey), "{wrong}");
        }
    }
}
