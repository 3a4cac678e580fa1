//! Tests of the store on a real disk: stored records are read back, and damaged files are handled.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use dcache::{Data, Item, Key, Keypair, Kind, PeerId, Record, Statement, Time, Validity};
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Batch, MAX_BROKEN_FILES, OpenError, Opened, Store};

fn record(data: &str, sequence: u64) -> Record {
    let item = Item { bucket: "share/files".parse().unwrap(), data: Data::new(data).unwrap() };
    let statement = Statement::new(Kind::Propose, item, Validity::starting(Time(100), sequence)).unwrap();
    Record::sign(statement, &Keypair::from_seed([1; 32]), sequence, dcache::End::default())
}

fn key(record: &Record) -> Key {
    Key { item: record.item().clone(), signer: record.signer() }
}

fn put(records: &[Record]) -> Batch {
    Batch { put: records.to_vec(), ..Batch::default() }
}

fn loaded(store: &Store) -> Vec<Record> {
    let loaded = store.load().unwrap();
    assert_eq!((loaded.broken, loaded.reasons.len()), (0, 0));
    let mut records = loaded.records;
    records.sort_by_key(|record| record.signature().sequence);
    records
}

fn in_folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.redb");
    (folder, file)
}

/// Creates a store with `count` records, and closes it.
fn filled(file: &Path, count: u64) {
    let (store, opened) = Store::open(file).unwrap();
    assert_eq!(opened, Opened::Fresh);
    let records: Vec<Record> = (1..=count).map(|n| record(&format!("cid{n}"), n)).collect();
    store.write(&put(&records)).unwrap();
}

#[test]
fn records_are_stored_after_reopening() {
    let (_folder, file) = in_folder();
    let (one, two) = (record("one", 1), record("two", 2));
    let (store, opened) = Store::open(&file).unwrap();
    assert_eq!((opened, store.sequence().unwrap()), (Opened::Fresh, None));
    let batch = Batch {
        put: vec![one.clone(), two.clone()],
        sequence: Some(2),
        time: Some(Time(7)),
        ..Batch::default()
    };
    store.write(&batch).unwrap();
    drop(store);
    let (store, opened) = Store::open(&file).unwrap();
    assert_eq!(opened, Opened::Existing { records: 2 });
    assert_eq!(loaded(&store), [one, two]);
    assert_eq!((store.sequence().unwrap(), store.time().unwrap()), (Some(2), Some(Time(7))));
}

#[test]
fn a_later_record_replaces_an_earlier_one_and_a_removed_record_is_gone() {
    let (_folder, file) = in_folder();
    let (store, _) = Store::open(&file).unwrap();
    let (old, new, other) = (record("a", 1), record("a", 2), record("b", 3));
    store.write(&put(&[old, other.clone()])).unwrap();
    store.write(&put(std::slice::from_ref(&new))).unwrap();
    assert_eq!(loaded(&store), [new.clone(), other.clone()]);
    let foreign = Key { signer: PeerId::from_public_key([3; 32]), ..key(&other) };
    let batch = Batch { remove: vec![key(&new), foreign], ..Batch::default() };
    store.write(&batch).unwrap();
    assert_eq!(loaded(&store), std::slice::from_ref(&other));
}

#[test]
fn the_sequence_never_goes_back() {
    let (_folder, file) = in_folder();
    let (store, _) = Store::open(&file).unwrap();
    for (written, kept) in [(5, 5), (3, 5), (6, 6)] {
        let batch = Batch { sequence: Some(written), ..Batch::default() };
        store.write(&batch).unwrap();
        assert_eq!(store.sequence().unwrap(), Some(kept));
    }
}

#[test]
fn an_open_store_is_neither_opened_twice_nor_set_aside() {
    let (folder, file) = in_folder();
    let (_store, _) = Store::open(&file).unwrap();
    let refused = Store::open(&file).unwrap_err();
    assert!(matches!(refused, OpenError::InUse(_)));
    assert!(refused.to_string().contains("another dt-swarm runs"));
    // The same happens if only the database itself is held, by another program.
    let held = folder.path().join("held.redb");
    let _database = redb::Database::create(&held).unwrap();
    assert!(matches!(Store::open(&held), Err(OpenError::InUse(_))));
    assert!(broken_files(folder.path()).is_empty());
}

fn broken_files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut broken: Vec<String> = names.filter(|name| name.contains(".broken-")).collect();
    broken.sort();
    broken
}

/// Opens a damaged file, and returns the reason for setting it aside. Checks that the new store works.
fn set_aside_reason(file: &Path) -> String {
    let damaged = fs::read(file).unwrap();
    let (store, opened) = Store::open(file).unwrap();
    let Opened::SetAside { moved_to, reason, .. } = opened else {
        panic!("{opened:?}");
    };
    assert_eq!(fs::read(&moved_to).unwrap().len(), damaged.len());
    assert!(store.load().unwrap().records.is_empty());
    store.write(&put(&[record("new", 1)])).unwrap();
    drop(store);
    let (_, opened) = Store::open(file).unwrap();
    assert_eq!(opened, Opened::Existing { records: 1 });
    reason
}

#[test]
fn a_file_that_is_not_a_database_is_set_aside() {
    for content in [&b"hello"[..], &[0; 5000], &[0xff; 100_000]] {
        let (folder, file) = in_folder();
        fs::write(&file, content).unwrap();
        set_aside_reason(&file);
        assert_eq!(broken_files(folder.path()), ["records.redb.broken-1"]);
        assert_eq!(fs::read(folder.path().join("records.redb.broken-1")).unwrap(), content);
    }
}

#[test]
fn an_empty_file_becomes_a_fresh_store() {
    let (_folder, file) = in_folder();
    fs::write(&file, b"").unwrap();
    assert_eq!(Store::open(&file).unwrap().1, Opened::Fresh);
}

#[test]
fn a_truncated_store_is_set_aside() {
    for divisor in [2, 10, 1000] {
        let (_folder, file) = in_folder();
        filled(&file, 500);
        let length = fs::metadata(&file).unwrap().len();
        let opened = fs::OpenOptions::new().write(true).open(&file).unwrap();
        opened.set_len(length / divisor).unwrap();
        set_aside_reason(&file);
    }
}

fn flip(file: &Path, offset: u64) {
    let opened = fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    opened.read_exact_at(&mut byte, offset).unwrap();
    opened.write_all_at(&[byte[0] ^ 0xff], offset).unwrap();
}

#[test]
fn a_flipped_header_is_set_aside() {
    let (_folder, file) = in_folder();
    filled(&file, 10);
    flip(&file, 0);
    set_aside_reason(&file);
}

#[test]
fn a_damaged_byte_is_never_read_as_a_record() {
    let (_folder, file) = in_folder();
    filled(&file, 200);
    let intact = fs::read(&file).unwrap();
    // All places of payloads, and samples over the whole file.
    let payloads = (0..intact.len()).filter(|at| intact[*at..].starts_with(b"\"cid"));
    let places: Vec<usize> = payloads.step_by(23).chain((0..intact.len()).step_by(40_009)).collect();
    assert!(places.len() > 10);
    let expected: Vec<Record> = (1..=200).map(|n| record(&format!("cid{n}"), n)).collect();
    for place in places {
        fs::write(&file, &intact).unwrap();
        flip(&file, place as u64);
        let (store, _) = Store::open(&file).unwrap();
        for record in loaded(&store) {
            assert!(expected.contains(&record), "byte {place}");
        }
    }
}

/// Creates a file as the first version wrote it. Its rows of version 1 contain the time at which the node would have
/// dropped the record. One additional row is malformed.
fn of_format_1(file: &Path, records: &[Record]) {
    const META: redb::TableDefinition<&str, u64> = redb::TableDefinition::new("meta");
    const RECORDS: redb::TableDefinition<[u8; 32], &[u8]> = redb::TableDefinition::new("records");
    const SERVICES: redb::TableDefinition<(&str, &str), &[u8]> = redb::TableDefinition::new("services");
    let database = redb::Database::create(file).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(META).unwrap().insert("format", 1).unwrap();
    write.open_table(META).unwrap().insert("sequence", 9).unwrap();
    write.open_table(SERVICES).unwrap().insert(("logs", "a"), &b"1"[..]).unwrap();
    let mut rows = write.open_table(RECORDS).unwrap();
    for record in records {
        let (signature, payload) = (record.signature(), record.statement().payload());
        let [forget, sequence] = [12_345, signature.sequence].map(u64::to_be_bytes);
        let signer = signature.signer.public_key();
        let parts: [&[u8]; 6] = [&[1], &forget, &sequence, &signature.bytes, signer, payload.as_bytes()];
        let item = record.item();
        let place = [&signer[..], item.bucket.as_str().as_bytes(), &[0], item.data.as_str().as_bytes()];
        let key = dcache::Digest::of(&place.concat());
        rows.insert(*key.as_bytes(), parts.concat().as_slice()).unwrap();
    }
    rows.insert([0; 32], &b"rubbish"[..]).unwrap();
    drop(rows);
    write.commit().unwrap();
}

#[test]
fn a_file_of_format_1_is_migrated_to_the_present_format() {
    let (_folder, file) = in_folder();
    let records = [record("one", 1), record("two", 2)];
    of_format_1(&file, &records);
    for _ in 0..2 {
        let (store, opened) = Store::open(&file).unwrap();
        assert_eq!(opened, Opened::Existing { records: 3 });
        let mut loaded = store.load().unwrap();
        loaded.records.sort_by_key(|record| record.signature().sequence);
        assert_eq!(loaded.records, records);
        for record in loaded.records {
            record.signature().verify(&record.statement().payload()).unwrap();
        }
        assert_eq!(
            (loaded.broken, store.sequence().unwrap()),
            (1, Some(9)),
            "the malformed row is left unchanged"
        );
        assert_eq!(Arc::new(store).table("logs").read(&"a".to_owned()).unwrap(), Some(1));
    }
}

#[test]
fn databases_of_other_programs_and_formats_are_set_aside() {
    let (folder, file) = in_folder();
    let table = |name| redb::TableDefinition::<&str, u64>::new(name);
    for (name, key, reason) in [("theirs", "x", "another program"), ("meta", "format", "format 7")] {
        let database = redb::Database::create(&file).unwrap();
        let write = database.begin_write().unwrap();
        write.open_table(table(name)).unwrap().insert(key, 7).unwrap();
        write.commit().unwrap();
        drop(database);
        assert!(set_aside_reason(&file).contains(reason));
        fs::remove_file(&file).unwrap();
    }
    assert_eq!(broken_files(folder.path()).len(), 2);
}

#[test]
fn only_the_last_damaged_files_are_kept() {
    let (folder, file) = in_folder();
    fs::write(folder.path().join("records.redb.broken-01"), b"not ours").unwrap();
    for round in 1..=MAX_BROKEN_FILES + 2 {
        fs::write(&file, format!("rubbish {round}")).unwrap();
        let (_, opened) = Store::open(&file).unwrap();
        let Opened::SetAside { dropped, .. } = opened else {
            panic!("{opened:?}");
        };
        assert_eq!(dropped.len(), usize::from(round > MAX_BROKEN_FILES));
    }
    let kept = ["01", "3", "4", "5"].map(|number| format!("records.redb.broken-{number}"));
    assert_eq!(broken_files(folder.path()), kept);
    assert_eq!(fs::read(folder.path().join(&kept[1])).unwrap(), b"rubbish 3");
}

#[test]
fn the_error_for_a_missing_folder_names_the_folder() {
    let (folder, _) = in_folder();
    let error = Store::open(&folder.path().join("missing/records.redb")).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }));
    assert!(error.to_string().contains("missing/records.redb"), "{error}");
}
