//! The payloads of records that were heard lately. Each record is heard several times within a second: its maker repeats
//! it, and nodes forward it. A copy that is equal byte for byte need not be parsed again.

use dcache::{Key, Signature};

/// Number of payloads that are kept. With records of usual size they take about 100 kB.
const PAYLOADS: usize = 256;
/// Maximum size of a payload that is kept, in bytes. A longer one is parsed again each time, so that long records of one
/// signer cannot fill the memory.
const MAX_BYTES: usize = 1024;

/// A payload, with its signature and the key of its record.
#[derive(Clone, Debug)]
struct Heard {
    payload: Box<str>,
    signature: Signature,
    key: Key,
}

/// The payloads that were heard lately. The place of each follows from its signature, and a new payload displaces the one
/// that has its place.
#[derive(Debug, Default)]
pub(crate) struct RecentPayloads {
    places: Vec<Option<Heard>>,
}

impl RecentPayloads {
    /// Returns the key of the record with this payload and signature, if it was heard lately.
    pub(crate) fn key_of(&self, payload: &str, signature: &Signature) -> Option<&Key> {
        let heard = self.places.get(place_of(signature))?.as_ref()?;
        (heard.signature == *signature && *heard.payload == *payload).then_some(&heard.key)
    }

    /// Notes the payload, the signature and the key of a record that is in the set.
    pub(crate) fn note(&mut self, payload: &str, signature: &Signature, key: Key) {
        if payload.len() > MAX_BYTES {
            return;
        }
        if self.places.is_empty() {
            self.places = vec![None; PAYLOADS];
        }
        if let Some(place) = self.places.get_mut(place_of(signature)) {
            *place = Some(Heard { payload: payload.into(), signature: *signature, key });
        }
    }
}

fn place_of(signature: &Signature) -> usize {
    usize::from(signature.bytes[0]) % PAYLOADS
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Data, End, Item, Keypair, Kind, Record, Statement, Time, Validity};

    fn record(sequence: u64) -> Record {
        let item = Item { bucket: "a".parse().unwrap(), data: Data::new("x").unwrap() };
        let statement = Statement::new(Kind::Propose, item, Validity::starting(Time(1), 100)).unwrap();
        Record::sign(statement, &Keypair::from_seed([1; 32]), sequence, End::default())
    }

    #[test]
    fn only_an_equal_payload_with_an_equal_signature_is_found() {
        let (mut recent, record) = (RecentPayloads::default(), record(1));
        let (payload, signature) = (record.statement().payload().into_owned(), *record.signature());
        assert_eq!(recent.key_of(&payload, &signature), None);
        recent.note(&payload, &signature, Key::from(&record));
        assert_eq!(recent.key_of(&payload, &signature), Some(&Key::from(&record)));
        assert_eq!(recent.key_of(&format!("{payload} "), &signature), None);
        let mut forged = signature;
        forged.bytes[63] ^= 1;
        assert_eq!(recent.key_of(&payload, &forged), None);
    }

    #[test]
    fn a_long_payload_is_not_kept() {
        let (mut recent, record) = (RecentPayloads::default(), record(1));
        let (signature, long) = (*record.signature(), "x".repeat(MAX_BYTES + 1));
        recent.note(&long, &signature, Key::from(&record));
        assert_eq!(recent.key_of(&long, &signature), None);
        recent.note(&long[1..], &signature, Key::from(&record));
        assert!(recent.key_of(&long[1..], &signature).is_some());
    }

    #[test]
    fn the_number_of_payloads_is_limited() {
        let mut recent = RecentPayloads::default();
        for sequence in 1..=3 * PAYLOADS as u64 {
            let record = record(sequence);
            recent.note(&record.statement().payload(), record.signature(), Key::from(&record));
        }
        assert_eq!(recent.places.len(), PAYLOADS);
    }
}
