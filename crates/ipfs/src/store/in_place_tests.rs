//! Tests of files that are served in place, and of all their possible changes.
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use database::{Fault, Faults};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::unixfs::{AddError, Content, DirectoryEntry, Format, add_directory, add_file, cat, walk_complete};

const PIECE: usize = 256 * 1024;
const MIB: u64 = 1024 * 1024;

/// A folder with a store and files beside it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn open(&self) -> (Store, OpenReport) {
        let directory = self.folder.path().join("store");
        Store::open(StoreConfig { directory, max_bytes: 64 * MIB, min_free_bytes: 0 }).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }
}

/// Returns bytes that differ for each piece and each seed.
fn content(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| (at / PIECE) as u8 ^ (at % 251) as u8 ^ seed.wrapping_mul(31)).collect()
}

fn add(store: &Store, content: &Content) -> Result<Cid, AddError> {
    let added = add_file(store, content, Format::V1, &mut |_, _, _| true)?;
    store.pin(&[walk_complete(store, &added.root, None).unwrap()]).unwrap();
    Ok(added.root)
}

fn add_in_place(store: &Store, path: &Path) -> Cid {
    add(store, &Content::InPlace(path.to_owned())).unwrap()
}

fn read(store: &Store, root: &Cid) -> Option<Vec<u8>> {
    cat(store, root, "", 64 * MIB).ok().map(|bytes| bytes.to_vec())
}

/// Returns the number of pieces of the file that are available, and checks that each is right.
fn pieces(store: &Store, root: &Cid, original: &[u8]) -> usize {
    let Some(block) = store.get(root).unwrap() else { return 0 };
    let links = crate::dag::links(root, &block).unwrap();
    let parts = links.iter().zip(original.chunks(PIECE));
    let found = parts.filter(|(link, part)| match store.get(&link.cid).unwrap() {
        Some(data) => {
            assert_eq!(data, part);
            true
        }
        None => false,
    });
    found.count()
}

fn change(path: &Path, offset: usize, bytes: &[u8]) {
    File::options().write(true).open(path).unwrap().write_all_at(bytes, offset as u64).unwrap();
}

#[test]
fn a_file_is_served_in_place_and_takes_no_space() {
    let place = Place::new();
    let original = content(5 * PIECE + 17, 1);
    let path = place.write("a.bag", &original);
    let (store, _) = place.open();
    let root = add_in_place(&store, &path);
    assert_eq!(store.usage().blocks, 1, "only the root block with the links is stored");
    assert!(store.usage().used_bytes < 1000);
    assert_eq!(read(&store, &root).unwrap(), original);
    let [file] = &store.files(0, 99)[..] else { panic!() };
    assert_eq!((file.blocks, file.missing_blocks, file.state), (6, 0, FileState::Matches));
    drop(store);
    let (store, report) = place.open();
    assert_eq!((report.files, report.files_gone, report.incomplete_pins), (1, 0, vec![]));
    assert_eq!(read(&store, &root).unwrap(), original);
}

#[test]
fn an_unpinned_file_is_no_longer_served_after_a_restart_or_garbage_collection() {
    let place = Place::new();
    let (a, b) = (place.write("a", &content(10, 1)), place.write("b", &content(2 * PIECE, 2)));
    let (store, _) = place.open();
    let pinned = add_in_place(&store, &a);
    add_file(&store, &Content::InPlace(b.clone()), Format::V1, &mut |_, _, _| true).unwrap();
    assert_eq!(store.files(0, 99).len(), 2);
    drop(store);
    let (store, _) = place.open();
    assert_eq!(store.files(0, 99).len(), 1);
    assert!(store.unpin(&pinned).unwrap());
    assert!(store.contains(&pinned));
    let freed = store.collect_garbage().unwrap();
    assert_eq!((freed.files, freed.blocks), (1, 1), "the root block of b was stored");
    assert!(store.files(0, 99).is_empty() && !store.contains(&pinned));
    drop(store);
    assert_eq!(place.open().1.files, 0);
    assert!(a.exists() && b.exists());
}

#[test]
fn every_change_of_a_file_is_noticed_before_a_wrong_byte_is_served() {
    type Change = fn(&Path);
    let ways: [(Change, usize); 8] = [
        (|path| change(path, PIECE + 5, b"!"), 3),
        (|path| File::options().write(true).open(path).unwrap().set_len(PIECE as u64 + 9).unwrap(), 1),
        (|path| fs::write(path, "").unwrap(), 0),
        (|path| fs::remove_file(path).unwrap(), 0),
        (|path| fs::write(path, content(4 * PIECE, 9)).unwrap(), 0),
        (
            |path| {
                fs::write(path.with_extension("new"), content(4 * PIECE, 8)).unwrap();
                fs::rename(path.with_extension("new"), path).unwrap();
            },
            0,
        ),
        (
            |path| {
                // The same bytes outside the folder, and a link to them.
                let outside = path.with_extension("outside");
                fs::rename(path, &outside).unwrap();
                std::os::unix::fs::symlink(&outside, path).unwrap();
            },
            0,
        ),
        (
            |path| {
                fs::remove_file(path).unwrap();
                rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0)
                    .unwrap();
            },
            0,
        ),
    ];
    for (number, (way, left)) in ways.into_iter().enumerate() {
        let place = Place::new();
        let original = content(4 * PIECE, 1);
        let path = place.write("a.bag", &original);
        let (store, _) = place.open();
        let (root, losses) = (add_in_place(&store, &path), store.losses());
        way(&path);
        assert_eq!(pieces(&store, &root, &original), left, "change {number}");
        assert!(losses.has_changed().unwrap(), "change {number}");
        assert_eq!(store.incomplete_pins().unwrap(), [root], "change {number}");
        assert!(walk_complete(&store, &root, None).is_err(), "change {number}");
        // Stored blocks replace the lost pieces.
        for part in original.chunks(PIECE) {
            let cid = Cid::new_v1(
                0x55,
                multihash_codetable::MultihashDigest::digest(&multihash_codetable::Code::Sha2_256, part),
            );
            store.put(&cid, part).unwrap();
        }
        assert_eq!(read(&store, &root).unwrap(), original, "change {number}");
        store.check_files(None).unwrap();
        drop(store);
        let (store, report) = place.open();
        assert!(report.incomplete_pins.is_empty(), "change {number}");
        assert_eq!(read(&store, &root).unwrap(), original, "change {number}");
    }
}

#[test]
fn a_parent_folder_that_becomes_a_link_is_not_entered() {
    let place = Place::new();
    fs::create_dir_all(place.path("shared/run")).unwrap();
    let path = place.write("shared/run/a", &content(100, 1));
    let (store, _) = place.open();
    let root = add_in_place(&store, &path);
    fs::rename(place.path("shared/run"), place.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(place.path("elsewhere"), place.path("shared/run")).unwrap();
    assert_eq!(store.get(&root).unwrap(), None);
    let refused = add(&store, &Content::InPlace(path));
    assert!(matches!(refused, Err(AddError::Read(..))));
    assert!(matches!(add(&store, &Content::InPlace("a".into())), Err(AddError::Read(..))), "not absolute");
}

#[test]
fn a_file_that_is_only_touched_or_extended_stays_complete() {
    let place = Place::new();
    let original = content(3 * PIECE + 5, 1);
    let path = place.write("a.log", &original);
    let (store, _) = place.open();
    let root = add_in_place(&store, &path);
    File::options().append(true).open(&path).unwrap().write_all_at(b"more", 0).unwrap();
    assert_eq!(read(&store, &root).unwrap(), original);
    assert_eq!(store.files(0, 99)[0].state, FileState::Changed);
    assert_eq!(store.check_files(None).unwrap(), 0);
    assert_eq!((store.files(0, 99)[0].state, store.files(0, 99)[0].missing_blocks), (FileState::Matches, 0));
    drop(store);
    let (store, report) = place.open();
    assert!(report.incomplete_pins.is_empty() && report.files == 1);
    assert_eq!((read(&store, &root).unwrap(), store.files(0, 99)[0].state), (original, FileState::Matches));
}

#[test]
fn a_check_of_the_changed_files_finds_their_missing_blocks() {
    let place = Place::new();
    let original = content(4 * PIECE, 1);
    let path = place.write("a", &original);
    let (store, _) = place.open();
    let root = add_in_place(&store, &path);
    change(&path, 0, b"other");
    change(&path, 3 * PIECE, b"other");
    assert!(store.incomplete_pins().unwrap().is_empty(), "the files were not checked yet");
    let other = BTreeSet::from([place.path("b")]);
    assert_eq!(store.check_files(Some(&other)).unwrap(), 0);
    assert_eq!(store.check_files(Some(&BTreeSet::from([path]))).unwrap(), 2);
    assert_eq!(store.incomplete_pins().unwrap(), [root]);
    assert_eq!(store.files(0, 99)[0].missing_blocks, 2);
    drop(store);
    assert_eq!(place.open().1.incomplete_pins, [root], "the missing blocks are known after a restart");
}

#[test]
fn a_file_that_vanished_while_the_store_was_closed_is_reported_at_the_start() {
    let place = Place::new();
    let path = place.write("a", &content(2 * PIECE, 1));
    let (store, _) = place.open();
    let root = add_in_place(&store, &path);
    drop(store);
    fs::remove_file(&path).unwrap();
    let (store, report) = place.open();
    assert_eq!((report.files_gone, report.incomplete_pins), (1, vec![root]));
    drop(store);
    change(&place.write("a", &content(2 * PIECE, 1)), 5, b"!");
    let (store, report) = place.open();
    assert_eq!((report.files_gone, report.incomplete_pins), (0, vec![]), "the file came back");
    assert_eq!(store.check_files(None).unwrap(), 1);
    assert_eq!(store.incomplete_pins().unwrap(), [root]);
}

#[test]
fn either_of_two_files_with_the_same_pieces_can_serve_them() {
    let place = Place::new();
    let original = content(2 * PIECE, 1);
    let (a, b) = (place.write("a", &original), place.write("b", &original));
    let (store, _) = place.open();
    let root = add_in_place(&store, &a);
    assert_eq!(add_in_place(&store, &b), root);
    fs::remove_file(&b).unwrap();
    assert_eq!(pieces(&store, &root, &original), 2);
    change(&a, 0, b"!");
    assert_eq!(pieces(&store, &root, &original), 1);
}

#[test]
fn a_block_that_occurs_often_in_a_file_is_available_while_one_copy_is_intact() {
    let place = Place::new();
    let path = place.path("sparse");
    File::create(&path).unwrap().set_len(300 * PIECE as u64).unwrap();
    let (store, _) = place.open();
    let root = add_in_place(&store, &path);
    let whole = walk_complete(&store, &root, None).unwrap();
    assert_eq!(whole.keys.len(), 4, "one piece, two blocks with links, and the root");
    change(&path, 10, b"!");
    assert_eq!(pieces(&store, &root, &[]), 0);
    assert!(
        walk_complete(&store, &root, None).is_ok(),
        "the same block is read from another place in the file"
    );
    assert_eq!(store.check_files(None).unwrap(), 1);
    assert!(store.incomplete_pins().unwrap().is_empty());
}

#[test]
fn a_new_file_at_the_path_replaces_the_old_one() {
    let place = Place::new();
    let (old, new) = (content(3 * PIECE, 1), [content(PIECE, 1), content(PIECE, 2)].concat());
    let path = place.write("a", &old);
    let (store, _) = place.open();
    let before = add_in_place(&store, &path);
    place.write("a", &new);
    let after = add_in_place(&store, &path);
    assert_eq!(store.files(0, 99).len(), 1);
    assert_eq!(store.incomplete_pins().unwrap(), [before]);
    assert_eq!((pieces(&store, &before, &old), read(&store, &after)), (1, Some(new.clone())));
    drop(store);
    let (store, report) = place.open();
    assert_eq!((report.files, report.incomplete_pins), (1, vec![before]));
    assert_eq!(read(&store, &after), Some(new));
}

#[test]
fn a_file_that_changes_while_it_is_added_is_refused_with_a_clear_message() {
    let place = Place::new();
    let path = place.write("a", &content(4 * PIECE, 1));
    let (store, _) = place.open();
    let mut count = 0;
    let added = add_file(&store, &Content::InPlace(path.clone()), Format::V1, &mut |_, _, _| {
        count += 1;
        if count == 2 {
            change(&path, 0, b"!");
        }
        true
    });
    let error = added.unwrap_err();
    assert!(matches!(error, AddError::Changed(_)), "{error}");
    assert!(error.to_string().contains("was changed while it was read"), "{error}");
    assert!(store.files(0, 99).is_empty());
    let cancelled = add_file(&store, &Content::InPlace(path), Format::V1, &mut |_, _, _| false);
    assert!(matches!(cancelled, Err(AddError::Cancelled)) && store.files(0, 99).is_empty());
}

#[test]
fn a_piece_can_be_read_before_the_whole_file_is_added() {
    let place = Place::new();
    let path = place.write("a", &content(3 * PIECE, 1));
    let (store, _) = place.open();
    add_file(&store, &Content::InPlace(path), Format::V1, &mut |cid, size, _| {
        assert_eq!(store.get(cid).unwrap().unwrap().len(), size);
        true
    })
    .unwrap();
}

#[test]
fn files_on_a_nearly_full_disk_can_still_be_shared() {
    let place = Place::new();
    let path = place.write("a", &content(3 * PIECE, 1));
    let directory = place.path("store");
    let spare = rustix::fs::statvfs(place.folder.path()).unwrap();
    let min_free_bytes = spare.f_bavail * spare.f_frsize + 1024 * MIB;
    let (store, _) = Store::open(StoreConfig { directory, max_bytes: 64 * MIB, min_free_bytes }).unwrap();
    add_in_place(&store, &path);
    let entries = [
        DirectoryEntry { path: "a".into(), content: Content::InPlace(path.clone()) },
        DirectoryEntry { path: "info".into(), content: Content::Bytes("x".into()) },
    ];
    add_directory(&store, &entries, Format::V1, &mut |_, _, _| true).unwrap();
    let copied = add(&store, &Content::File(path));
    assert!(matches!(copied, Err(AddError::Store(error)) if error.is_full()));
}

#[test]
fn a_full_disk_prevents_only_the_pin() {
    let place = Place::new();
    let original = content(2 * PIECE, 1);
    let path = place.write("a", &original);
    let directory = place.path("store");
    fs::create_dir(&directory).unwrap();
    let faults = Faults::default();
    let pins = pins::location(&directory).with_faults(faults.clone());
    let config = StoreConfig { directory, max_bytes: 64 * MIB, min_free_bytes: 0 };
    let (store, _) = Store::open_with(config, &pins).unwrap();
    let root = add_file(&store, &Content::InPlace(path), Format::V1, &mut |_, _, _| true).unwrap().root;
    let whole = walk_complete(&store, &root, None).unwrap();
    faults.begin(Fault::Full, 0);
    for _ in 0..3 {
        let refused = store.pin(std::slice::from_ref(&whole)).unwrap_err();
        assert!(refused.is_full(), "{refused}");
    }
    faults.end();
    store.pin(&[whole]).unwrap();
    drop(store);
    let (store, report) = place.open();
    assert_eq!((report.files, report.incomplete_pins), (1, vec![]));
    assert_eq!(read(&store, &root).unwrap(), original);
}

/// A change of a file, or an action of the store.
#[derive(Clone, Debug)]
enum Mutation {
    Overwrite(usize, u8),
    Truncate(usize),
    Grow(usize),
    Replace(usize, u8),
    Remove,
    Restart,
    Check,
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = 0..4 * PIECE;
    prop_oneof![
        4 => (at.clone(), any::<u8>()).prop_map(|(at, byte)| Mutation::Overwrite(at, byte)),
        2 => at.clone().prop_map(Mutation::Truncate),
        1 => (0..PIECE).prop_map(Mutation::Grow),
        1 => (at, any::<u8>()).prop_map(|(length, seed)| Mutation::Replace(length, seed)),
        1 => Just(Mutation::Remove),
        2 => Just(Mutation::Restart),
        1 => Just(Mutation::Check),
    ]
}

fn mutate(place: &Place, store: &mut Option<Store>, mutation: &Mutation) {
    let path = place.path("a");
    let open = || File::options().write(true).open(&path);
    match *mutation {
        Mutation::Overwrite(at, byte) => {
            let _ = open().and_then(|file| file.write_all_at(&[byte], at as u64));
        }
        Mutation::Truncate(length) => {
            let _ = open().and_then(|file| file.set_len(length as u64));
        }
        Mutation::Grow(more) => {
            let _ = open().and_then(|file| file.set_len(file.metadata()?.len() + more as u64));
        }
        Mutation::Replace(length, seed) => {
            place.write("b", &content(length, seed));
            fs::rename(place.path("b"), &path).unwrap();
        }
        Mutation::Remove => drop(fs::remove_file(&path)),
        Mutation::Restart => {
            *store = None;
            *store = Some(place.open().0);
        }
        Mutation::Check => drop(store.as_ref().unwrap().check_files(None).unwrap()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_cid_is_the_same_in_place_and_copied(length in 0..4 * PIECE, seed in any::<u8>()) {
        let place = Place::new();
        let original = content(length, seed);
        let path = place.write("a", &original);
        let (store, _) = place.open();
        let in_place = add_in_place(&store, &path);
        prop_assert_eq!(read(&store, &in_place).unwrap(), original.clone());
        let copied = add(&store, &Content::File(path.clone())).unwrap();
        prop_assert_eq!(in_place, copied);
        // The copy does not depend on the original.
        fs::remove_file(&path).unwrap();
        prop_assert_eq!(read(&store, &copied).unwrap(), original);
    }

    #[test]
    fn no_mutation_yields_a_wrong_block(
        length in 1..4 * PIECE,
        seed in any::<u8>(),
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        let place = Place::new();
        let original = content(length, seed);
        let path = place.write("a", &original);
        let mut store = Some(place.open().0);
        let root = add_in_place(store.as_ref().unwrap(), &path);
        for mutation in &mutations {
            mutate(&place, &mut store, mutation);
            let store = store.as_ref().unwrap();
            if let Some(found) = read(store, &root) {
                prop_assert_eq!(&found, &original);
            }
            pieces(store, &root, &original);
        }
        let store = store.unwrap();
        store.check_files(None).unwrap();
        // After a check of all files, pins without missing blocks are really complete.
        if store.incomplete_pins().unwrap().is_empty() {
            prop_assert_eq!(read(&store, &root), Some(original));
        }
    }
}
