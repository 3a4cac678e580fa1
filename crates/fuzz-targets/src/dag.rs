//! Target: an untrusted block, decoded as a node of a DAG.

use ::cid::Cid;
use ::cid::multihash::Multihash;
use bytes::Bytes;
use ipfs::dag::{DAG_PB, DagError, MAX_LINKS, Node, RAW, links, node};
use ipfs::unixfs::{Cursor, FileNode};

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![block(1), block(2), block(4), file()]
}

/// Checks that the links of a node agree and are within the limits, and that a file can be traversed.
pub fn check(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    assert_eq!(links(&cid(RAW), &bytes), Ok(Vec::new()));
    assert!(matches!(node(&cid(RAW), &bytes), Ok(Node::File { data, .. }) if data == bytes));
    let _ = check_node(&bytes);
}

fn check_node(bytes: &Bytes) -> Result<(), DagError> {
    let all = links(&cid(DAG_PB), bytes);
    assert!(all.as_ref().map_or(0, Vec::len) <= MAX_LINKS);
    match node(&cid(DAG_PB), bytes)? {
        Node::File { data, links, .. } => {
            assert!(data.len() <= bytes.len());
            assert_eq!(all, Ok(links));
        }
        Node::Directory { links } => assert_eq!(all, Ok(links)),
    }
    if let Ok(file) = FileNode::read(&cid(DAG_PB), bytes) {
        check_file(file);
    }
    Ok(())
}

/// Checks that the sizes of a file's parts add up, and that a cursor visits each part at most once.
fn check_file(file: FileNode) {
    let of_parts: u128 = file.parts.iter().map(|part| u128::from(part.size)).sum();
    assert_eq!(u128::from(file.size), file.data.len() as u128 + of_parts);
    let (middle, size, count) = (file.size / 2, file.size, file.parts.len());
    for range in [0..size, middle..size, middle..middle.saturating_add(1)] {
        let (mut cursor, data) = Cursor::new(file.clone(), range.clone());
        assert!(data.len() as u64 <= range.end - range.start);
        let mut visited = 0;
        while cursor.next_part().is_some() {
            assert!(cursor.upcoming(4).len() <= 4);
            cursor.skip();
            visited += 1;
        }
        assert!(visited <= count);
    }
}

#[expect(clippy::expect_used, reason = "32 bytes are a possible digest")]
fn cid(codec: u64) -> Cid {
    Cid::new_v1(codec, Multihash::wrap(0x12, &[7; 32]).expect("a possible digest"))
}

/// Returns a length-delimited protobuf field.
fn field(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len() as u8;
    [&[tag << 3 | 2, length], body].concat()
}

/// Returns a dag-pb node with one link and this UnixFS kind.
fn block(kind: u8) -> Vec<u8> {
    let link = [field(1, &cid(RAW).to_bytes()), field(2, b"name"), vec![0x18, 9]].concat();
    let unixfs = [vec![0x08, kind], field(2, b"bytes"), vec![0x18, 5]].concat();
    [field(2, &link), field(1, &unixfs)].concat()
}

/// Returns a file node with data and two parts, whose sizes add up.
fn file() -> Vec<u8> {
    let link = field(2, &field(1, &cid(RAW).to_bytes()));
    let unixfs = [vec![0x08, 2], field(2, b"bytes"), vec![0x18, 14, 0x20, 9, 0x20, 0]].concat();
    [link.clone(), link, field(1, &unixfs)].concat()
}
