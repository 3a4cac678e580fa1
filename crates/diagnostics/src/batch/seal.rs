//! Seals a batch for the collectors, and opens it.
//!
//! The content is encrypted once, with a key that is fresh for each batch. This key is wrapped for each collector by
//! HPKE (RFC 9180) in its mode Base, with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and ChaCha20-Poly1305. All numbers
//! are big-endian.
//!
//! | bytes | content |
//! |---|---|
//! | 0 to 3 | `DTdb` |
//! | 4 | version of the format: 1 |
//! | 5 | number of collectors, 1 to 8 |
//! | 6 and 7 | zero |
//! | 8 to 39 | ID of the fleet |
//! | 40 to 71 | public key of the robot, which is its peer ID |
//! | 72 to 79 | ID of the history |
//! | 80 to 87 | number of a row: no collector has to store the rows up to it |
//! | 88 to 95 | number of the row before the first one of the batch |
//! | 96 to 103 | number of the last row of the batch |
//! | 104 to 107 | size of the content |
//! | for each collector: 32 | its public key, which is its peer ID; the keys are in ascending order |
//! | 32 | encapsulated key |
//! | 48 | content key and tag |
//! | for each 64 KiB of the content | ciphertext and tag (16 bytes) |
//!
//! The first 108 bytes are the associated data of each wrapped key. The associated data of each part of the content is
//! the SHA-256 of everything before the content. The parts are encrypted with XChaCha20-Poly1305. The nonce is 15 zero
//! bytes, 1 for the last part and 0 for the others, and the number of the part in 8 bytes. So a part is valid at its
//! place only, and a missing part is noticed.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::content::MAX_CONTENT_BYTES;
use super::sealing_key::{KEY_BYTES, SealingKey, SealingPublicKey};
use super::{FleetId, HistoryId, MAX_NUMBER};
use chacha20poly1305::{AeadInOut as _, KeyInit as _, Tag, XChaCha20Poly1305, XNonce};
use dcache::{Digest, PeerId};
use hkdf::Hkdf;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use sha2::Sha256;
use std::collections::BTreeMap;
use zeroize::{Zeroize as _, Zeroizing};

/// Maximum number of collectors for which a batch is sealed.
pub const MAX_RECIPIENTS: usize = 8;
/// Size, in bytes, of the random secret that is needed to seal a batch.
pub const SECRET_BYTES: usize = 32;
/// Start of a batch.
const MAGIC: &[u8; 4] = b"DTdb";
/// Version of the format.
const VERSION: u8 = 1;
/// Size of the front without the collectors, in bytes.
const FIXED_BYTES: usize = 108;
/// Size of a tag in bytes.
const TAG_BYTES: usize = 16;
/// Size of a wrapped key in bytes.
const WRAPPED_BYTES: usize = KEY_BYTES + TAG_BYTES;
/// Size of the entry of a collector in bytes.
const ENTRY_BYTES: usize = 2 * KEY_BYTES + WRAPPED_BYTES;
/// Size of a part of the content in bytes.
const PART_BYTES: usize = 64 * 1024;
/// Purpose of the wrapped keys.
const INFO: &[u8] = b"dt-swarm batch key 1";
/// Maximum size of a sealed batch in bytes.
pub const MAX_SEALED_BYTES: usize = FIXED_BYTES
    + MAX_RECIPIENTS * ENTRY_BYTES
    + MAX_CONTENT_BYTES
    + MAX_CONTENT_BYTES.div_ceil(PART_BYTES) * TAG_BYTES;

/// The subject of a batch. A batch is bound to all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Swarm of the robot.
    pub fleet: FleetId,
    /// Robot that measured the rows.
    pub robot: PeerId,
    /// History to which the rows belong.
    pub history: HistoryId,
    /// Number of a row: no collector has to store the rows up to it.
    pub base: u64,
    /// Number of the row before the first one of the batch.
    pub after: u64,
    /// Number of the last row of the batch.
    pub last: u64,
}

/// Reason why a batch cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The content is empty or too long.
    #[error("the content of a batch has 1 to {MAX_CONTENT_BYTES} bytes")]
    Size,
    /// There are no collectors, or too many, or none of them has a valid key.
    #[error("a batch is sealed for 1 to {MAX_RECIPIENTS} collectors with valid keys")]
    Collectors,
    /// The numbers of the rows are not in order.
    #[error("the numbers of the rows are not in order, or too great")]
    Range,
}

/// Reason why a sealed batch cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The batch is longer than a batch may be.
    #[error("it has more than {MAX_SEALED_BYTES} bytes")]
    TooLarge,
    /// The sizes in the batch do not fit together.
    #[error("it ends too early, or has bytes that mean nothing")]
    Size,
    /// The bytes are no batch.
    #[error("it is no batch")]
    Format,
    /// A newer program made the batch.
    #[error("its version is {0}, and this program knows {VERSION}")]
    Version(u8),
    /// The batch belongs to another swarm, robot or part of the history than its announcement says.
    #[error("it belongs to another swarm, robot or part of the history")]
    Subject,
    /// The batch is sealed for other collectors.
    #[error("it is sealed for other collectors")]
    NotForUs,
    /// The batch was changed, or its key is wrong.
    #[error("it was changed, or sealed with another key")]
    Forged,
}

/// The front of a sealed batch: everything that its carriers can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Front {
    /// Robot and rows of the batch.
    pub subject: Subject,
    /// The collectors for which it is sealed.
    pub collectors: Vec<PeerId>,
    content_bytes: usize,
}

impl Front {
    /// Reads the front of a sealed batch, and checks its size.
    ///
    /// # Errors
    /// Returns an error if the bytes are no batch of this version, or exceed a limit.
    pub fn decode(batch: &[u8]) -> Result<Self, OpenError> {
        if batch.len() > MAX_SEALED_BYTES {
            return Err(OpenError::TooLarge);
        }
        let (fixed, rest) = batch.split_first_chunk::<FIXED_BYTES>().ok_or(OpenError::Size)?;
        let mut fields = Fields(fixed);
        if &fields.take::<4>()? != MAGIC {
            return Err(OpenError::Format);
        }
        let [version, number, zero, nought] = fields.take()?;
        if version != VERSION {
            return Err(OpenError::Version(version));
        }
        let number = usize::from(number);
        if !(1..=MAX_RECIPIENTS).contains(&number) || [zero, nought] != [0, 0] {
            return Err(OpenError::Format);
        }
        let subject = Subject {
            fleet: FleetId::from_bytes(fields.take()?),
            robot: PeerId::from_public_key(fields.take()?),
            history: HistoryId::from_bytes(fields.take()?),
            base: u64::from_be_bytes(fields.take()?),
            after: u64::from_be_bytes(fields.take()?),
            last: u64::from_be_bytes(fields.take()?),
        };
        let content_bytes = u32::from_be_bytes(fields.take()?) as usize;
        let (entries, parts) = rest.split_at_checked(number * ENTRY_BYTES).ok_or(OpenError::Size)?;
        if !is_range(&subject) || !(1..=MAX_CONTENT_BYTES).contains(&content_bytes) {
            return Err(OpenError::Format);
        }
        if parts.len() != content_bytes + content_bytes.div_ceil(PART_BYTES) * TAG_BYTES {
            return Err(OpenError::Size);
        }
        let collectors: Vec<PeerId> = entries
            .chunks_exact(ENTRY_BYTES)
            .filter_map(|entry| Some(PeerId::from_public_key(*entry.first_chunk()?)))
            .collect();
        if !collectors.is_sorted_by(|one, other| one < other) {
            return Err(OpenError::Format);
        }
        Ok(Self { subject, collectors, content_bytes })
    }

    /// Returns the size of the front in bytes.
    fn size(&self) -> usize {
        FIXED_BYTES + self.collectors.len() * ENTRY_BYTES
    }
}

/// The rest of the fixed part of a front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], OpenError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(OpenError::Size)?;
        self.0 = rest;
        Ok(*taken)
    }
}

/// Returns whether the numbers of the rows are in order.
fn is_range(subject: &Subject) -> bool {
    let Subject { base, after, last, .. } = *subject;
    base <= after && after < last && last <= MAX_NUMBER
}

/// Seals a content for collectors. `secret` must be random, and fresh for each batch. A collector whose key is invalid
/// is left out.
///
/// # Errors
/// Returns an error if there is nothing to seal, or nobody for whom to seal it, or too much of either.
pub fn seal(
    subject: &Subject,
    collectors: &BTreeMap<PeerId, SealingPublicKey>,
    content: &[u8],
    secret: &[u8; SECRET_BYTES],
) -> Result<Vec<u8>, SealError> {
    if !(1..=MAX_CONTENT_BYTES).contains(&content.len()) {
        return Err(SealError::Size);
    }
    if !is_range(subject) {
        return Err(SealError::Range);
    }
    if collectors.len() > MAX_RECIPIENTS {
        return Err(SealError::Collectors);
    }
    let key = derived(secret, "content key");
    let mut batch = front(subject, collectors, content.len(), &key, rng(secret))?;
    let (cipher, digest) = (cipher(&key), Digest::of(&batch));
    let parts = content.len().div_ceil(PART_BYTES);
    for (number, part) in content.chunks(PART_BYTES).enumerate() {
        let mut part = part.to_vec();
        let nonce = nonce(number, number + 1 == parts);
        let tag = cipher.encrypt_inout_detached(&nonce, digest.as_bytes(), part.as_mut_slice().into());
        batch.extend_from_slice(&part);
        batch.extend_from_slice(&tag.map_err(|_| SealError::Size)?);
    }
    Ok(batch)
}

/// Returns the front of a batch, with its key wrapped for each collector.
fn front(
    subject: &Subject,
    collectors: &BTreeMap<PeerId, SealingPublicKey>,
    content_bytes: usize,
    key: &[u8; KEY_BYTES],
    mut rng: ChaCha20Rng,
) -> Result<Vec<u8>, SealError> {
    // The number of collectors is part of the associated data, so invalid keys are found first.
    let valid: Vec<(&PeerId, _)> =
        collectors.iter().filter_map(|(peer, key)| Some((peer, usable(*key)?))).collect();
    if valid.is_empty() {
        return Err(SealError::Collectors);
    }
    let mut front = fixed(subject, valid.len(), content_bytes);
    let associated = front.clone();
    for (peer, public) in &valid {
        let (encapsulated, wrapped) = hpke::single_shot_seal_with_rng::<
            ChaCha20Poly1305,
            HkdfSha256,
            X25519HkdfSha256,
        >(&OpModeS::Base, public, INFO, key, &associated, &mut rng)
        .map_err(|_| SealError::Collectors)?;
        front.extend_from_slice(peer.public_key());
        front.extend_from_slice(&encapsulated.to_bytes());
        front.extend_from_slice(&wrapped);
    }
    Ok(front)
}

/// Opens a batch that `me` got. `check` decides by the front whether it is the expected batch.
///
/// # Errors
/// Returns an error if the batch is malformed, is not the expected one, is not for `me`, or was changed.
pub fn open(
    batch: &[u8],
    (me, key): (PeerId, &SealingKey),
    check: impl FnOnce(&Subject) -> bool,
) -> Result<Vec<u8>, OpenError> {
    let front = Front::decode(batch)?;
    if !check(&front.subject) {
        return Err(OpenError::Subject);
    }
    let place = front.collectors.iter().position(|peer| *peer == me).ok_or(OpenError::NotForUs)?;
    let (head, parts) = batch.split_at_checked(front.size()).ok_or(OpenError::Size)?;
    let (associated, entries) = head.split_at_checked(FIXED_BYTES).ok_or(OpenError::Size)?;
    let entry = entries.chunks_exact(ENTRY_BYTES).nth(place).ok_or(OpenError::Size)?;
    let content_key = unwrapped(entry, key, associated).ok_or(OpenError::Forged)?;
    let (cipher, digest) = (cipher(&content_key), Digest::of(head));
    let mut content = Vec::with_capacity(front.content_bytes);
    let last = front.content_bytes.div_ceil(PART_BYTES) - 1;
    for (number, sealed) in parts.chunks(PART_BYTES + TAG_BYTES).enumerate() {
        let (part, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(OpenError::Size)?;
        let mut part = part.to_vec();
        let body = part.as_mut_slice().into();
        let opened = cipher.decrypt_inout_detached(
            &nonce(number, number == last),
            digest.as_bytes(),
            body,
            &Tag::from(*tag),
        );
        opened.map_err(|_| OpenError::Forged)?;
        content.extend_from_slice(&part);
    }
    Ok(content)
}

/// Returns the front without the collectors.
fn fixed(subject: &Subject, collectors: usize, content_bytes: usize) -> Vec<u8> {
    let Subject { fleet, robot, history, base, after, last } = subject;
    let mut front = Vec::with_capacity(FIXED_BYTES + collectors * ENTRY_BYTES + content_bytes);
    front.extend_from_slice(MAGIC);
    front.extend_from_slice(&[VERSION, collectors as u8, 0, 0]);
    front.extend_from_slice(fleet.as_bytes());
    front.extend_from_slice(robot.public_key());
    front.extend_from_slice(history.as_bytes());
    for number in [base, after, last] {
        front.extend_from_slice(&number.to_be_bytes());
    }
    front.extend_from_slice(&(content_bytes as u32).to_be_bytes());
    front
}

/// Returns the key of a collector; `None` if nothing can be sealed for it, such as for the key zero.
fn usable(key: SealingPublicKey) -> Option<<X25519HkdfSha256 as Kem>::PublicKey> {
    let key = key.key()?;
    // The trial uses fixed bytes. Its result is thrown away.
    let mut trial = ChaCha20Rng::from_seed([0; 32]);
    X25519HkdfSha256::encap_with_rng(&key, None, &mut trial).ok()?;
    Some(key)
}

/// Returns the content key of a batch from the entry of a collector.
fn unwrapped(entry: &[u8], key: &SealingKey, associated: &[u8]) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let (encapsulated, wrapped) = entry.get(KEY_BYTES..)?.split_at_checked(KEY_BYTES)?;
    let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).ok()?;
    let opened = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        key.secret(),
        &encapsulated,
        INFO,
        wrapped,
        associated,
    );
    let opened = Zeroizing::new(opened.ok()?);
    let mut content_key = Zeroizing::new([0; KEY_BYTES]);
    content_key.copy_from_slice(opened.get(..KEY_BYTES)?);
    Some(content_key)
}

fn cipher(key: &[u8; KEY_BYTES]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&(*key).into())
}

fn nonce(number: usize, is_last: bool) -> XNonce {
    let mut nonce = [0; 24];
    nonce[15] = u8::from(is_last);
    nonce[16..].copy_from_slice(&(number as u64).to_be_bytes());
    nonce.into()
}

/// Derives the bytes for one purpose from the secret of a batch.
#[expect(clippy::expect_used, reason = "HKDF gives up to 255 times 32 bytes")]
fn derived(secret: &[u8; SECRET_BYTES], label: &str) -> Zeroizing<[u8; KEY_BYTES]> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    let expanded =
        Hkdf::<Sha256>::new(Some(b"dt-swarm batch 1"), secret).expand(label.as_bytes(), &mut *bytes);
    expanded.expect("HKDF-SHA256 can derive 32 bytes");
    bytes
}

/// Returns the generator of the keys that are encapsulated.
fn rng(secret: &[u8; SECRET_BYTES]) -> ChaCha20Rng {
    let mut seed = *derived(secret, "encapsulated keys");
    let rng = ChaCha20Rng::from_seed(seed);
    seed.zeroize();
    rng
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use dcache::Keypair;
    use proptest::prelude::*;

    pub(crate) fn identity(seed: u8) -> Keypair {
        Keypair::from_seed([seed; 32])
    }

    pub(crate) fn subject() -> Subject {
        Subject {
            fleet: FleetId::from_bytes([7; 32]),
            robot: identity(1).peer_id(),
            history: HistoryId::from_bytes([9; 8]),
            base: 3,
            after: 5,
            last: 11,
        }
    }

    fn collectors(seeds: impl IntoIterator<Item = u8>) -> BTreeMap<PeerId, SealingPublicKey> {
        let key = |seed| (identity(seed).peer_id(), SealingKey::of(&identity(seed)).public());
        seeds.into_iter().map(key).collect()
    }

    fn opened(batch: &[u8], seed: u8) -> Result<Vec<u8>, OpenError> {
        open(batch, (identity(seed).peer_id(), &SealingKey::of(&identity(seed))), |found| *found == subject())
    }

    fn sealed(content: &[u8]) -> Vec<u8> {
        seal(&subject(), &collectors([2, 3]), content, &[5; 32]).unwrap()
    }

    #[test]
    fn each_collector_opens_a_batch_and_nobody_else_does() {
        let content: Vec<u8> = (0..3 * PART_BYTES + 5).map(|byte| byte as u8).collect();
        for size in [1, 100, PART_BYTES, PART_BYTES + 1, content.len()] {
            let batch = sealed(&content[..size]);
            assert_eq!(opened(&batch, 2).as_deref(), Ok(&content[..size]));
            assert_eq!(opened(&batch, 3).as_deref(), Ok(&content[..size]));
            assert_eq!(opened(&batch, 4), Err(OpenError::NotForUs));
            // A carrier that claims to be a collector has the wrong key.
            let lie = (identity(2).peer_id(), &SealingKey::of(&identity(4)));
            assert_eq!(open(&batch, lie, |_| true), Err(OpenError::Forged));
        }
    }

    #[test]
    fn a_carrier_reads_the_front_and_no_byte_of_the_content() {
        let content = b"temperature of the battery".repeat(40);
        let batch = sealed(&content);
        let front = Front::decode(&batch).unwrap();
        assert_eq!(front.subject, subject());
        assert_eq!(front.collectors, collectors([2, 3]).into_keys().collect::<Vec<_>>());
        assert!(!batch.windows(8).any(|part| content.windows(8).any(|plain| plain == part)));
    }

    #[test]
    fn a_batch_of_another_robot_swarm_or_range_is_refused() {
        let batch = sealed(b"rows");
        for other in [
            Subject { robot: identity(9).peer_id(), ..subject() },
            Subject { fleet: FleetId::from_bytes([8; 32]), ..subject() },
            Subject { last: 12, ..subject() },
        ] {
            let key = SealingKey::of(&identity(2));
            let result = open(&batch, (identity(2).peer_id(), &key), |found| *found == other);
            assert_eq!(result, Err(OpenError::Subject));
        }
    }

    #[test]
    fn parts_that_are_missing_or_moved_are_noticed() {
        let content = vec![1; 3 * PART_BYTES];
        let batch = sealed(&content);
        let (start, size) = (Front::decode(&batch).unwrap().size(), PART_BYTES + TAG_BYTES);
        let mut moved = batch.clone();
        moved[start..start + 2 * size].rotate_left(size);
        assert_eq!(opened(&moved, 2), Err(OpenError::Forged));
        assert_eq!(opened(&batch[..batch.len() - size], 2), Err(OpenError::Size));
        let mut shorter = batch[..batch.len() - size].to_vec();
        shorter[104..108].copy_from_slice(&(2 * PART_BYTES as u32).to_be_bytes());
        assert_eq!(opened(&shorter, 2), Err(OpenError::Forged));
    }

    #[test]
    fn sizes_beyond_the_limits_are_refused() {
        let seal = |collectors: BTreeMap<_, _>, content: &[u8]| {
            seal(&subject(), &collectors, content, &[5; 32]).map(|batch| batch.len())
        };
        assert_eq!(seal(collectors([2]), b""), Err(SealError::Size));
        assert_eq!(seal(collectors([2]), &vec![0; MAX_CONTENT_BYTES + 1]), Err(SealError::Size));
        assert_eq!(seal(collectors([]), b"x"), Err(SealError::Collectors));
        assert_eq!(seal(collectors(2..11), b"x"), Err(SealError::Collectors));
        assert_eq!(seal(collectors(2..10), &vec![0; MAX_CONTENT_BYTES]), Ok(MAX_SEALED_BYTES));
        assert_eq!(Front::decode(&vec![0; 10_000_000]), Err(OpenError::TooLarge));
        assert_eq!(Front::decode(&[0; FIXED_BYTES]), Err(OpenError::Format));
        let mut later = sealed(b"x");
        later[4] = 2;
        assert_eq!(Front::decode(&later), Err(OpenError::Version(2)));
        for (place, value) in [(5, 9), (5, 0), (6, 1), (87, 200), (104, 255)] {
            let mut wrong = sealed(b"x");
            wrong[place] = value;
            assert!(matches!(Front::decode(&wrong), Err(OpenError::Format | OpenError::Size)), "{place}");
        }
    }

    #[test]
    fn a_collector_with_an_invalid_key_is_left_out() {
        let mut both = collectors([2]);
        let zero = format!("x25519 {}", "A".repeat(43)).parse().unwrap();
        both.insert(identity(3).peer_id(), zero);
        let batch = seal(&subject(), &both, b"rows", &[5; 32]).unwrap();
        assert_eq!(
            (opened(&batch, 2).as_deref(), opened(&batch, 3)),
            (Ok(&b"rows"[..]), Err(OpenError::NotForUs))
        );
        both.remove(&identity(2).peer_id());
        assert_eq!(seal(&subject(), &both, b"rows", &[5; 32]), Err(SealError::Collectors));
    }

    #[test]
    fn the_same_content_is_never_sealed_to_the_same_bytes() {
        let other = seal(&subject(), &collectors([2, 3]), b"rows", &[6; 32]).unwrap();
        let batch = sealed(b"rows");
        let start = Front::decode(&batch).unwrap().size();
        assert!(
            batch[start..] != other[start..]
                && batch[FIXED_BYTES + 32..][..32] != other[FIXED_BYTES + 32..][..32]
        );
    }

    proptest! {
        #[test]
        fn a_change_of_any_byte_is_noticed(size in 1..400_usize, place in any::<prop::sample::Index>(), change in 1..=u8::MAX) {
            let mut batch = sealed(&vec![3; size]);
            let at = place.index(batch.len());
            batch[at] ^= change;
            prop_assert!(opened(&batch, 2).is_err() && opened(&batch, 3).is_err());
        }

        #[test]
        fn any_bytes_are_no_batch_and_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(opened(&bytes, 2).is_err());
        }

        #[test]
        fn a_batch_that_ends_early_is_refused(end in any::<prop::sample::Index>()) {
            let batch = sealed(&[3; 300]);
            prop_assert_eq!(opened(&batch[..end.index(batch.len())], 2), Err(OpenError::Size));
        }
    }
}
