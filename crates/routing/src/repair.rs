//! Envelope keys by which peers find out which records are missing. The protocol is described in the brain's
//! `ALGORITHM.md`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dcache::{Fingerprint, Record, Signature, Time};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sketch::Symbol;
use std::borrow::Cow;

/// Maximum number of symbols in one line.
pub const MAX_SYMBOLS: usize = 640;
/// Maximum number of record identifiers in one line.
pub const MAX_WANTED: usize = 1024;
/// Maximum number of records in one line.
pub const MAX_RECORDS: usize = 32;
/// Largest salt. Every JSON reader can represent it exactly.
pub const MAX_SALT: u64 = (1 << 53) - 1;

/// Envelope key `beacon`: a summary of the records that the sender holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BeaconText", into = "BeaconText")]
pub struct Beacon {
    /// Bound of the comparison. Only records that have to be remembered beyond this time are compared.
    pub bound: Time,
    /// Fingerprint of all records that are compared.
    pub fingerprint: Fingerprint,
}

#[derive(Serialize, Deserialize)]
struct BeaconText {
    bound: Time,
    count: u64,
    /// Base64url text of 16 bytes, big-endian.
    sum: String,
}

impl TryFrom<BeaconText> for Beacon {
    type Error = &'static str;
    fn try_from(text: BeaconText) -> Result<Self, Self::Error> {
        let sum = decode::<16>(&text.sum).ok_or("a sum is 16 bytes in base64url without padding")?;
        let sum = u128::from_be_bytes(sum);
        Ok(Self { bound: text.bound, fingerprint: Fingerprint { count: text.count, sum } })
    }
}

impl From<Beacon> for BeaconText {
    fn from(beacon: Beacon) -> Self {
        let Fingerprint { count, sum } = beacon.fingerprint;
        Self { bound: beacon.bound, count, sum: URL_SAFE_NO_PAD.encode(sum.to_be_bytes()) }
    }
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// Envelope key `repair`: one step of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// Symbols of the records that the sender holds beyond a bound.
    Sketch(Sketch),
    /// The symbols that have arrived so far do not yet reveal the difference.
    More {
        /// Salt that identifies the comparison.
        salt: u64,
        /// Number of symbols that have arrived.
        have: u32,
    },
    /// The symbols reveal the difference. These are the records that the sender lacks; the records that the receiver
    /// lacks follow.
    Want(Want),
}

/// A range of the symbols of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sketch {
    /// Bound of the comparison. Only records that have to be remembered beyond this time are compared.
    pub bound: Time,
    /// Number of records that are compared.
    pub count: u64,
    /// Salt for converting record identifiers to numbers. It also identifies the comparison.
    #[serde(deserialize_with = "salt")]
    pub salt: u64,
    /// Index of the first of these symbols in the sequence of all symbols.
    pub first: u32,
    /// The symbols, at most [`MAX_SYMBOLS`] of them.
    #[serde(serialize_with = "write_symbols", deserialize_with = "read_symbols")]
    pub symbols: Vec<Symbol>,
}

/// Records that the sender lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// Salt of the identifiers.
    #[serde(deserialize_with = "salt")]
    pub salt: u64,
    /// Salted identifiers of the records, at most [`MAX_WANTED`] of them.
    #[serde(serialize_with = "write_numbers", deserialize_with = "read_numbers")]
    pub ids: Vec<u64>,
}

fn salt<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let salt = u64::deserialize(deserializer)?;
    if salt <= MAX_SALT { Ok(salt) } else { Err(serde::de::Error::custom("a salt has at most 53 bits")) }
}

/// A text that can be read without copying it.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Decodes a base64url text of at most `most` bytes.
fn read_bytes<'de, D: Deserializer<'de>>(deserializer: D, most: usize) -> Result<Vec<u8>, D::Error> {
    use serde::de::Error as _;
    let Text(text) = Text::deserialize(deserializer)?;
    if text.len() > most.div_ceil(3) * 4 {
        return Err(D::Error::custom("too many entries in one line"));
    }
    let bytes = URL_SAFE_NO_PAD.decode(&*text).map_err(D::Error::custom)?;
    if bytes.len() <= most { Ok(bytes) } else { Err(D::Error::custom("too many entries in one line")) }
}

fn write_symbols<S: Serializer>(symbols: &[Symbol], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&URL_SAFE_NO_PAD.encode(sketch::to_bytes(symbols)))
}

fn read_symbols<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Symbol>, D::Error> {
    let bytes = read_bytes(deserializer, MAX_SYMBOLS * sketch::SYMBOL_BYTES)?;
    sketch::from_bytes(&bytes).ok_or_else(|| serde::de::Error::custom("the last symbol is incomplete"))
}

fn write_numbers<S: Serializer>(numbers: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    serializer.serialize_str(&URL_SAFE_NO_PAD.encode(bytes))
}

fn read_numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    let bytes = read_bytes(deserializer, MAX_WANTED * 8)?;
    let (numbers, rest) = bytes.as_chunks::<8>();
    match rest.is_empty() {
        true => Ok(numbers.iter().map(|number| u64::from_le_bytes(*number)).collect()),
        false => Err(serde::de::Error::custom("the last number is incomplete")),
    }
}

/// One entry of an envelope's `records`. A line carries several records when they are for one peer, or when they are
/// sent together with the record in `payload`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// Payload, as in the envelope itself.
    pub payload: String,
    /// Signature, as in the envelope itself.
    pub signature: Signature,
}

impl From<&Record> for Carried {
    fn from(record: &Record) -> Self {
        Self { payload: record.statement().payload().into_owned(), signature: *record.signature() }
    }
}

impl Carried {
    /// Returns the number of bytes that the record takes in a line.
    pub fn encoded_length(&self) -> usize {
        // A struct of texts and numbers always has a JSON form.
        serde_json::to_string(self).map_or(usize::MAX, |text| text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
        serde_json::from_str(text).ok()
    }

    #[test]
    fn oversized_and_truncated_values_are_refused() {
        let sketch = |symbols: &str, salt: u64| {
            read::<Sketch>(&format!(
                r#"{{"bound":1,"count":2,"salt":{salt},"first":0,"symbols":"{symbols}"}}"#
            ))
        };
        let bytes = |count: usize| URL_SAFE_NO_PAD.encode(vec![7; count]);
        assert!(sketch(&bytes(MAX_SYMBOLS * sketch::SYMBOL_BYTES), MAX_SALT).is_some());
        assert!(sketch(&bytes(MAX_SYMBOLS * sketch::SYMBOL_BYTES), MAX_SALT + 1).is_none());
        assert!(sketch(&bytes((MAX_SYMBOLS + 1) * sketch::SYMBOL_BYTES), 1).is_none());
        assert!(sketch(&bytes(5), 1).is_none());
        let want = |ids: &str| read::<Want>(&format!(r#"{{"salt":1,"ids":"{ids}"}}"#));
        assert!(want(&bytes(8 * MAX_WANTED)).is_some());
        assert!(want(&bytes(8 * MAX_WANTED + 8)).is_none());
        assert!(want(&bytes(9)).is_none());
        assert!(read::<Beacon>(r#"{"bound":1,"count":2,"sum":"AA"}"#).is_none());
    }

    proptest! {
        #[test]
        fn steps_round_trip(
            items in prop::collection::vec(any::<u64>(), 0..50), bound in 0..1u64 << 40, salt in 0..=MAX_SALT,
            first: u32, count: u64, sum: u128,
        ) {
            let beacon = Beacon { bound: Time(bound), fingerprint: Fingerprint { count, sum } };
            prop_assert_eq!(read(&serde_json::to_string(&beacon).unwrap()), Some(beacon));
            let symbols = sketch::Encoder::new(items.iter().copied()).symbols(30);
            for step in [
                Repair::Sketch(Sketch { bound: Time(bound), count, salt, first, symbols }),
                Repair::More { salt, have: first },
                Repair::Want(Want { salt, ids: items }),
            ] {
                prop_assert_eq!(read(&serde_json::to_string(&step).unwrap()), Some(step));
            }
        }
    }
}
