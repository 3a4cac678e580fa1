//! The key that a swarm shares, and the keys that are made from it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use sha2::Sha256;
use std::fmt;
use std::str::FromStr;
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

/// The bytes of a swarm key.
pub const KEY_BYTES: usize = 32;
/// Tells our keys from whatever else may be made of the same bytes.
const DOMAIN: &[u8] = b"dt-swarm swarm key 1";

/// The key of a swarm: 32 random bytes, written as base64url without padding. It is wiped from memory when dropped, and is
/// never shown unless asked by [`SwarmKey::reveal`].
#[derive(Clone, PartialEq, Eq)]
pub struct SwarmKey([u8; KEY_BYTES]);

/// A text that is no swarm key. It is not shown: it may be one with a mistake in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a swarm key is {KEY_BYTES} bytes in base64url without padding: 43 letters, digits, `-` and `_`")]
pub struct KeyError;

/// A key with one purpose.
pub(crate) type SubKey = Zeroizing<[u8; KEY_BYTES]>;

impl SwarmKey {
    /// The key of these bytes, which nobody can guess.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The text of the key, for the swarm file.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The pre-shared key of the swarm's private libp2p network.
    pub fn libp2p(&self) -> [u8; KEY_BYTES] {
        *derive(DOMAIN, &self.0, "libp2p private network")
    }

    /// Of lines that stand for themselves.
    pub(crate) fn datagrams(&self) -> SubKey {
        derive(DOMAIN, &self.0, "datagrams")
    }

    /// Of links, from which each gets its own.
    pub(crate) fn links(&self) -> SubKey {
        derive(DOMAIN, &self.0, "links")
    }
}

/// HKDF-SHA256 (RFC 5869): the key for what the label says.
#[expect(clippy::expect_used, reason = "HKDF gives up to 255 times 32 bytes")]
pub(crate) fn derive(salt: &[u8], secret: &[u8], label: &str) -> SubKey {
    let mut key = SubKey::default();
    let expanded = Hkdf::<Sha256>::new(Some(salt), secret).expand(label.as_bytes(), &mut *key);
    expanded.expect("32 bytes");
    key
}

impl FromStr for SwarmKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError)?);
        bytes.as_slice().try_into().map(Self).map_err(|_| KeyError)
    }
}

impl Drop for SwarmKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for SwarmKey {}

impl fmt::Debug for SwarmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SwarmKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes_and_shows_nothing() {
        let key = SwarmKey::from_bytes([7; KEY_BYTES]);
        assert_eq!(key.reveal(), "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc");
        assert_eq!(key.reveal().parse(), Ok(key.clone()));
        assert_eq!(format!("{key:?}"), "SwarmKey(…)");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let text = SwarmKey::from_bytes([255; KEY_BYTES]).reveal();
        for wrong in [
            "",
            "BwcH",
            &text[1..],
            &format!("{text}="),
            &format!(" {text}"),
            &format!("A{text}"),
            &text.replace('_', "/"),
            // The last letter has two bits that mean nothing: one key, one text.
            &format!("{}9", &text[..42]),
        ] {
            assert_eq!(wrong.parse::<SwarmKey>(), Err(KeyError), "{wrong}");
        }
    }

    #[test]
    fn no_key_is_used_for_two_purposes() {
        let (key, other) = (SwarmKey::from_bytes([7; KEY_BYTES]), SwarmKey::from_bytes([8; KEY_BYTES]));
        let keys = [key.0, key.libp2p(), *key.datagrams(), *key.links(), other.libp2p(), *other.datagrams()];
        for (place, one) in keys.iter().enumerate() {
            assert!(!keys[place + 1..].contains(one), "{place}");
        }
    }
}
