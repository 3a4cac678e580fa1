//! Encryption of independent lines. A line may be lost, and may arrive repeatedly, late or in any order.

use crate::replay::Seen;
use crate::{SwarmKey, Unsealed};
use chacha20poly1305::{AeadInOut as _, KeyInit as _, Tag, XChaCha20Poly1305, XNonce};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Number of random bytes that identify a [`Sealer`].
pub const BOOT_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
pub(crate) const TAG_BYTES: usize = 16;
/// Number of bytes by which a sealed line is longer than the line.
pub const OVERHEAD: usize = NONCE_BYTES + TAG_BYTES;
/// Associated data that names the version and the purpose. A line that was sealed for another version or purpose is
/// refused.
const LABEL: &[u8] = b"dt-swarm sealed line 1";

/// Seals and opens lines: nonce ‖ ciphertext ‖ tag. A clone shares the state of the original.
///
/// # Why no nonce is used twice
/// A nonce consists of the sealer's 16 random bytes and the number of the line in 8 bytes. Within one sealer, each line
/// has a different number (2⁶⁴ lines take 584 years at 10⁹ lines per second). After a restart, on another robot and for
/// another channel, the random bytes are different. So the numbers need not be saved on a disk, where a power cut or a
/// restored backup could bring back old numbers. By the birthday bound, if 2³² sealers ever use one key, the
/// probability that two have the same bytes is less than 2⁻⁶⁴.
///
/// # Replay protection
/// For each of the 512 most recent senders, the sealer remembers which of the sender's last 2048 lines arrived. Each
/// channel needs a sealer of its own. With a shared sealer, the numbers on a fast channel would run ahead, and lines
/// that a slow channel still has to deliver would be refused as too old.
#[derive(Clone)]
pub struct Sealer(Arc<Inner>);

struct Inner {
    cipher: XChaCha20Poly1305,
    boot: [u8; BOOT_BYTES],
    /// Number of the next line.
    next: AtomicU64,
    seen: Mutex<Seen>,
}

impl Sealer {
    /// Creates a sealer with this key. `boot` must be random and fresh for each sealer. Two sealers with the same bytes
    /// would break the encryption.
    pub fn new(key: &SwarmKey, boot: [u8; BOOT_BYTES]) -> Self {
        let cipher = XChaCha20Poly1305::new(&(*key.datagrams()).into());
        Self(Arc::new(Inner { cipher, boot, next: AtomicU64::new(0), seen: Mutex::default() }))
    }

    /// Seals a line.
    #[expect(clippy::expect_used, reason = "the cipher takes lines of up to 256 GB")]
    pub fn seal(&self, line: &[u8]) -> Vec<u8> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let nonce = nonce(self.0.boot, number);
        let mut sealed = Vec::with_capacity(line.len() + OVERHEAD);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(line);
        let body = &mut sealed[NONCE_BYTES..];
        let tag = self.0.cipher.encrypt_inout_detached(&nonce, LABEL, body.into());
        sealed.extend_from_slice(&tag.expect("the line is shorter than 256 GB"));
        sealed
    }

    /// Opens a sealed line. For a forged line, only its tag is checked. This node's own lines are recognised without a
    /// check of the tag.
    ///
    /// # Errors
    /// Returns an error if the line was not sealed with this key, was changed, or was opened before.
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, Unsealed> {
        let (boot, number, nonce, body) = split(sealed).ok_or(Unsealed::Plain)?;
        if boot == self.0.boot {
            return Err(Unsealed::Own);
        }
        let (body, tag) = body.split_last_chunk::<TAG_BYTES>().ok_or(Unsealed::Plain)?;
        let mut line = body.to_vec();
        let opened =
            self.0.cipher.decrypt_inout_detached(&nonce, LABEL, line.as_mut_slice().into(), &Tag::from(*tag));
        opened.map_err(|_| Unsealed::Forged)?;
        // The table is consistent whenever a panic can happen, so a poisoned lock can be used.
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.admit(boot, number) { Ok(line) } else { Err(Unsealed::Replayed) }
    }

    /// Returns whether the line begins like the lines that this node sealed itself. A sender also receives its own
    /// broadcasts.
    pub fn is_own(&self, sealed: &[u8]) -> bool {
        sealed.len() >= OVERHEAD && sealed.starts_with(&self.0.boot)
    }
}

fn nonce(boot: [u8; BOOT_BYTES], number: u64) -> XNonce {
    let mut nonce = [0; NONCE_BYTES];
    nonce[..BOOT_BYTES].copy_from_slice(&boot);
    nonce[BOOT_BYTES..].copy_from_slice(&number.to_be_bytes());
    nonce.into()
}

/// Splits a sealed line into the sender, the number, the nonce of both, and the rest.
fn split(sealed: &[u8]) -> Option<([u8; BOOT_BYTES], u64, XNonce, &[u8])> {
    let (boot, rest) = sealed.split_first_chunk::<BOOT_BYTES>()?;
    let (number, body) = rest.split_first_chunk::<8>()?;
    let number = u64::from_be_bytes(*number);
    Some((*boot, number, nonce(*boot, number), body))
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn key(byte: u8) -> SwarmKey {
        SwarmKey::from_bytes([byte; 32])
    }

    fn sealer(boot: u8) -> Sealer {
        Sealer::new(&key(1), [boot; BOOT_BYTES])
    }

    #[test]
    fn sealed_lines_equal_those_of_another_implementation() {
        // The expected bytes were computed in Python. HKDF used the module hmac, and ChaCha20-Poly1305 used OpenSSL.
        // HChaCha20 was implemented by hand and tested with the test vector of the draft.
        let key = SwarmKey::from_bytes(std::array::from_fn(|place| place as u8));
        let sealer = Sealer::new(&key, std::array::from_fn(|place| 0x40 + place as u8));
        let sealed = [sealer.seal(b"a line"), sealer.seal(b"")];
        let hex: [String; 2] = sealed.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect());
        let known = [
            "404142434445464748494a4b4c4d4e4f00000000000000000cfd4a5be3a972e263527611758c18a2836bfcd50e3c",
            "404142434445464748494a4b4c4d4e4f00000000000000018c343c8a963337f0e8b5cd28e5960b96",
        ];
        assert_eq!(hex, known);
    }

    #[test]
    fn no_two_nonces_are_equal() {
        let restarted = [sealer(1), sealer(2), sealer(1).clone()];
        let nonces =
            |sealer: &Sealer| (0..100).map(|_| sealer.seal(b"x")[..NONCE_BYTES].to_vec()).collect::<Vec<_>>();
        let mut all: BTreeSet<_> = restarted[..2].iter().flat_map(nonces).collect();
        assert_eq!(all.len(), 200);
        // A clone continues with the numbers of the original.
        all.extend(nonces(&restarted[0].clone()));
        assert_eq!(all.len(), 300);
    }

    #[test]
    fn no_line_is_accepted_twice_or_too_late() {
        let (ours, theirs) = (sealer(1), sealer(2));
        let first = theirs.seal(b"first");
        let later: Vec<_> = (0..crate::WINDOW).map(|_| theirs.seal(b"later")).collect();
        // The lines arrive in reverse order.
        for sealed in later.iter().rev() {
            assert_eq!(ours.open(sealed).as_deref(), Ok(&b"later"[..]));
        }
        assert!(later.iter().all(|sealed| ours.open(sealed) == Err(Unsealed::Replayed)));
        assert_eq!(ours.open(&first), Err(Unsealed::Replayed), "the line is older than the window");
    }

    #[test]
    fn own_lines_are_recognised() {
        let ours = sealer(1);
        let sealed = ours.seal(b"hello");
        assert!(ours.is_own(&sealed) && !sealer(2).is_own(&sealed) && !ours.is_own(b"{}"));
        assert_eq!(ours.open(&sealed), Err(Unsealed::Own));
    }

    proptest! {
        #[test]
        fn a_sealed_line_is_opened_only_by_the_same_key(line in prop::collection::vec(any::<u8>(), 0..300)) {
            let sealed = sealer(2).seal(&line);
            prop_assert_eq!(sealed.len(), line.len() + OVERHEAD);
            prop_assert_eq!(sealer(1).open(&sealed), Ok(line));
            prop_assert_eq!(Sealer::new(&key(2), [1; BOOT_BYTES]).open(&sealed), Err(Unsealed::Forged));
        }

        #[test]
        fn a_line_that_was_changed_cut_or_extended_is_refused(length in 0..80usize, bit in any::<prop::sample::Index>(), more: u8) {
            let (ours, mut sealed) = (sealer(1), sealer(2).seal(&vec![b'x'; length]));
            let bit = bit.index(sealed.len() * 8);
            for cut in 0..sealed.len() {
                prop_assert!(ours.open(&sealed[..cut]).is_err() && (cut == 0 || ours.open(&sealed[cut..]).is_err()));
            }
            sealed.push(more);
            prop_assert_eq!(ours.open(&sealed), Err(Unsealed::Forged));
            sealed.pop();
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(ours.open(&sealed), Err(Unsealed::Forged));
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(ours.open(&sealed).is_ok(), "a forged line does not mark the real one as received");
        }

        #[test]
        fn arbitrary_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(matches!(sealer(1).open(&bytes), Err(Unsealed::Plain | Unsealed::Forged)));
        }
    }
}
