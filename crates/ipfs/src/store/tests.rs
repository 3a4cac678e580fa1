//! Tests of the store on a real disk: limits, age, damage, restarts.
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use cid::multihash::Multihash;
use multihash_codetable::{Code, MultihashDigest};
use tempfile::TempDir;

use super::*;
use crate::unixfs::{Content, Format, add_file};

const SIZE: usize = 1000;

fn config(folder: &TempDir, max_bytes: u64) -> StoreConfig {
    StoreConfig { directory: folder.path().to_owned(), max_bytes, min_free_bytes: 0 }
}

fn open(folder: &TempDir, max_bytes: u64) -> (Store, OpenReport) {
    Store::open(config(folder, max_bytes)).unwrap()
}

/// Returns a raw block of [`SIZE`] bytes, different for each number.
fn block(number: u32) -> (Cid, Vec<u8>) {
    let data: Vec<u8> = number.to_le_bytes().repeat(SIZE / 4);
    (Cid::new_v1(0x55, Code::Sha2_256.digest(&data)), data)
}

fn put(store: &Store, number: u32) -> Result<Cid, StoreError> {
    let (cid, data) = block(number);
    store.put(&cid, &data).map(|()| cid)
}

fn pin(store: &Store, cid: &Cid) {
    store.pin(&[Whole { root: *cid, bytes: SIZE as u64, keys: vec![BlockKey::of(cid)] }]).unwrap();
}

fn stored(store: &Store, cids: &[Cid]) -> Vec<bool> {
    cids.iter().map(|cid| store.contains(cid)).collect()
}

fn file_of(folder: &TempDir, cid: &Cid) -> PathBuf {
    folder.path().join("blocks").join(BlockKey::of(cid).relative_path())
}

#[test]
fn a_block_is_found_by_every_cid_of_its_bytes() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(&folder, 10_000);
    let cid = put(&store, 1).unwrap();
    let v0 = Cid::new_v0(*cid.hash()).unwrap();
    assert_eq!(store.get(&v0).unwrap().unwrap(), block(1).1);
    put(&store, 1).unwrap();
    assert_eq!(store.usage(), Usage { used_bytes: SIZE as u64, max_bytes: 10_000, blocks: 1 });
}

#[test]
fn an_identity_cid_carries_its_block() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(&folder, 10_000);
    let cid = Cid::new_v1(0x55, Multihash::wrap(IDENTITY, b"inline").unwrap());
    store.put(&cid, b"inline").unwrap();
    assert_eq!(store.get(&cid).unwrap().unwrap().as_ref(), b"inline");
    assert_eq!(store.usage().blocks, 0);
}

#[test]
fn the_oldest_unheld_blocks_are_removed_when_room_is_needed() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(&folder, 4 * SIZE as u64);
    let mut cids: Vec<Cid> = (0..4).map(|number| put(&store, number).unwrap()).collect();
    pin(&store, &cids[0]);
    let protection = store.protection();
    protection.add(&cids[1]);
    cids.push(put(&store, 4).unwrap());
    assert_eq!(stored(&store, &cids), [true, true, false, true, true]);
    drop(protection);
    store.unpin(&cids[0]).unwrap();
    cids.push(put(&store, 5).unwrap());
    cids.push(put(&store, 6).unwrap());
    assert_eq!(stored(&store, &cids), [false, false, false, true, true, true, true]);
    assert_eq!(store.usage().used_bytes, 4 * SIZE as u64);
}

#[test]
fn held_blocks_are_never_removed() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(&folder, 2 * SIZE as u64);
    let cids: Vec<Cid> = (0..2).map(|number| put(&store, number).unwrap()).collect();
    cids.iter().for_each(|cid| pin(&store, cid));
    assert!(matches!(put(&store, 2), Err(StoreError::Full { used: 2000, max: 2000 })));
    assert_eq!(stored(&store, &cids), [true, true]);
}

#[test]
fn a_protected_block_that_comes_later_is_protected_too() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(&folder, SIZE as u64);
    let protection = store.protection();
    protection.add(&block(1).0);
    put(&store, 1).unwrap();
    assert!(matches!(put(&store, 2), Err(StoreError::Full { .. })));
    drop(protection);
    put(&store, 2).unwrap();
}

#[test]
fn the_disk_keeps_its_free_bytes() {
    let folder = TempDir::new().unwrap();
    let config = StoreConfig { min_free_bytes: u64::MAX / 2, ..config(&folder, 10_000) };
    let (store, _) = Store::open(config).unwrap();
    assert!(matches!(put(&store, 1), Err(StoreError::DiskFull { .. })));
    assert_eq!(store.usage().blocks, 0);
}

#[test]
fn damaged_blocks_are_removed_when_they_are_read_and_can_be_stored_again() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(&folder, 10_000);
    let damages: [fn(&Path); 3] = [
        |path| File::options().write(true).open(path).unwrap().set_len(SIZE as u64 / 2).unwrap(),
        |path| fs::write(path, [7; SIZE]).unwrap(),
        |path| fs::remove_file(path).unwrap(),
    ];
    for damage in damages {
        let cid = put(&store, 1).unwrap();
        damage(&file_of(&folder, &cid));
        assert_eq!(store.get(&cid).unwrap(), None);
        assert_eq!((store.contains(&cid), store.usage().used_bytes), (false, 0));
        put(&store, 1).unwrap();
        assert!(store.get(&cid).unwrap().is_some());
    }
}

#[test]
fn opening_counts_the_blocks_and_removes_temporary_files() {
    let folder = TempDir::new().unwrap();
    let (store, report) = open(&folder, 10_000);
    assert_eq!(report, OpenReport::default());
    let cids: Vec<Cid> = (0..3).map(|number| put(&store, number).unwrap()).collect();
    let empty =
        add_file(&store, &Content::Bytes(Bytes::new()), Format::V1, &mut |_, _, _| true).unwrap().root;
    drop(store);
    for shard in ["17", "00"] {
        fs::create_dir_all(folder.path().join("blocks").join(shard)).unwrap();
    }
    fs::write(folder.path().join("blocks/17/1220.3.partial"), "half a block").unwrap();
    fs::write(file_of(&folder, &cids[2]), "").unwrap();
    fs::write(folder.path().join("blocks/00/README"), "not a block").unwrap();
    let (store, report) = open(&folder, 10_000);
    let expected =
        OpenReport { blocks: 3, bytes: 2 * SIZE as u64, temporary_removed: 1, ..OpenReport::default() };
    assert_eq!(report, expected);
    assert_eq!(stored(&store, &cids), [true, true, false]);
    assert!(store.contains(&empty), "a block that is empty on purpose stays");
    assert!(!folder.path().join("blocks/17/1220.3.partial").exists());
    assert!(folder.path().join("blocks/00/README").exists(), "files of others are left unchanged");
}

#[test]
fn pins_outlive_a_restart() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(&folder, 2 * SIZE as u64);
    let cids: Vec<Cid> = (0..2).map(|number| put(&store, number).unwrap()).collect();
    pin(&store, &cids[0]);
    let before = store.pins().unwrap();
    drop(store);
    let (store, _) = open(&folder, 2 * SIZE as u64);
    assert_eq!(store.pins().unwrap(), before);
    assert!(store.is_pinned(&cids[0]).unwrap() && !store.is_pinned(&cids[1]).unwrap());
    put(&store, 2).unwrap();
    assert_eq!(stored(&store, &cids), [true, false]);
    assert!(store.unpin(&cids[0]).unwrap());
    assert!(!store.unpin(&cids[0]).unwrap());
    put(&store, 3).unwrap();
    put(&store, 4).unwrap();
    assert_eq!(stored(&store, &cids), [false, false]);
}

#[test]
fn a_pin_by_a_person_is_removed_only_by_a_person() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(&folder, 10 * SIZE as u64);
    let cids: Vec<Cid> = (0..3).map(|number| put(&store, number).unwrap()).collect();
    let whole = |cid: &Cid| Whole { root: *cid, bytes: SIZE as u64, keys: vec![BlockKey::of(cid)] };
    store.pin_by_person(whole(&cids[0])).unwrap();
    // Also pinned by the program, before and after.
    pin(&store, &cids[1]);
    store.pin_by_person(whole(&cids[1])).unwrap();
    pin(&store, &cids[1]);
    pin(&store, &cids[2]);
    drop(store);
    let (store, _) = open(&folder, 10 * SIZE as u64);
    assert_eq!(store.unpin_all(&cids).unwrap(), 1);
    let by_persons = BTreeSet::from([cids[0], cids[1]]);
    assert_eq!(store.pins().unwrap().iter().map(|pin| pin.root).collect::<BTreeSet<_>>(), by_persons);
    assert_eq!(store.pins_by_persons().unwrap(), by_persons);
    assert!(store.unpin(&cids[0]).unwrap());
    assert_eq!(store.pins_by_persons().unwrap(), BTreeSet::from([cids[1]]));
    // A pin that the program makes after the person has unpinned belongs to the program.
    pin(&store, &cids[0]);
    assert_eq!(store.unpin_all(&cids).unwrap(), 1);
}

#[test]
fn a_folder_of_a_version_without_the_table_of_persons_is_opened() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(&folder, 10 * SIZE as u64);
    let cid = put(&store, 0).unwrap();
    pin(&store, &cid);
    drop(store);
    let database = redb::Database::open(folder.path().join("pins.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let persons = redb::TableDefinition::<&[u8], ()>::new("persons");
    assert!(transaction.delete_table(persons).unwrap());
    transaction.commit().unwrap();
    drop(database);
    let (store, report) = open(&folder, 10 * SIZE as u64);
    assert_eq!((report.pins_set_aside, store.pins_by_persons().unwrap().len()), (None, 0));
    assert_eq!(store.unpin_all(&[cid]).unwrap(), 1);
}

#[test]
fn pinning_twice_holds_once() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(&folder, SIZE as u64);
    let cid = put(&store, 1).unwrap();
    pin(&store, &cid);
    pin(&store, &cid);
    store.unpin(&cid).unwrap();
    put(&store, 2).unwrap();
    assert!(!store.contains(&cid));
}

#[test]
fn a_missing_pinned_block_is_reported_when_opening() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(&folder, 10_000);
    let cid = put(&store, 1).unwrap();
    pin(&store, &cid);
    drop(store);
    fs::remove_file(file_of(&folder, &cid)).unwrap();
    assert_eq!(open(&folder, 10_000).1.incomplete_pins, [cid]);
}

#[test]
fn blocks_that_vanish_from_an_open_store_are_found_without_reading_any() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(&folder, 10_000);
    let cids: Vec<Cid> = (1..=3).map(|number| put(&store, number).unwrap()).collect();
    pin(&store, &cids[0]);
    let losses = store.losses();
    assert_eq!(store.check_blocks().unwrap(), 0);
    fs::remove_file(file_of(&folder, &cids[0])).unwrap();
    assert_eq!((store.check_blocks().unwrap(), stored(&store, &cids)), (1, vec![false, true, true]));
    assert!(losses.has_changed().unwrap());
    assert_eq!(store.incomplete_pins().unwrap(), [cids[0]]);
    // A user deletes the whole folder. It can be written to again.
    fs::remove_dir_all(folder.path().join("blocks")).unwrap();
    assert_eq!((store.check_blocks().unwrap(), store.usage().blocks), (2, 0));
    put(&store, 1).unwrap();
    assert_eq!((store.check_blocks().unwrap(), stored(&store, &cids)), (0, vec![true, false, false]));
}

#[test]
fn changes_of_pins_are_notified_and_a_new_pin_database_is_reported() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(&folder, 10_000);
    assert!(store.are_pins_new());
    let cid = put(&store, 1).unwrap();
    let mut changes = store.pin_changes();
    pin(&store, &cid);
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    store.unpin(&cid).unwrap();
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    store.unpin(&cid).unwrap();
    assert!(!changes.has_changed().unwrap(), "it was not pinned");
    drop(store);
    assert!(!open(&folder, 10_000).0.are_pins_new());
}

#[test]
fn a_missing_pin_database_is_reported_when_there_are_blocks() {
    let folder = TempDir::new().unwrap();
    let (store, report) = open(&folder, 10_000);
    assert!(!report.pins_missing);
    put(&store, 1).unwrap();
    drop(store);
    fs::remove_file(folder.path().join("pins.redb")).unwrap();
    assert!(open(&folder, 10_000).1.pins_missing);
}

#[test]
fn an_unreadable_pin_database_is_set_aside_and_reported() {
    let damages: [fn(&Path); 4] = [
        |path| fs::write(path, "not a database").unwrap(),
        |path| fs::write(path, "").unwrap(),
        |path| File::options().write(true).open(path).unwrap().set_len(5000).unwrap(),
        |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes.iter_mut().skip(512).for_each(|byte| *byte ^= 0x55);
            fs::write(path, bytes).unwrap();
        },
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let folder = TempDir::new().unwrap();
        let (store, _) = open(&folder, 10_000);
        let cid = put(&store, 1).unwrap();
        pin(&store, &cid);
        drop(store);
        let path = folder.path().join("pins.redb");
        damage(&path);
        let damaged = fs::read(&path).unwrap();
        let (store, report) = open(&folder, 10_000);
        let aside = report.pins_set_aside.unwrap_or_else(|| panic!("damage {number} was not seen"));
        assert_eq!(fs::read(aside).unwrap().len(), damaged.len());
        assert!(store.pins().unwrap().is_empty() && store.contains(&cid));
        pin(&store, &cid);
        drop(store);
        assert_eq!(open(&folder, 10_000).0.pins().unwrap().len(), 1);
    }
}

#[test]
fn a_store_that_is_in_use_is_not_opened_twice() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(&folder, 10_000);
    assert!(matches!(Store::open(config(&folder, 10_000)), Err(StoreError::InUse(_))));
    drop(store);
    open(&folder, 10_000);
}

#[test]
fn the_size_limit_holds_when_many_threads_store_and_read() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(&folder, 20 * SIZE as u64);
    let blocks: Vec<_> = (0..40).map(block).collect();
    std::thread::scope(|scope| {
        for offset in 0..4 {
            let (store, blocks) = (&store, &blocks);
            scope.spawn(move || {
                for (cid, data) in blocks.iter().cycle().skip(offset * 10).take(200) {
                    store.put(cid, data).unwrap();
                    assert!(store.usage().used_bytes <= 20 * SIZE as u64);
                    if let Some(read) = store.get(cid).unwrap() {
                        assert_eq!(&read, data);
                    }
                }
            });
        }
    });
    let used = store.usage();
    drop(store);
    let report = open(&folder, 20 * SIZE as u64).1;
    assert_eq!((report.bytes, report.blocks), (used.used_bytes, used.blocks));
}

#[test]
fn only_valid_file_names_are_read_as_keys() {
    let keys: BTreeSet<PathBuf> =
        (0..3).map(|number| BlockKey::of(&block(number).0).relative_path()).collect();
    assert_eq!(keys.len(), 3);
    let folder = TempDir::new().unwrap();
    let files = BlockFiles::open(folder.path()).unwrap();
    let name = BlockKey::of(&block(0).0).to_string();
    fs::create_dir(folder.path().join("blocks/00")).unwrap();
    for wrong in [&name[1..], &name[2..], &name.to_uppercase(), "zz", "é", "1220", &format!("{name}00")] {
        fs::write(folder.path().join("blocks/00").join(wrong), "x").unwrap();
    }
    assert_eq!(files.index().unwrap().0.blocks(), 0);
}

#[test]
fn only_the_owner_can_access_a_new_store() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new().unwrap();
    let directory = folder.path().join("disk/ipfs");
    let config = StoreConfig { directory: directory.clone(), max_bytes: 1, min_free_bytes: 0 };
    let _open = Store::open(config).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&directory.join("pins.redb"))), (0o700, 0o600));
}

/// The root with this number and the blocks of its DAG: its own one, and one that it shares with the next root.
fn overlapping(number: u32) -> Whole {
    let keys = [number, number + 10, number + 11].map(|number| BlockKey::of(&block(number).0));
    Whole { root: block(number).0, bytes: 3 * SIZE as u64, keys: keys.to_vec() }
}

proptest::proptest! {
    // Each step syncs the disk.
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

    #[test]
    fn a_block_is_open_exactly_while_a_pin_contains_it_whose_root_is_not_private(
        steps in proptest::collection::vec((0..5u8, 0..3u32), 0..12),
    ) {
        let folder = TempDir::new().unwrap();
        let (mut store, _) = open(&folder, 100 * SIZE as u64);
        for number in (0..3).chain(10..14) {
            put(&store, number).unwrap();
        }
        let (mut pinned, mut private) = (BTreeSet::new(), BTreeSet::new());
        for (step, number) in steps {
            let root = overlapping(number);
            match step {
                0 | 1 => {
                    store.pin(&[root]).unwrap();
                    pinned.insert(number);
                }
                2 => {
                    store.unpin(&root.root).unwrap();
                    pinned.remove(&number);
                }
                3 => {
                    if !private.remove(&number) {
                        private.insert(number);
                    }
                    let roots = private.iter().map(|number| block(*number).0).collect();
                    store.set_private_roots(&roots).unwrap();
                }
                _ => {
                    drop(store);
                    store = open(&folder, 100 * SIZE as u64).0;
                    private.clear();
                }
            }
            for number in (0..3).chain(10..14) {
                let key = BlockKey::of(&block(number).0);
                let expected = pinned.difference(&private).any(|root| overlapping(*root).keys.contains(&key));
                proptest::prop_assert_eq!(store.is_open(&block(number).0), expected, "block {}", number);
            }
        }
    }
}
