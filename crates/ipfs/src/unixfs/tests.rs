//! Tests with CIDs of other implementations, and with malicious content.
use bytes::Bytes;
use cid::Cid;
use multihash_codetable::{Code, MultihashDigest};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::dag::{self, DAG_PB, DagError, RAW};
use crate::store::{Store, StoreConfig};

const MIB: u64 = 1024 * 1024;

fn store(folder: &TempDir) -> Store {
    let directory = folder.path().join("store");
    Store::open(StoreConfig { directory, max_bytes: 1024 * MIB, min_free_bytes: 0 }).unwrap().0
}

/// Returns test content: chunk n of 256 KiB repeats the number n as 32 bits, little-endian.
fn pattern(length: usize) -> Bytes {
    const NUMBERS: usize = 256 * 1024 / 4;
    let numbers = (0..length.div_ceil(4)).map(|place| (place / NUMBERS) as u32);
    let mut bytes: Vec<u8> = numbers.flat_map(u32::to_le_bytes).collect();
    bytes.truncate(length);
    bytes.into()
}

fn add(store: &Store, content: Bytes, format: Format) -> Cid {
    add_file(store, &Content::Bytes(content), format, &mut |_, _, _| true).unwrap().root
}

fn entry(path: &str, length: usize) -> DirectoryEntry {
    DirectoryEntry { path: path.to_owned(), content: Content::Bytes(pattern(length)) }
}

/// All CIDs here were computed by the JavaScript importer (ipfs-unixfs-importer 16 from npm) with the parameters of
/// Kubo: raw leaves for version 1, 262144 bytes per chunk, 174 links per node. The largest file has two levels of
/// links.
#[test]
fn files_have_the_cids_of_the_javascript_importer() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder);
    let expected = [
        (
            0,
            "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
            "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH",
        ),
        (
            1,
            "bafkreidogqfzz75tpkmjzjke425xqcrmpcib2p5tg44hnbirumdbpl5adu",
            "QmS9JArPwa55ePgDnyg6TzX24mYTS1b1vLqWNebyVotKxQ",
        ),
        (
            262_144,
            "bafkreiekhhjkxu4ztk3tyng3er3ijhg56mb44oe3gwbgquhzu4afrg2ksa",
            "QmRk1rduJvo5DfEYAaLobS2za9tDszk35hzaNSDCJ74DA7",
        ),
        (
            262_145,
            "bafybeidf7ins7dbwk2zrpiv7k3tzp65itaxindoduggdnvrtad2es6lj5y",
            "QmNYkyjsSpEqaqT4Ft5NoVTNirsrpHTwRgAPkpWvhs9Gsd",
        ),
        (
            48_234_496,
            "bafybeiggvv37fyr27oecfudlgj3sa6soi6gym456fcidg5kfssqxsnxi5e",
            "QmZvxMBYQshDHL1TaUisE7HxNF2zziEkJe8QXu3dqbgwLh",
        ),
    ];
    for (length, v1, v0) in expected {
        assert_eq!(add(&store, pattern(length), Format::V1).to_string(), v1, "{length} bytes");
        assert_eq!(add(&store, pattern(length), Format::V0).to_string(), v0, "{length} bytes");
    }
}

#[test]
fn directories_have_the_cids_of_the_javascript_importer() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder);
    let tree = [entry("b.txt", 1), entry("a.bin", 262_145), entry("sub/deep/é.txt", 0)];
    let one = [entry("example.bag", 262_145)];
    let expected = [
        (
            Format::V1,
            "bafybeib3plgpbxgrd745xfjtxvnvsavxzxqhvnm7n36kfp4femg3w727ky",
            "bafybeidjnk53zmvdwag3f4hhl3g3iuu6pjxxpqqdcagzodqe63vxnwywky",
        ),
        (
            Format::V0,
            "Qmbo9MNWK4UNYH9Q6EZGXHsUHPmc9a7R9o6UfHBobJ3kcr",
            "QmZxKEMwFKuRneEqL6DMJPuFZoduGZsqqQersA49symwPx",
        ),
    ];
    for (format, tree_cid, one_cid) in expected {
        let add =
            |entries| add_directory(&store, entries, format, &mut |_, _, _| true).unwrap().root.to_string();
        assert_eq!((add(&tree).as_str(), add(&one).as_str()), (tree_cid, one_cid));
    }
}

#[test]
fn an_empty_directory_has_the_well_known_cid() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder);
    let root = add_directory(&store, &[], Format::V0, &mut |_, _, _| true).unwrap().root;
    // The CID that `ipfs object new unixfs-dir` prints.
    assert_eq!(root.to_string(), "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn");
    assert_eq!(list(&store, &root).unwrap(), []);
}

#[test]
fn a_directory_is_listed_read_and_exported_as_it_was_added() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder);
    let entries = [entry("b.txt", 1), entry("a.bin", 600_000), entry("sub/deep/é.txt", 5)];
    let root = add_directory(&store, &entries, Format::V1, &mut |_, _, _| true).unwrap().root;
    let names: Vec<String> = list(&store, &root).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["a.bin", "b.txt", "sub"]);
    let destination = folder.path().join("out");
    assert_eq!(export(&store, &root, &destination, MIB).unwrap(), 600_006);
    for DirectoryEntry { path, content } in &entries {
        let Content::Bytes(content) = content else { unreachable!() };
        assert_eq!(std::fs::read(destination.join(path)).unwrap(), content.as_ref());
        assert_eq!(cat(&store, &root, path, MIB).unwrap(), content);
    }
    assert!(matches!(cat(&store, &root, "sub", MIB), Err(ReadError::WrongKind(..))));
    assert!(matches!(cat(&store, &root, "sub/x", MIB), Err(ReadError::NoSuchEntry(_))));
    assert!(matches!(cat(&store, &root, "a.bin", 599_999), Err(ReadError::TooLarge(_))));
}

#[test]
fn paths_that_leave_the_directory_are_not_added() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder);
    for path in ["", "/a", "a/", "a//b", "..", "a/../b", ".", "a\0b", &"x".repeat(256), &["d"; 33].join("/")]
    {
        let added = add_directory(&store, &[entry(path, 1)], Format::V1, &mut |_, _, _| true);
        assert!(matches!(added, Err(AddError::Path(_))), "{path:?}");
    }
    let twice = add_directory(&store, &[entry("a", 1), entry("a", 2)], Format::V1, &mut |_, _, _| true);
    assert!(matches!(twice, Err(AddError::Conflict(_))));
}

#[test]
fn adding_can_be_cancelled() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder);
    let mut blocks = 0;
    let cancelled = add_file(&store, &Content::Bytes(pattern(2_000_000)), Format::V1, &mut |_, _, _| {
        blocks += 1;
        blocks < 3
    });
    assert!(matches!(cancelled, Err(AddError::Cancelled)));
    assert_eq!(blocks, 3);
}

#[test]
fn an_export_replaces_a_link_and_does_not_follow_it() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder);
    let root = add(&store, pattern(10), Format::V1);
    let (victim, destination) = (folder.path().join("victim"), folder.path().join("out"));
    std::fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, &destination).unwrap();
    export(&store, &root, &destination, MIB).unwrap();
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    assert!(destination.symlink_metadata().unwrap().is_file());
}

#[test]
fn names_of_every_possible_length_are_exported() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder);
    let root = add(&store, pattern(10), Format::V1);
    for length in [1, 128, 129, 246, 247, 255] {
        let destination = folder.path().join("n".repeat(length));
        assert_eq!(export(&store, &root, &destination, MIB).unwrap(), 10, "{length} bytes");
        assert_eq!(std::fs::read(&destination).unwrap(), pattern(10));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 7, "the store and six files");
}

#[test]
fn two_long_names_do_not_share_their_temporary_name() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder);
    let root = add(&store, pattern(10), Format::V1);
    let [first, second] = ["a", "b"].map(|end| folder.path().join("n".repeat(254) + end));
    // The export of the second file does not touch the temporary file that a killed export of the first has left.
    let left = super::export::temporary_name(&first).unwrap();
    std::fs::write(&left, "half").unwrap();
    export(&store, &root, &second, MIB).unwrap();
    assert!(left.exists());
    export(&store, &root, &first, MIB).unwrap();
    assert!(!left.exists());
}

/// Stores a dag-pb node with these UnixFS bytes and links, and returns its CID. The protobuf is written by hand.
fn node(store: &Store, unixfs: &[u8], links: &[(&str, Cid)]) -> Cid {
    let mut block = Vec::new();
    for (name, cid) in links {
        let mut link = Vec::new();
        prost::encoding::bytes::encode(1, &cid.to_bytes(), &mut link);
        prost::encoding::string::encode(2, &(*name).to_owned(), &mut link);
        prost::encoding::bytes::encode(2, &link, &mut block);
    }
    prost::encoding::bytes::encode(1, &unixfs.to_vec(), &mut block);
    put(store, DAG_PB, &block)
}

fn put(store: &Store, codec: u64, block: &[u8]) -> Cid {
    let cid = Cid::new_v1(codec, Code::Sha2_256.digest(block));
    store.put(&cid, block).unwrap();
    cid
}

/// CID of the empty raw block.
const EMPTY: &str = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
const FILE: [u8; 2] = [8, 2];
const DIRECTORY: [u8; 2] = [8, 1];

#[test]
fn names_that_would_leave_the_folder_are_not_exported() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder);
    let file = add(&store, pattern(1), Format::V1);
    for name in ["..", ".", "", "../x", "/etc/x", "a/b", "a\0b"] {
        let root = node(&store, &DIRECTORY, &[("good", file), (name, file)]);
        let destination = folder.path().join("out");
        let result = export(&store, &root, &destination, MIB);
        assert!(matches!(result, Err(ExportError::Read(ReadError::ForbiddenName(_)))), "{name:?}");
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "the folder contains only the store: no exported file is left"
        );
    }
}

#[test]
fn a_directory_with_the_same_name_twice_is_not_exported() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder);
    let file = add(&store, pattern(1), Format::V1);
    let root = node(&store, &DIRECTORY, &[("a", file), ("a", file)]);
    assert!(matches!(export(&store, &root, &folder.path().join("out"), MIB), Err(ExportError::Write(..))));
}

#[test]
fn symlinks_and_sharded_directories_are_refused_with_their_kind() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder);
    for (unixfs, what) in [([8, 4], "symbolic link"), ([8, 5], "sharded (HAMT) directory")] {
        let inner = node(&store, &unixfs, &[]);
        let root = node(&store, &DIRECTORY, &[("x", inner)]);
        match export(&store, &root, &folder.path().join("out"), MIB) {
            Err(ExportError::Read(ReadError::Dag(DagError::Unsupported(cid, kind)))) => {
                assert_eq!((cid, kind), (inner, what));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Thirty nodes, each with a hundred links to the one before: 100^30 bytes in a few kilobytes.
#[test]
fn repeated_links_cost_no_more_than_the_reader_allows() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder);
    for (leaf, files) in [(pattern(1), true), (Bytes::new(), true), (pattern(1), false)] {
        let mut root = add(&store, leaf, Format::V1);
        let names: Vec<String> =
            (0..100).map(|n| if files { String::new() } else { n.to_string() }).collect();
        for _ in 0..30 {
            let links: Vec<(&str, Cid)> = names.iter().map(|name| (name.as_str(), root)).collect();
            root = node(&store, if files { &FILE } else { &DIRECTORY }, &links);
        }
        let refused = export(&store, &root, &folder.path().join("out"), 1000).unwrap_err();
        let ExportError::Read(refused) = refused else { panic!("{refused}") };
        let costs =
            matches!(refused, ReadError::TooLarge(_) | ReadError::TooManyBlocks | ReadError::EmptyPart(_));
        assert!(costs, "{refused}");
        assert_eq!(walk_complete(&store, &root, None).unwrap().keys.len(), 31, "each block once");
    }
}

/// Stores nodes that each link twice to the one before, and returns the last.
fn doubled(store: &Store, mut root: Cid, levels: usize) -> Cid {
    for _ in 0..levels {
        root = node(store, &FILE, &[("", root), ("", root)]);
    }
    root
}

/// Sixty nodes that link twice to the next one have 2^60 ways to their leaf.
#[test]
fn a_small_dag_with_many_ways_costs_little_whatever_size_is_allowed() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder);
    let allowed = 1 << 40;
    let nothing = doubled(&store, put(&store, RAW, b""), 60);
    let behind_a_byte = node(&store, &FILE, &[("", put(&store, RAW, b"x")), ("", nothing)]);
    for root in [nothing, behind_a_byte] {
        let begun = std::time::Instant::now();
        assert!(matches!(file_size(&store, &root, "", allowed), Err(ReadError::EmptyPart(_))));
        assert!(matches!(cat(&store, &root, "", allowed), Err(ReadError::EmptyPart(_))));
        assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
    }
    // Each way delivers one byte, which is too little for the visits.
    let begun = std::time::Instant::now();
    let bytes = doubled(&store, put(&store, RAW, b"x"), 60);
    assert!(matches!(file_size(&store, &bytes, "", allowed), Err(ReadError::TooLarge(_))));
    assert_eq!(file_size(&store, &bytes, "", 1 << 60).unwrap(), 1 << 60);
    assert!(matches!(cat(&store, &bytes, "", allowed), Err(ReadError::TooManyBlocks)));
    let mut directory = put(&store, RAW, b"");
    for _ in 0..30 {
        directory = node(&store, &DIRECTORY, &[("a", directory), ("b", directory)]);
    }
    let refused = export(&store, &directory, &folder.path().join("out"), allowed).unwrap_err();
    assert!(matches!(refused, ExportError::Read(ReadError::TooManyBlocks)), "{refused}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[test]
fn a_file_of_equal_blocks_is_read() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder);
    let size = 100 * MIB as usize;
    let root = add(&store, Bytes::from(vec![0; size]), Format::V1);
    assert!(walk_complete(&store, &root, None).unwrap().keys.len() < 6, "the blocks are equal");
    assert_eq!(file_size(&store, &root, "", size as u64).unwrap(), size as u64);
    let mut read = 0;
    read_through(&store, &root, "", size as u64, &mut |piece| -> Result<(), ReadError> {
        read += piece.len();
        Ok(())
    })
    .unwrap();
    assert_eq!(read, size);
}

#[test]
fn a_directory_of_many_small_files_is_exported() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder);
    let entries: Vec<_> = (0..3000).map(|n| entry(&format!("{n}"), n % 3)).collect();
    let root = add_directory(&store, &entries, Format::V1, &mut |_, _, _| true).unwrap().root;
    assert_eq!(export(&store, &root, &folder.path().join("out"), MIB).unwrap(), 3000);
}

#[test]
fn a_dag_that_is_too_deep_is_refused() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder);
    let mut root = add(&store, pattern(1), Format::V1);
    for _ in 0..=MAX_DEPTH {
        root = node(&store, &FILE, &[("", root)]);
    }
    assert!(matches!(walk_complete(&store, &root, None), Err(WalkError::TooDeep)));
    assert!(matches!(cat(&store, &root, "", MIB), Err(ReadError::TooDeep)));
}

#[test]
fn too_many_links_are_refused_before_they_cost_memory() {
    let cid = EMPTY.parse::<Cid>().unwrap();
    let dag_pb = Cid::new_v1(DAG_PB, *cid.hash());
    let block = Bytes::from([0x12, 0].repeat(dag::MAX_LINKS + 1));
    assert_eq!(dag::links(&dag_pb, &block), Err(DagError::TooManyLinks(dag_pb)));
    assert_eq!(
        dag::links(&dag_pb, &block.slice(2..)),
        Err(DagError::Malformed(dag_pb)),
        "links without a CID"
    );
    assert_eq!(
        dag::links(&Cid::new_v1(0x71, *cid.hash()), &block),
        Err(DagError::Codec(Cid::new_v1(0x71, *cid.hash()), 0x71))
    );
    assert_eq!(dag::links(&Cid::new_v1(RAW, *cid.hash()), &block), Ok(Vec::new()));
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let cid = Cid::new_v1(DAG_PB, *EMPTY.parse::<Cid>().unwrap().hash());
        let bytes = Bytes::from(bytes);
        let _ = dag::links(&cid, &bytes);
        if let Ok(dag::Node::File { data, .. }) = dag::node(&cid, &bytes) {
            prop_assert!(data.len() <= bytes.len());
        }
    }
}

#[test]
fn a_file_of_pieces_has_the_cid_of_a_file_with_chunks_of_their_length() {
    const CHUNK: usize = 256 * 1024;
    let folder = TempDir::new().unwrap();
    let store = store(&folder);
    for length in [0, 1, CHUNK, CHUNK + 1, 175 * CHUNK] {
        let content = pattern(length);
        let pieces: Vec<Bytes> = content.chunks(CHUNK).map(Bytes::copy_from_slice).collect();
        let (in_pieces, whole) = (
            add_pieces(&store, &pieces, &mut |_, _, _| true).unwrap(),
            add_file(&store, &Content::Bytes(content), Format::V1, &mut |_, _, _| true).unwrap(),
        );
        assert_eq!((in_pieces.root, in_pieces.total_size), (whole.root, whole.total_size), "{length}");
    }
}

#[test]
fn pieces_of_any_length_are_read_back_and_stored_once() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder);
    let pieces: Vec<Bytes> = (1..=400u32).map(|number| vec![number as u8; number as usize].into()).collect();
    let add = |pieces: &[Bytes]| {
        let before = store.usage().blocks;
        let added = add_pieces(&store, pieces, &mut |_, _, _| true).unwrap();
        (added.root, store.usage().blocks - before)
    };
    let (root, stored) = add(&pieces);
    assert_eq!(cat(&store, &root, "", MIB).unwrap(), pieces.concat());
    assert_eq!(walk_complete(&store, &root, None).unwrap().keys.len(), stored);
    let mut changed = pieces;
    changed[200] = Bytes::from_static(b"another piece");
    let (other, stored) = add(&changed);
    assert_ne!(root, other);
    assert_eq!(stored, 3, "one leaf, the node above it, and the root are new");
}
