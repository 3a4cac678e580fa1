//! The swarm key, and the keys that are derived from it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use sha2::Sha256;
use std::fmt;
use std::str::FromStr;
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

/// Size of a swarm key in bytes.
pub const KEY_BYTES: usize = 32;
/// Salt that separates our derived keys from all other uses of the same bytes.
const DOMAIN: &[u8] = b"dt-swarm swarm key 1";

/// The key of a swarm: 32 random bytes, written as base64url without padding. It is wiped from memory when dropped, and
/// is shown only by [`SwarmKey::reveal`].
#[derive(Clone, PartialEq, Eq)]
pub struct SwarmKey([u8; KEY_BYTES]);

/// Error for a text that is not a swarm key. It does not show the text, which may be a key with a typing mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a swarm key is {KEY_BYTES} bytes in base64url without padding: 43 letters, digits, `-` and `_`")]
pub struct KeyError;

/// A derived key for a single purpose.
pub(crate) type SubKey = Zeroizing<[u8; KEY_BYTES]>;

impl SwarmKey {
    /// Creates the key from these bytes, which must be random.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns the text of the key, for the swarm file.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Returns the pre-shared key of the swarm's private libp2p network.
    pub fn libp2p(&self) -> [u8; KEY_BYTES] {
        *derive(DOMAIN, &self.0, "libp2p private network")
    }

    /// Returns the key for independent lines.
    pub(crate) fn datagrams(&self) -> SubKey {
        derive(DOMAIN, &self.0, "datagrams")
    }

    /// Returns the key for links, from which each link derives its own keys.
    pub(crate) fn links(&self) -> SubKey {
        derive(DOMAIN, &self.0, "links")
    }
}

/// Derives the key with this label by HKDF-SHA256 (RFC 5869).
#[expect(clippy::expect_used, reason = "HKDF gives up to 255 times 32 bytes")]
pub(crate) fn derive(salt: &[u8], secret: &[u8], label: &str) -> SubKey {
    let mut key = SubKey::default();
    let expanded = Hkdf::<Sha256>::new(Some(salt), secret).expand(label.as_bytes(), &mut *key);
    expanded.expect("HKDF-SHA256 can derive 32 bytes");
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
    fn a_key_reads_back_from_its_text_and_is_not_shown() {
        let key = SwarmKey::from_bytes([7; KEY_BYTES]);
        assert_eq!(key.reveal(), "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc");
        assert_eq!(key.reveal().parse(), Ok(key.clone()));
        assert_eq!(format!("{key:?}"), "SwarmKey(…)");
    }

    #[test]
    fn a_text_that_is_no_key_is_refused() {
        let text = SwarmKey::from_bytes([255; KEY_BYTES]).reveal();
        for wrong in [
            "",
            "BwcH",
            &text[1..],
            &format!("{text}="),
            &format!(" {text}"),
            &format!("A{text}"),
            &text.replace('_', "/"),
            // The last letter has two unused bits, which must be zero, so that each key has only one valid text.
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
