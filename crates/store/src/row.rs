//! Encoding of one row. The documentation of the crate defines the format.

use dcache::{Digest, End, Item, MAX_PAYLOAD_BYTES, MAX_SEQUENCE, PeerId, Record, Signature, Statement};

const VERSION: u8 = 2;
/// Version of old rows, from before signatures included the time until which to keep a record. They contain a time that
/// this node computed by itself.
const VERSION_BEFORE: u8 = 1;
/// Size, in bytes, of everything before the payload.
const HEADER_BYTES: usize = 1 + 8 + 8 + 64 + 32;
const MAX_ROW_BYTES: usize = HEADER_BYTES + MAX_PAYLOAD_BYTES;

/// Reason why bytes are not a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RowError {
    #[error("a row has {HEADER_BYTES} to {MAX_ROW_BYTES} bytes, not {0}")]
    Length(usize),
    #[error("this program does not know row version {0}")]
    Version(u8),
    #[error("sequence number {0} is out of bounds")]
    Sequence(u64),
    #[error("the payload is not UTF-8 text")]
    Text,
    #[error("the payload is not a record: {0}")]
    Payload(#[from] dcache::StatementError),
    #[error("the row is stored under the key of another record")]
    Misplaced,
}

/// Returns the key of the record about `item` by `signer`. It is a hash, so that all keys are short and have the same
/// length.
pub(crate) fn key(item: &Item, signer: PeerId) -> [u8; 32] {
    let bucket = item.bucket.as_str().as_bytes();
    let parts = [signer.public_key(), bucket, &[0], item.data.as_str().as_bytes()];
    *Digest::of(&parts.concat()).as_bytes()
}

/// Encodes a record as a row.
pub(crate) fn encode(record: &Record) -> Vec<u8> {
    let signature = record.signature();
    let payload = record.statement().payload();
    let payload = payload.as_bytes();
    let mut row = Vec::with_capacity(HEADER_BYTES + payload.len());
    row.push(VERSION);
    row.extend(signature.keep.to_bytes());
    row.extend(signature.sequence.to_be_bytes());
    row.extend(signature.bytes);
    row.extend(signature.signer.public_key());
    row.extend(payload);
    row
}

/// Decodes the row that was found under the key `found_at`.
pub(crate) fn decode(found_at: [u8; 32], row: &[u8]) -> Result<Record, RowError> {
    let record = parse(row)?;
    if key(record.item(), record.signer()) != found_at {
        return Err(RowError::Misplaced);
    }
    Ok(record)
}

/// Decodes a row and encodes it again, for fuzzing. Returns `None` if it is not a row.
#[doc(hidden)]
pub fn reread_row(row: &[u8]) -> Option<Vec<u8>> {
    Some(encode(&parse(row).ok()?))
}

/// Converts a row of version 1 to version 2. Returns `None` for other versions.
pub(crate) fn of_version_1_to_2(row: &[u8]) -> Option<Vec<u8>> {
    let (version, rest) = row.split_first()?;
    let (_, rest) = rest.split_first_chunk::<8>().filter(|_| *version == VERSION_BEFORE)?;
    Some([&[VERSION], &End::default().to_bytes()[..], rest].concat())
}

fn parse(row: &[u8]) -> Result<Record, RowError> {
    let too_short = || RowError::Length(row.len());
    if row.len() > MAX_ROW_BYTES {
        return Err(too_short());
    }
    let ([version], rest) = row.split_first_chunk().ok_or_else(too_short)?;
    if *version != VERSION {
        return Err(RowError::Version(*version));
    }
    let (keep, rest) = rest.split_first_chunk().ok_or_else(too_short)?;
    let (sequence, rest) = rest.split_first_chunk().ok_or_else(too_short)?;
    let (bytes, rest) = rest.split_first_chunk().ok_or_else(too_short)?;
    let (signer, payload) = rest.split_first_chunk().ok_or_else(too_short)?;
    let signature = Signature {
        signer: PeerId::from_public_key(*signer),
        sequence: u64::from_be_bytes(*sequence),
        keep: End::from_bytes(*keep),
        bytes: *bytes,
    };
    if !(1..=MAX_SEQUENCE).contains(&signature.sequence) {
        return Err(RowError::Sequence(signature.sequence));
    }
    let payload = std::str::from_utf8(payload).map_err(|_| RowError::Text)?;
    Ok(Record::from_own_disk(Statement::parse(payload)?, signature))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Data, Keypair, Kind, Time, Validity};
    use proptest::prelude::*;

    fn record(bucket: &str, data: &str, sequence: u64) -> Record {
        kept(bucket, data, sequence, End::default())
    }

    fn kept(bucket: &str, data: &str, sequence: u64, keep: End) -> Record {
        let item = Item { bucket: bucket.parse().unwrap(), data: Data::new(data).unwrap() };
        let statement = Statement::new(Kind::Propose, item, Validity::starting(Time(7), 9)).unwrap();
        Record::sign(statement, &Keypair::from_seed([1; 32]), sequence, keep)
    }

    fn own_key(record: &Record) -> [u8; 32] {
        key(record.item(), record.signer())
    }

    #[test]
    fn the_bytes_have_the_documented_layout() {
        let record = kept("share/files", "cid", 0x0102, End::at(Time(0x0304)));
        let row = encode(&record);
        assert_eq!(row[0], 2);
        assert_eq!(row[1..9], [0, 0, 0, 0, 0, 0, 3, 4]);
        assert_eq!(row[9..17], [0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(row[17..81], record.signature().bytes);
        assert_eq!(&row[81..113], record.signer().public_key());
        assert_eq!(&row[113..], record.statement().payload().as_bytes());
        assert_eq!(encode(&kept("share/files", "cid", 1, End::NEVER))[1..9], [0xff; 8]);
        assert_eq!(encode(&kept("share/files", "cid", 1, End::default()))[1..9], [0; 8]);
    }

    #[test]
    fn the_time_of_keeping_in_a_row_of_version_1_is_ignored() {
        let record = record("share/files", "cid", 5);
        let mut row = encode(&record);
        row[0] = 1;
        row[1..9].copy_from_slice(&99u64.to_be_bytes());
        assert_eq!(of_version_1_to_2(&row), Some(encode(&record)));
        assert_eq!(of_version_1_to_2(&encode(&record)), None);
        assert_eq!(of_version_1_to_2(&[1; 8]), None);
    }

    #[test]
    fn malformed_rows_are_refused() {
        let record = record("share/files", "cid", 5);
        let (at, row) = (own_key(&record), encode(&record));
        let with = |offset: usize, byte: u8| {
            let mut row = row.clone();
            row[offset] = byte;
            decode(at, &row).unwrap_err()
        };
        assert_eq!(with(0, 3), RowError::Version(3));
        assert_eq!(with(16, 0), RowError::Sequence(0));
        assert_eq!(with(113, 0xff), RowError::Text);
        assert!(matches!(with(113, b'['), RowError::Payload(_)));
        assert_eq!(with(81, row[81] ^ 1), RowError::Misplaced);
        assert_eq!(decode([0; 32], &row), Err(RowError::Misplaced));
        assert!(matches!(decode(at, &row[..112]), Err(RowError::Length(112))));
        assert!(matches!(decode(at, &[1; 5000]), Err(RowError::Length(5000))));
        assert!(decode(at, &[]).is_err());
    }

    #[test]
    fn keys_differ_when_path_and_data_are_split_differently() {
        assert_ne!(own_key(&record("share/ab", "c", 1)), own_key(&record("share/a", "bc", 1)));
    }

    proptest! {
        #[test]
        fn every_row_reads_back(data in "\\PC{0,300}", sequence in 1u64..=MAX_SEQUENCE, keep in any::<[u8; 8]>()) {
            let record = kept("a/b", &data, sequence, End::from_bytes(keep));
            let row = encode(&record);
            prop_assert_eq!(reread_row(&row), Some(row.clone()));
            prop_assert_eq!(decode(own_key(&record), &row), Ok(record));
        }

        #[test]
        fn arbitrary_bytes_are_decoded_or_refused_without_a_panic(row in prop::collection::vec(any::<u8>(), 0..300), version in any::<bool>()) {
            let mut row = row;
            if let (true, Some(first)) = (version, row.first_mut()) {
                *first = VERSION;
            }
            let _ = decode([0; 32], &row);
        }
    }
}
