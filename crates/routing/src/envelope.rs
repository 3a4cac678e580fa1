//! The envelope: one JSON object per line, with the keys `from`, `to` and `payload`, and the keys that dt-swarm adds to
//! those of IPSD.
//!
//! The original implementation ignores unknown keys, so all keys added here are optional:
//!
//! - `signatures`: signatures of the payload, see [`dcache::Signature`].
//! - `status`: the status of the daemon that sends a pong.
//! - `beacon`, `repair` and `records`: the comparison of two nodes' records.
//! - `challenge` and `proof`: a ping on a link asks its receiver to prove its identity, and the pong does so.
//! - `hops`: limits how often a line is forwarded.

use crate::{Address, Beacon, Carried, MAX_RECORDS, Repair, Status};
use dcache::{Challenge, Proof, Record, Signature};
use serde::{Deserialize, Serialize};

/// Maximum number of bytes of a line, without its line end. The largest record fits several times.
pub const MAX_LINE_BYTES: usize = 16 * 1024;
/// Maximum number of signatures in one envelope.
pub const MAX_SIGNATURES: usize = 8;

/// Initial capacity for a line, in addition to its payload. Most lines need less, so their buffer does not grow.
const USUAL_LINE_BYTES: usize = 512;

/// One line of the protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Address of the sender, to which answers go.
    pub from: Address,
    /// Address of the receiver.
    pub to: Address,
    /// A message as JSON text; see [`crate::Message`].
    pub payload: String,
    /// Free text for people who watch the traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Signatures of the payload.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Signature>,
    /// Status of the sender, in a pong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Summary of the records that the sender holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beacon: Option<Beacon>,
    /// A step of a comparison with the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<Repair>,
    /// Further records, besides the one in `payload`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Carried>,
    /// Random bytes, in a ping. The receiver signs them to prove its identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
    /// Signature of the challenge in the ping, in a pong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// Number of times that the line was forwarded.
    #[serde(default, skip_serializing_if = "is_none")]
    pub hops: u8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_none(hops: &u8) -> bool {
    *hops == 0
}

/// Error for bytes that are not a valid line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Longer than the maximum; not parsed.
    #[error("a line has at most {MAX_LINE_BYTES} bytes, not {0}")]
    Length(usize),
    /// Not UTF-8, not JSON, or not an envelope.
    #[error("not an envelope: {0}")]
    Shape(String),
    /// More signatures than one envelope may carry.
    #[error("an envelope has at most {MAX_SIGNATURES} signatures, not {0}")]
    Signatures(usize),
    /// More records than one envelope may carry.
    #[error("an envelope has at most {MAX_RECORDS} further records, not {0}")]
    Records(usize),
}

impl Envelope {
    /// Returns an envelope with only a payload.
    pub fn new(from: Address, to: Address, payload: String) -> Self {
        Self {
            from,
            to,
            payload,
            comment: None,
            signatures: Vec::new(),
            status: None,
            beacon: None,
            repair: None,
            records: Vec::new(),
            challenge: None,
            proof: None,
            hops: 0,
        }
    }

    /// Returns an envelope that carries a record.
    pub fn record(from: Address, to: Address, record: &Record) -> Self {
        let payload = record.statement().payload().into_owned();
        Self { signatures: vec![*record.signature()], ..Self::new(from, to, payload) }
    }

    /// Parses one line, given without its line end.
    ///
    /// # Errors
    /// When the line is too long, not JSON in UTF-8, or not an envelope.
    pub fn decode(line: &[u8]) -> Result<Self, LineError> {
        if line.len() > MAX_LINE_BYTES {
            return Err(LineError::Length(line.len()));
        }
        // Checking the whole line once is faster than checking each text in it.
        let text = std::str::from_utf8(line).map_err(|error| LineError::Shape(error.to_string()))?;
        let envelope: Self =
            serde_json::from_str(text).map_err(|error| LineError::Shape(error.to_string()))?;
        match (envelope.signatures.len(), envelope.records.len()) {
            (0..=MAX_SIGNATURES, 0..=MAX_RECORDS) => Ok(envelope),
            (0..=MAX_SIGNATURES, many) => Err(LineError::Records(many)),
            (many, _) => Err(LineError::Signatures(many)),
        }
    }

    /// Encodes the line, without its line end. JSON escapes line ends inside texts, so the result is always one line.
    #[expect(clippy::expect_used, reason = "structs of texts and numbers always have a JSON form")]
    pub fn encode(&self) -> String {
        let mut line = Vec::with_capacity(USUAL_LINE_BYTES + self.payload.len());
        serde_json::to_writer(&mut line, self).expect("an envelope has a JSON form");
        String::from_utf8(line).expect("JSON is UTF-8")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Data, Item, Keypair, Kind, Statement, Time, Validity};
    use proptest::prelude::*;

    fn example() -> Envelope {
        let item = Item { bucket: "share/files".parse().unwrap(), data: Data::new("cid\n\"é\"").unwrap() };
        let statement = Statement::new(Kind::Propose, item, Validity::starting(Time(1), 2)).unwrap();
        let key = Keypair::from_seed([1; 32]);
        let record = Record::sign(statement, &key, 1, dcache::End::default());
        Envelope::record(Address::brain(key.peer_id()), Address::every_brain(), &record)
    }

    #[test]
    fn an_envelope_is_one_line_that_reads_back() {
        let line = example().encode();
        assert!(!line.contains('\n'));
        assert_eq!(Envelope::decode(line.as_bytes()), Ok(example()));
    }

    #[test]
    fn an_original_line_is_read_and_unknown_keys_are_ignored() {
        let line = r#"{"from":"/a","to":"/b","payload":"{}","comment":"hi","later":[1,{"x":2}]}"#;
        let envelope = Envelope::decode(line.as_bytes()).unwrap();
        assert_eq!(envelope.comment.as_deref(), Some("hi"));
        assert!(envelope.signatures.is_empty());
    }

    #[test]
    fn malformed_lines_are_refused() {
        let mut crowded = example();
        crowded.signatures = vec![crowded.signatures[0]; MAX_SIGNATURES + 1];
        for line in [
            b"{\"from\":\"/a\",\"to\":\"/b\",\"payload\":\"\xff\xfe\"}".to_vec(),
            br#"{"from":"a","to":"/b","payload":""}"#.to_vec(),
            br#"{"from":"/a","to":"/b"}"#.to_vec(),
            b"{\"from\"".to_vec(),
            Vec::new(),
            vec![b'['; MAX_LINE_BYTES],
            vec![b' '; MAX_LINE_BYTES + 1],
            crowded.encode().into_bytes(),
        ] {
            assert!(Envelope::decode(&line).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Envelope::decode(&bytes);
        }

        #[test]
        fn any_payload_travels_unchanged(payload in "\\PC{0,200}", comment in prop::option::of("\\PC{0,20}")) {
            let mut envelope = Envelope::new("/a".parse().unwrap(), "/b".parse().unwrap(), payload);
            envelope.comment = comment;
            prop_assert_eq!(Envelope::decode(envelope.encode().as_bytes()), Ok(envelope));
        }
    }
}
