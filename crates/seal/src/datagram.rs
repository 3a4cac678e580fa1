//! Lines that stand for themselves.

use crate::replay::Seen;
use crate::{SwarmKey, Unsealed};
use chacha20poly1305::{AeadInOut as _, KeyInit as _, Tag, XChaCha20Poly1305, XNonce};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The random bytes by which a [`Sealer`] is told from all others.
pub const BOOT_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
pub(crate) const TAG_BYTES: usize = 16;
/// How much longer a sealed line is.
pub const OVERHEAD: usize = NONCE_BYTES + TAG_BYTES;
/// What this is, so that nothing sealed for another version or purpose passes for it.
const LABEL: &[u8] = b"dt-swarm sealed line 1";

/// Seals and opens lines: nonce ‖ ciphertext ‖ tag. A clone is the same sealer.
///
/// # Why no nonce is ever used twice
/// A nonce is the sealer's 16 random bytes and its count of lines, 8 bytes. Within one sealer the count differs from line to
/// line (2⁶⁴ lines take 584 years at a thousand million a second). After a restart, on another robot or for another
/// channel there are other random bytes: nothing has to be kept on a disk that may be torn or restored from a backup. By the
/// birthday bound, of 2³² sealers that ever use one key two have the same bytes with a probability of less than 2⁻⁶⁴.
///
/// # Repetitions
/// For each of the 512 senders that spoke last it is known which of their last 2048 lines came. A channel gets a sealer of its
/// own: on a fast one the count would run away from what a slow one still has to deliver.
#[derive(Clone)]
pub struct Sealer(Arc<Inner>);

struct Inner {
    cipher: XChaCha20Poly1305,
    boot: [u8; BOOT_BYTES],
    /// The number of the next line.
    next: AtomicU64,
    seen: Mutex<Seen>,
}

impl Sealer {
    /// A sealer with this key. `boot` is random, and fresh for each: two with the same would break the encryption.
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
        sealed.extend_from_slice(&tag.expect("a short line"));
        sealed
    }

    /// Opens what came. What is forged costs one look at its tag, what this node said itself not even that.
    ///
    /// # Errors
    /// When it was not sealed with this key, was changed, or came before.
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
        // The table is whole at every moment at which a panic could happen.
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.admit(boot, number) { Ok(line) } else { Err(Unsealed::Replayed) }
    }

    /// Whether this looks like what this node said itself: a broadcast is heard by its sender, too.
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

/// Sender, number, both as the nonce, and the rest.
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
    fn it_is_what_another_implementation_makes() {
        // In Python: HKDF by its hmac, HChaCha20 written out and tried with the draft's vector, ChaCha20-Poly1305 of OpenSSL.
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
        // A clone goes on where the other is.
        all.extend(nonces(&restarted[0].clone()));
        assert_eq!(all.len(), 300);
    }

    #[test]
    fn nothing_is_taken_twice_nor_too_late() {
        let (ours, theirs) = (sealer(1), sealer(2));
        let first = theirs.seal(b"first");
        let later: Vec<_> = (0..crate::WINDOW).map(|_| theirs.seal(b"later")).collect();
        // In any order.
        for sealed in later.iter().rev() {
            assert_eq!(ours.open(sealed).as_deref(), Ok(&b"later"[..]));
        }
        assert!(later.iter().all(|sealed| ours.open(sealed) == Err(Unsealed::Replayed)));
        assert_eq!(ours.open(&first), Err(Unsealed::Replayed), "older than its window");
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
        fn what_is_sealed_is_opened_by_the_same_key_alone(line in prop::collection::vec(any::<u8>(), 0..300)) {
            let sealed = sealer(2).seal(&line);
            prop_assert_eq!(sealed.len(), line.len() + OVERHEAD);
            prop_assert_eq!(sealer(1).open(&sealed), Ok(line));
            prop_assert_eq!(Sealer::new(&key(2), [1; BOOT_BYTES]).open(&sealed), Err(Unsealed::Forged));
        }

        #[test]
        fn a_flipped_bit_a_cut_or_an_addition_is_refused(length in 0..80usize, bit in any::<prop::sample::Index>(), more: u8) {
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
            prop_assert!(ours.open(&sealed).is_ok(), "what was forged has used up nothing");
        }

        #[test]
        fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(matches!(sealer(1).open(&bytes), Err(Unsealed::Plain | Unsealed::Forged)));
        }
    }
}
