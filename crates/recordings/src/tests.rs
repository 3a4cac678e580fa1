//! Bounds and determinism of all readers, for any bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io;

use crate::samples::{bag, mcap, metadata};
use crate::*;

/// A source that counts, that returns at most `most` bytes at once, and that repeats bytes up to any size.
pub(crate) struct Counted {
    begin: Vec<u8>,
    /// Bytes that follow `begin` again and again.
    repeated: Vec<u8>,
    size: u64,
    most: usize,
    reads: u64,
    bytes: u64,
}

impl Counted {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let size = bytes.len() as u64;
        Self { begin: bytes.to_vec(), repeated: vec![0], size, most: usize::MAX, reads: 0, bytes: 0 }
    }

    pub(crate) fn endless(begin: Vec<u8>, repeated: Vec<u8>, size: u64) -> Self {
        Self { begin, repeated, size, ..Self::new(&[]) }
    }

    /// Returns the bytes that follow each other from this place, at least one.
    fn slice(&self, at: u64) -> &[u8] {
        match at.checked_sub(self.begin.len() as u64) {
            None => &self.begin[at as usize..],
            Some(behind) => &self.repeated[(behind % self.repeated.len() as u64) as usize..],
        }
    }
}

impl Source for Counted {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = into.len().min(self.most).min(left);
        let mut at = 0;
        while at < count {
            let bytes = self.slice(offset + at as u64);
            let length = bytes.len().min(count - at);
            into[at..at + length].copy_from_slice(&bytes[..length]);
            at += length;
        }
        self.reads += 1;
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Describes a source and checks the limits of the work and of the result.
pub(crate) fn bounded(name: &str, source: &mut Counted) -> Description {
    source.most = usize::MAX;
    let description = describe(name, source).unwrap();
    assert!(source.reads <= u64::from(MAX_READS) && source.bytes <= MAX_BYTES_READ);
    check(&description);
    description
}

/// Checks the limits of a description, and that it survives being written.
fn check(description: &Description) {
    assert!(description.is_within_limits(), "{description:?}");
    let named = description.topics.iter().fold(0, |sum: u64, topic| sum.saturating_add(topic.messages));
    assert!(named <= description.messages && (named == description.messages || description.is_partial));
    assert!(description.from <= description.until);
    let json = serde_json::to_string(description).unwrap();
    assert_eq!(&serde_json::from_str::<Description>(&json).unwrap(), description);
}

/// A folder in memory.
pub(crate) struct Files(pub(crate) BTreeMap<String, Vec<u8>>);

impl Files {
    pub(crate) fn new(files: &[(&str, &[u8])]) -> Self {
        Self(files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect())
    }
}

impl Folder for Files {
    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn open(&mut self, name: &str) -> io::Result<Box<dyn Source + '_>> {
        let bytes = self.0.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Counted::new(bytes)))
    }
}

/// Returns valid recordings of all kinds.
fn samples() -> Vec<Vec<u8>> {
    let statistics_only = mcap::closed(mcap::open(2, ""), &mcap::statistics_of(2));
    vec![
        bag::whole(3, "none"),
        bag::whole(2, "bz2"),
        bag::open(3, "none"),
        bag::open(2, "lz4"),
        mcap::whole(3, ""),
        mcap::whole(2, "zstd"),
        mcap::open(3, ""),
        mcap::open(2, "lz4"),
        mcap::closed(mcap::open(2, ""), &[]),
        statistics_only,
    ]
}

fn sample() -> impl Strategy<Value = Vec<u8>> {
    (0..samples().len()).prop_map(|number| samples().swap_remove(number))
}

proptest! {
    #[test]
    fn any_bytes_are_described_within_the_limits(bytes in vec(any::<u8>(), 0..3000), begin in 0..5_usize) {
        let begin = [&b""[..], bag::MAGIC, mcap::MAGIC, b"\x89MCAP", b"SQLite format 3\0"][begin];
        bounded("a", &mut Counted::new(&[begin, &bytes].concat()));
    }

    #[test]
    fn any_part_of_a_recording_is_described_within_the_limits(bytes in sample(), at in any::<prop::sample::Index>()) {
        let length = at.index(bytes.len());
        let description = bounded("a", &mut Counted::new(&bytes[..length]));
        // Whatever is missing, the description does not have more than the whole.
        let whole = describe("a", &mut &bytes[..]).unwrap();
        prop_assert!(description.messages <= whole.messages, "{description:?}");
    }

    #[test]
    fn a_recording_with_changed_bytes_is_described_within_the_limits(
        mut bytes in sample(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bounded("a", &mut Counted::new(&bytes));
    }

    #[test]
    fn a_description_does_not_depend_on_the_size_of_the_reads(bytes in sample(), most in 1..300_usize) {
        let whole = describe("a", &mut &bytes[..]).unwrap();
        let mut source = Counted::new(&bytes);
        source.most = most;
        prop_assert_eq!(describe("a", &mut source).unwrap(), whole);
    }

    #[test]
    fn any_metadata_is_read_within_the_limits(
        text in any::<String>(),
        at in any::<prop::sample::Index>(),
        length in 0..20_usize,
    ) {
        let mut changed = metadata("a_0.mcap").into_bytes();
        let at = at.index(changed.len());
        let end = (at + length).min(changed.len());
        changed.splice(at..end, text.into_bytes());
        let part = mcap::whole(2, "");
        let mut folder = Files::new(&[("metadata.yaml", &changed), ("a_0.mcap", &part)]);
        check(&describe_folder(&mut folder).unwrap());
    }
}

/// Returns files of 10 GB that never end.
fn endless() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let open_bag = [bag::MAGIC, &bag::header(0, 0, 0)].concat();
    let named = [&open_bag[..], &bag::connection(0, "/a", "b/C"), &bag::connection(1, "/d", "e/F")].concat();
    let index = bag::HEADER_BYTES as u64;
    let all = u32::MAX;
    let indexed = [bag::MAGIC, &bag::header(index, all, all)].concat();
    let no_connections = [bag::MAGIC, &bag::header(index, 0, all)].concat();
    let open_mcap = [mcap::MAGIC, &mcap::header()].concat();
    let empty_field = bag::field("", b"");
    vec![
        ("zeros after a bag", open_bag.clone(), vec![0; 4096]),
        ("chunks", named.clone(), bag::chunk_with_index(1, "none")),
        ("compressed chunks", open_bag.clone(), bag::chunk_with_index(1, "lz4")),
        ("chunks without index", named, bag::chunk("none", &bag::message(0, 5, 0))),
        ("connections", indexed, bag::connection(0, "/a", "b/C")),
        ("chunk infos", no_connections, bag::chunk_info(index, [1, 2], &[(0, 1)])),
        ("fields", [&open_bag[..], &[255; 4]].concat(), empty_field),
        ("zeros after an MCAP file", open_mcap.clone(), vec![0; 4096]),
        ("messages", open_mcap.clone(), mcap::message(1, 5, 0)),
        ("messages of an image", open_mcap.clone(), mcap::message(1, 5, 50_000)),
        ("empty records", open_mcap.clone(), mcap::record(0x80, &[])),
        ("MCAP chunks", open_mcap.clone(), [mcap::chunk_of(1, ""), mcap::indexes(1)].concat()),
        ("compressed MCAP chunks", open_mcap.clone(), [mcap::chunk_of(1, "zstd"), mcap::indexes(1)].concat()),
        ("schemas", open_mcap.clone(), mcap::schema(1, "a")),
        ("text", b"text\n".to_vec(), b"line\n".to_vec()),
    ]
}

#[test]
fn a_file_of_10_gigabytes_is_described_within_the_limits() {
    const SIZE: u64 = 10_000_000_000;
    for (name, begin, repeated) in endless() {
        let mut source = Counted::endless(begin, repeated, SIZE);
        let description = bounded("a", &mut source);
        let is_marked = description.is_partial || description.is_cut || description.fault.is_some();
        assert!(is_marked || description.kind == Kind::Text, "{name}: {description:?}");
        println!(
            "{name}: {} reads, {} bytes, {} messages{}",
            source.reads,
            source.bytes,
            description.messages,
            if description.is_partial { ", partial" } else { "" }
        );
    }
}

#[test]
fn the_numbers_of_topics_and_connections_are_limited() {
    let mut connections = Vec::new();
    let mut channels = mcap::schema(1, "a");
    for id in 0..3000 {
        let topic = format!("/{id}\u{202e}");
        connections.extend(bag::record(
            7,
            &[("conn", &u32::to_le_bytes(id)), ("topic", topic.as_bytes())],
            &[],
        ));
        channels.extend(mcap::channel(id as u16, (id % 2) as u16 * 77, &topic));
    }
    let header = bag::header(bag::HEADER_BYTES as u64, 3000, 0);
    for bytes in [
        [bag::MAGIC, &header, &connections].concat(),
        [bag::MAGIC, &bag::header(0, 0, 0), &connections].concat(),
        [mcap::MAGIC, &channels].concat(),
        mcap::closed([mcap::MAGIC, &mcap::header()].concat(), &channels),
    ] {
        let description = bounded("a", &mut Counted::new(&bytes));
        assert!(description.is_partial);
        assert_eq!(description.topics.len(), MAX_TOPICS);
    }
}

#[test]
fn a_description_fits_into_a_block() {
    let names =
        (0..=MAX_TOPICS as u16).map(|id| mcap::channel(id, 0, &format!("/{id}{}", "\"\u{202e}".repeat(99))));
    let bytes = [mcap::MAGIC.to_vec(), names.collect::<Vec<_>>().concat()].concat();
    let description = bounded("a", &mut Counted::new(&bytes));
    let (count, is_partial) = (description.topics.len(), description.is_partial);
    assert!(is_partial && (250..=MAX_TOPICS).contains(&count), "{count} {is_partial}");
    assert!(serde_json::to_string(&description).unwrap().len() < 1 << 20);
}

#[test]
fn an_error_of_the_source_is_no_fault_of_the_file() {
    /// Fails after some reads.
    struct Broken(Counted, u64);
    impl Source for Broken {
        fn size(&self) -> u64 {
            self.0.size
        }

        fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
            if self.0.reads >= self.1 {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.0.read_at(offset, into)
        }
    }
    for bytes in samples() {
        let mut source = Counted::new(&bytes);
        bounded("a", &mut source);
        for reads in 0..source.reads {
            let result = describe("a", &mut Broken(Counted::new(&bytes), reads));
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
    }
}
