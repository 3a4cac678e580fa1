//! Signatures of records: Ed25519 (RFC 8032) over a domain tag, the signer's sequence number and the payload.

use crate::{End, MAX_TIME, PeerId, PeerIdError, SwarmId, Time};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// Largest sequence number: exact in every JSON reader (RFC 8259, section 6).
pub const MAX_SEQUENCE: u64 = (1 << 53) - 1;
/// Domain tag of record signatures. Because of it, a record signature is not valid for other purposes, and other
/// signatures of the key are not valid for records.
const DOMAIN: &[u8] = b"dt-swarm record v1\0";
/// Domain tag of signatures that include until when the record must be remembered.
const DOMAIN_KEPT: &[u8] = b"dt-swarm kept record v1\0";
/// Domain tag of signatures in a swarm that has an ID.
const DOMAIN_BOUND: &[u8] = b"dt-swarm bound record v1\0";

/// A signer's signature of a payload.
///
/// `sequence` orders the records of one signer. It grows with each record, also after restarts and when the clock is
/// set back. It is never interpreted as a time.
///
/// `keep` is set if the record replaces a record with a later end. The record must be remembered until that end, even
/// if its own validity is over. Otherwise a peer that was offline could bring the replaced record back. The signer sets
/// `keep`, because it knows its earlier records best.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// Peer that signed the payload.
    pub signer: PeerId,
    /// Sequence number of the record among the signer's records, from 1.
    pub sequence: u64,
    /// Time until which the record must be remembered. With the default, which is in the past, this is the end of the
    /// validity.
    pub keep: End,
    /// The 64 bytes of the Ed25519 signature.
    pub bytes: [u8; 64],
}

/// Reason why a signature is malformed or not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The signer is not the ID of a peer with an Ed25519 key.
    #[error("signer: {0}")]
    Signer(#[from] PeerIdError),
    /// The signature is not 64 bytes in base64url without padding.
    #[error("a signature is 64 bytes in base64url without padding")]
    Encoding,
    /// The sequence number is zero, or not exact in JSON.
    #[error("a sequence number must be from 1 to {MAX_SEQUENCE}")]
    Sequence,
    /// The `keep` is zero, or later than [`MAX_TIME`].
    #[error("keep must be a time from 1 to {MAX_TIME} s, or null for never")]
    Keep,
    /// The signer did not sign this payload.
    #[error("the signature does not fit the payload")]
    Forged,
}

/// JSON form in the `signatures` of an envelope.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text<'a> {
    #[serde(borrow)]
    signer: Cow<'a, str>,
    seq: u64,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    keep: Option<Option<Time>>,
    #[serde(borrow)]
    signature: Cow<'a, str>,
}

/// Deserializes a present value, so that null differs from a missing key.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Time>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl TryFrom<Text<'_>> for Signature {
    type Error = SignatureError;
    fn try_from(text: Text<'_>) -> Result<Self, SignatureError> {
        let mut bytes = [0; 64];
        // 64 bytes are 86 characters; a text of any other length is not decoded.
        let decoded = match text.signature.len() {
            86 => URL_SAFE_NO_PAD.decode_slice(&*text.signature, &mut bytes),
            _ => return Err(SignatureError::Encoding),
        };
        if decoded != Ok(64) {
            return Err(SignatureError::Encoding);
        }
        if text.seq == 0 || text.seq > MAX_SEQUENCE {
            return Err(SignatureError::Sequence);
        }
        let keep = match text.keep {
            None => End::default(),
            Some(Some(time)) if time == Time(0) || time > MAX_TIME => return Err(SignatureError::Keep),
            Some(time) => time.into(),
        };
        Ok(Self { signer: text.signer.parse()?, sequence: text.seq, keep, bytes })
    }
}

// Written by hand, because `try_from` and `into` of serde would copy each text.
impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Text::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = Text {
            signer: self.signer.to_string().into(),
            seq: self.sequence,
            keep: (self.keep != End::default()).then(|| self.keep.time()),
            signature: URL_SAFE_NO_PAD.encode(self.bytes).into(),
        };
        text.serialize(serializer)
    }
}

impl Signature {
    /// Verifies that the signer signed `payload` with this sequence number. The verification is strict: it refuses keys
    /// of small order and other cases in which implementations differ, so that all nodes give the same result.
    ///
    /// # Errors
    /// Returns [`SignatureError::Forged`] if the signature is not valid.
    pub fn verify(&self, payload: &str) -> Result<(), SignatureError> {
        self.verify_in(None, payload)
    }

    /// Verifies like [`Self::verify`], for a statement that is signed together with the ID of a swarm.
    pub(crate) fn verify_in(&self, swarm: Option<SwarmId>, payload: &str) -> Result<(), SignatureError> {
        let key = self.signer.verifying_key().ok_or(SignatureError::Forged)?;
        self.verify_with(&key, swarm, payload)
    }

    /// Verifies like [`Self::verify_in`], with the signer's decoded key.
    pub(crate) fn verify_with(
        &self,
        key: &VerifyingKey,
        swarm: Option<SwarmId>,
        payload: &str,
    ) -> Result<(), SignatureError> {
        let signature = ed25519_dalek::Signature::from_bytes(&self.bytes);
        key.verify_strict(&message(swarm, self.sequence, self.keep, payload), &signature)
            .map_err(|_| SignatureError::Forged)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({} seq {})", self.signer, self.sequence)
    }
}

/// Returns the bytes that are signed. Without a swarm ID they are the domain, the sequence number, `keep` if it is set,
/// and the payload. With a swarm ID they are the domain, the ID (16 bytes), the sequence number, `keep` or zero, and
/// the payload. Sequence number and `keep` have 8 bytes each, big-endian; in `keep`, all bits set means never.
///
/// Each domain has a layout of its own, and all parts but the last have a fixed length. So the signed bytes have only
/// one interpretation.
fn message(swarm: Option<SwarmId>, sequence: u64, keep: End, payload: &str) -> Vec<u8> {
    let sequence = sequence.to_be_bytes();
    if let Some(swarm) = swarm {
        let parts: [&[u8]; 5] =
            [DOMAIN_BOUND, swarm.as_bytes(), &sequence, &keep.to_bytes(), payload.as_bytes()];
        return parts.concat();
    }
    if keep == End::default() {
        return [DOMAIN, &sequence, payload.as_bytes()].concat();
    }
    [DOMAIN_KEPT, &sequence, &keep.to_bytes(), payload.as_bytes()].concat()
}

/// A key pair that signs records. The same key is the node's IPFS identity.
pub struct Keypair(SigningKey);

impl Keypair {
    /// Creates the key pair from 32 secret random bytes.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// Returns the secret bytes from which the key pair was created.
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Returns the ID of the peer that owns the key.
    pub fn peer_id(&self) -> PeerId {
        PeerId::from_public_key(self.0.verifying_key().to_bytes())
    }

    /// Signs `payload` as this signer's record number `sequence`, to be remembered at least until `keep`.
    pub fn sign(&self, sequence: u64, keep: End, payload: &str) -> Signature {
        self.sign_in(None, sequence, keep, payload)
    }

    /// Signs like [`Self::sign`], together with the ID of a swarm.
    pub(crate) fn sign_in(
        &self,
        swarm: Option<SwarmId>,
        sequence: u64,
        keep: End,
        payload: &str,
    ) -> Signature {
        let bytes = self.sign_bytes(&message(swarm, sequence, keep, payload));
        Signature { signer: self.peer_id(), sequence, keep, bytes }
    }
}

impl Keypair {
    /// Signs bytes that begin with the domain tag of their purpose.
    pub(crate) fn sign_bytes(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }
}

impl fmt::Debug for Keypair {
    /// Shows the peer ID, and never the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keypair({})", self.peer_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_valid_for_one_payload_one_sequence_number_and_one_signer() {
        let key = Keypair::from_seed([1; 32]);
        let signature = key.sign(5, End::default(), "hello");
        assert_eq!(signature.verify("hello"), Ok(()));
        assert_eq!(signature.verify("hellp"), Err(SignatureError::Forged));
        assert!(Signature { sequence: 6, ..signature }.verify("hello").is_err());
        let other = Keypair::from_seed([2; 32]).peer_id();
        assert!(Signature { signer: other, ..signature }.verify("hello").is_err());
    }

    #[test]
    fn the_signature_covers_the_time_until_which_a_record_is_remembered() {
        let key = Keypair::from_seed([1; 32]);
        let ends = [End::default(), End::at(Time(7)), End::at(Time(8)), End::NEVER];
        for (signed, told) in ends.iter().flat_map(|signed| ends.iter().map(move |told| (*signed, *told))) {
            let signature = Signature { keep: told, ..key.sign(5, signed, "hello") };
            assert_eq!(signature.verify("hello").is_ok(), signed == told);
        }
        // A payload that begins like the other layout is not valid in the other domain.
        let kept = key.sign(5, End::at(Time(7)), "hello");
        let moved = Signature { keep: End::default(), ..kept };
        let beginning = String::from_utf8([&End::at(Time(7)).to_bytes(), &b"hello"[..]].concat()).unwrap();
        assert!(moved.verify(&beginning).is_err());
    }

    #[test]
    fn a_signature_of_one_swarm_is_not_valid_in_another_or_in_the_open_swarm() {
        let key = Keypair::from_seed([1; 32]);
        let swarms = [None, Some([1; 16]), Some([2; 16])].map(|id| id.map(SwarmId::from_bytes));
        let ends = [End::default(), End::at(Time(7)), End::NEVER];
        for (signed, keep) in swarms.iter().flat_map(|signed| ends.iter().map(move |keep| (*signed, *keep))) {
            let signature = key.sign_in(signed, 5, keep, "hello");
            for read in swarms {
                assert_eq!(signature.verify_in(read, "hello").is_ok(), read == signed);
            }
        }
        assert_eq!(key.sign(5, End::default(), "hello"), key.sign_in(None, 5, End::default(), "hello"));
    }

    #[test]
    fn the_signed_bytes_of_the_open_swarm_never_change() {
        let expected = b"dt-swarm record v1\0\0\0\0\0\0\0\0\x05hello";
        assert_eq!(message(None, 5, End::default(), "hello"), expected);
        let expected = b"dt-swarm kept record v1\0\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x07hello";
        assert_eq!(message(None, 5, End::at(Time(7)), "hello"), expected);
    }

    #[test]
    fn a_signature_of_the_bare_payload_is_not_valid() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let bytes = key.sign(b"hello").to_bytes();
        let signer = Keypair::from_seed([1; 32]).peer_id();
        let signature = Signature { signer, sequence: 1, keep: End::default(), bytes };
        assert!(signature.verify("hello").is_err());
    }

    #[test]
    fn the_json_of_a_signature_reads_back_and_other_json_is_refused() {
        let key = Keypair::from_seed([1; 32]);
        for (keep, shown) in [
            (End::default(), None),
            (End::at(Time(9)), Some("\"keep\":9,")),
            (End::NEVER, Some("\"keep\":null,")),
        ] {
            let signature = key.sign(5, keep, "hello");
            let text = serde_json::to_string(&signature).unwrap();
            assert_eq!(serde_json::from_str::<Signature>(&text).unwrap(), signature);
            assert_eq!(text.contains("keep"), shown.is_some_and(|shown| text.contains(shown)));
        }
        let text = serde_json::to_string(&key.sign(5, End::default(), "hello")).unwrap();
        for wrong in [
            text.replace("\"seq\":5", "\"seq\":0"),
            text.replace("\"seq\":5", "\"seq\":9007199254740992"),
            text.replace("\"signature\":\"", "\"signature\":\"A"),
            text.replace("12D3Koo", "12D3Kop"),
            text.replace("{", "{\"x\":1,"),
            text.replace("{", "{\"keep\":0,"),
            text.replace("{", "{\"keep\":1099511627777,"),
        ] {
            assert!(serde_json::from_str::<Signature>(&wrong).is_err(), "{wrong}");
        }
    }
}
