//! Walks through files that are built here block by block, honest and malicious ones.
use std::collections::BTreeMap;

use multihash_codetable::{Code, MultihashDigest};
use proptest::prelude::*;
use prost::encoding::encode_varint;

use super::*;
use crate::dag::{DAG_PB, RAW};

type Blocks = BTreeMap<Cid, Bytes>;

fn number(tag: u8, value: u64) -> Vec<u8> {
    let mut field = vec![tag << 3];
    encode_varint(value, &mut field);
    field
}

fn field(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut field = vec![tag << 3 | 2];
    encode_varint(body.len() as u64, &mut field);
    [&field, body].concat()
}

fn keep(blocks: &mut Blocks, codec: u64, block: Vec<u8>) -> Cid {
    let cid = Cid::new_v1(codec, Code::Sha2_256.digest(&block));
    blocks.insert(cid, block.into());
    cid
}

fn leaf(blocks: &mut Blocks, data: &[u8]) -> Part {
    Part { cid: keep(blocks, RAW, data.to_vec()), size: data.len() as u64 }
}

/// Stores a node that claims these sizes, true or not.
fn claiming(blocks: &mut Blocks, data: &[u8], parts: &[Part], size: u64) -> Part {
    let sizes = parts.iter().flat_map(|part| number(4, part.size));
    let unixfs: Vec<u8> =
        [number(1, 2), field(2, data), number(3, size)].concat().into_iter().chain(sizes).collect();
    let links = parts.iter().flat_map(|part| field(2, &field(1, &part.cid.to_bytes())));
    let block = links.chain(field(1, &unixfs)).collect();
    Part { cid: keep(blocks, DAG_PB, block), size }
}

fn node(blocks: &mut Blocks, data: &[u8], parts: &[Part]) -> Part {
    let size = data.len() as u64 + parts.iter().map(|part| part.size).sum::<u64>();
    claiming(blocks, data, parts, size)
}

/// The structure of a test file.
#[derive(Clone, Debug)]
enum Shape {
    Leaf(Vec<u8>),
    Node(Vec<u8>, Vec<Shape>),
}

fn make(blocks: &mut Blocks, shape: &Shape) -> Part {
    match shape {
        Shape::Leaf(data) => leaf(blocks, data),
        Shape::Node(data, below) => {
            let parts: Vec<Part> = below.iter().map(|shape| make(blocks, shape)).collect();
            node(blocks, data, &parts)
        }
    }
}

fn content(shape: &Shape) -> Vec<u8> {
    match shape {
        Shape::Leaf(data) => data.clone(),
        Shape::Node(data, below) => data.iter().copied().chain(below.iter().flat_map(content)).collect(),
    }
}

fn shapes() -> impl Strategy<Value = Shape> {
    let data = || prop::collection::vec(any::<u8>(), 0..6);
    data().prop_map(Shape::Leaf).prop_recursive(4, 40, 5, move |inner| {
        (data(), prop::collection::vec(inner, 0..5)).prop_map(|(data, below)| Shape::Node(data, below))
    })
}

/// Walks through a range. Returns its content and the blocks that were needed after the root.
fn walk(blocks: &Blocks, root: Cid, range: Range<u64>) -> Result<(Vec<u8>, Vec<Cid>), SeekError> {
    let (mut cursor, first) = Cursor::new(FileNode::read(&root, &blocks[&root])?, range);
    let (mut content, mut visited) = (first.to_vec(), Vec::new());
    while let Some(part) = cursor.next_part() {
        assert_eq!(cursor.next_part(), Some(part));
        let next = cursor.upcoming(1);
        content.extend(cursor.feed(&blocks[&part.cid])?);
        visited.push(part.cid);
        if let (Some(upcoming), RAW) = (next.first(), part.cid.codec()) {
            assert_eq!(cursor.next_part().map(|part| part.cid), Some(*upcoming));
        }
    }
    Ok((content, visited))
}

proptest! {
    #[test]
    fn every_range_of_every_file_equals_the_same_range_of_the_whole(shape in shapes(), from in 0u64..60, length in 0u64..60) {
        let mut blocks = Blocks::new();
        let root = make(&mut blocks, &shape);
        let whole = content(&shape);
        prop_assert_eq!(root.size, whole.len() as u64);
        let (from, to) = (from.min(root.size), (from + length).min(root.size));
        let (given, _) = walk(&blocks, root.cid, from..to).unwrap();
        prop_assert_eq!(given, &whole[from as usize..to as usize]);
    }
}

#[test]
fn only_the_blocks_of_the_range_are_requested() {
    let mut blocks = Blocks::new();
    let leaves: Vec<Part> = (0..9u8).map(|byte| leaf(&mut blocks, &[byte; 10])).collect();
    let nodes: Vec<Part> = leaves.chunks(3).map(|parts| node(&mut blocks, b"", parts)).collect();
    let root = node(&mut blocks, b"", &nodes);
    let (given, visited) = walk(&blocks, root.cid, 45..61).unwrap();
    assert_eq!(given, [&[4; 5][..], &[5; 10], &[6; 1]].concat());
    assert_eq!(visited, [nodes[1].cid, leaves[4].cid, leaves[5].cid, nodes[2].cid, leaves[6].cid]);
    assert!(walk(&blocks, root.cid, 90..90).unwrap().1.is_empty());
}

#[test]
fn upcoming_parts_are_known_beyond_the_present_node() {
    let mut blocks = Blocks::new();
    let leaves: Vec<Part> = (0..4u8).map(|byte| leaf(&mut blocks, &[byte; 10])).collect();
    let nodes: Vec<Part> = leaves.chunks(2).map(|parts| node(&mut blocks, b"", parts)).collect();
    let root = node(&mut blocks, b"", &nodes);
    let root = FileNode::read(&root.cid, &blocks[&root.cid]).unwrap();
    let (mut cursor, _) = Cursor::new(root, 0..25);
    assert_eq!(cursor.next_part(), Some(nodes[0]));
    cursor.feed(&blocks[&nodes[0].cid]).unwrap();
    assert_eq!(cursor.next_part(), Some(leaves[0]));
    assert_eq!(cursor.upcoming(9), [leaves[1].cid, nodes[1].cid]);
    assert_eq!(cursor.upcoming(1), [leaves[1].cid]);
    cursor.skip();
    assert_eq!(cursor.next_part(), Some(leaves[1]));
    cursor.skip();
    assert_eq!((cursor.next_part(), cursor.upcoming(9)), (Some(nodes[1]), vec![]));
    cursor.skip();
    assert_eq!(cursor.next_part(), None);
}

#[test]
fn wrong_sizes_end_the_walk() {
    let mut blocks = Blocks::new();
    let honest = leaf(&mut blocks, b"ten bytes!");
    let wrong = |cid| Err(SeekError::WrongSize(cid));
    for size in [9, 11, u64::MAX] {
        let liar = node(&mut blocks, b"", &[Part { size: size / 2, ..honest }]);
        assert_eq!(walk(&blocks, liar.cid, 0..5), wrong(honest.cid));
        let liar = claiming(&mut blocks, b"", &[honest], size);
        assert_eq!(walk(&blocks, liar.cid, 0..5), wrong(liar.cid));
    }
    let huge = Part { size: u64::MAX, ..honest };
    let overflow = claiming(&mut blocks, b"", &[huge, honest], 9);
    assert_eq!(walk(&blocks, overflow.cid, 0..5), wrong(overflow.cid));
    let middle = claiming(&mut blocks, b"", &[honest], 20);
    let outer = node(&mut blocks, b"", &[middle]);
    assert_eq!(walk(&blocks, outer.cid, 0..5), wrong(middle.cid));
}

#[test]
fn a_directory_is_refused_as_a_file() {
    let mut blocks = Blocks::new();
    let directory = keep(&mut blocks, DAG_PB, field(1, &number(1, 1)));
    assert_eq!(FileNode::read(&directory, &blocks[&directory]), Err(SeekError::Directory(directory)));
    let outer = node(&mut blocks, b"", &[Part { cid: directory, size: 3 }]);
    assert_eq!(walk(&blocks, outer.cid, 0..3), Err(SeekError::Directory(directory)));
}

#[test]
fn depth_and_width_are_bounded() {
    let mut blocks = Blocks::new();
    let mut deep = leaf(&mut blocks, b"x");
    for _ in 0..MAX_FILE_DEPTH {
        deep = node(&mut blocks, b"", &[deep]);
    }
    assert_eq!(walk(&blocks, deep.cid, 0..1), Err(SeekError::TooDeep));
    let mut wide = leaf(&mut blocks, b"x");
    let empty = leaf(&mut blocks, b"");
    for _ in 0..5 {
        let parts: Vec<Part> = std::iter::once(wide).chain(vec![empty; 19_000]).collect();
        wide = node(&mut blocks, b"", &parts);
    }
    assert_eq!(walk(&blocks, wide.cid, 0..1), Err(SeekError::TooDeep));
    // Parts without content need no block, even if there are many of them.
    let hollow = node(&mut blocks, b"", &vec![empty; 19_000]);
    assert_eq!(walk(&blocks, hollow.cid, 0..0), Ok((Vec::new(), Vec::new())));
}

#[test]
fn packed_sizes_are_read_and_too_many_are_not() {
    let mut blocks = Blocks::new();
    let part = leaf(&mut blocks, b"12345");
    let link = field(2, &field(1, &part.cid.to_bytes()));
    let unixfs = [number(1, 2), number(3, 5), field(4, &[5])].concat();
    let packed = keep(&mut blocks, DAG_PB, [link.clone(), field(1, &unixfs)].concat());
    assert_eq!(walk(&blocks, packed, 1..3).unwrap().0, b"23");
    let unixfs = [number(1, 2), number(3, 5), field(4, &vec![0; 30_000])].concat();
    let many = keep(&mut blocks, DAG_PB, [link, field(1, &unixfs)].concat());
    assert_eq!(walk(&blocks, many, 0..1), Err(SeekError::Dag(DagError::TooManyLinks(many))));
}
