//! Tests of a connection to a database on a disk that fails and later works again.

use crate::{Connection, Fault, Faults, Journal, Location, Operation, Settings};
use redb::{Database, ReadableDatabase as _, ReadableTableMetadata as _, TableDefinition};
use std::path::Path;

const FILE: &str = "numbers.redb";
const NUMBERS: TableDefinition<'_, u64, ()> = TableDefinition::new("numbers");

fn is_ours(database: &Database) -> Result<bool, redb::Error> {
    Ok(database.begin_read()?.open_table(NUMBERS).is_ok())
}

fn insert(database: &Database, number: u64) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    write.open_table(NUMBERS)?.insert(number, ())?;
    Ok(write.commit()?)
}

fn count(database: &Database) -> Result<u64, redb::Error> {
    Ok(database.begin_read()?.open_table(NUMBERS)?.len()?)
}

fn location(folder: &Path, faults: &Faults) -> Location {
    let settings = Settings { cache_bytes: 1 << 20, verifies_checksums: true, is_ours };
    Location::new(folder.join(FILE), settings).with_faults(faults.clone())
}

/// Returns a connection to a new database that contains one number.
fn connect(location: &Location) -> Connection {
    let database = location.open_or_create().unwrap();
    insert(&database, 1).unwrap();
    Connection::new(location.clone(), database)
}

#[test]
fn a_connection_recovers_with_the_disk_and_keeps_committed_rows() {
    for fault in [Fault::Full, Fault::Unsynced, Fault::Dead] {
        let (folder, faults) = (tempfile::tempdir().unwrap(), Faults::default());
        let connection = connect(&location(folder.path(), &faults));
        faults.begin(fault, 0);
        for _ in 0..3 {
            connection.run(|database| insert(database, 2)).unwrap_err();
        }
        faults.end();
        assert!([1, 2].contains(&connection.run(count).unwrap()), "{fault:?}");
        connection.run(|database| insert(database, 3)).unwrap();
        assert!([2, 3].contains(&connection.run(count).unwrap()), "{fault:?}");
    }
}

#[test]
fn an_error_without_a_disk_failure_does_not_reopen_the_database() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), Journal::recording());
    let connection = connect(&location(folder.path(), &Faults::recorded_in(journal.clone())));
    let before = journal.len();
    let refused: Result<(), _> = connection.run(|_| Err(redb::Error::Corrupted("a row".to_owned())));
    refused.unwrap_err();
    assert_eq!(connection.run(count).unwrap(), 1);
    assert_eq!(journal.len(), before, "reopening the database would have written to the file");
}

#[test]
fn reopening_does_not_create_a_missing_file_or_change_another_file() {
    for content in [None, Some(&b""[..]), Some(b"rubbish")] {
        let folder = tempfile::tempdir().unwrap();
        replaced_by(content, folder.path());
        assert_eq!(std::fs::read(folder.path().join(FILE)).ok().as_deref(), content);
    }
}

#[test]
fn nothing_is_written_to_another_database_at_the_same_path() {
    let (others, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(location(others.path(), &Faults::default()).open_or_create().unwrap());
    replaced_by(Some(&std::fs::read(others.path().join(FILE)).unwrap()), folder.path());
    let database = Database::open(folder.path().join(FILE)).unwrap();
    assert_eq!(database.begin_read().unwrap().list_tables().unwrap().count(), 0);
}

/// Makes a connection fail, replaces its file by `content`, and checks that writing is refused.
fn replaced_by(content: Option<&[u8]>, folder: &Path) {
    let faults = Faults::default();
    let location = location(folder, &faults);
    let connection = connect(&location);
    faults.begin(Fault::Dead, 0);
    connection.run(|database| insert(database, 2)).unwrap_err();
    faults.end();
    match content {
        Some(content) => std::fs::write(location.file(), content).unwrap(),
        None => std::fs::remove_file(location.file()).unwrap(),
    }
    for _ in 0..2 {
        connection.run(|database| insert(database, 2)).unwrap_err();
    }
}

#[test]
fn the_journal_has_the_operations_of_the_disk_in_order() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), Journal::recording());
    let location = location(folder.path(), &Faults::recorded_in(journal.clone()));
    assert!(journal.is_empty());
    let connection = connect(&location);
    location.sync_folder().unwrap();
    drop(connection);
    let operations = journal.operations();
    assert_eq!(operations.len(), journal.len());
    assert!(matches!(operations[0], Operation::SetLength(_) | Operation::Write { .. }));
    assert!(operations.contains(&Operation::Sync) && operations.contains(&Operation::SyncFolder));
    assert!(Journal::default().operations().is_empty(), "the default journal records nothing");
}

#[test]
fn only_the_owner_can_read_a_new_database() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    drop(connect(&location(folder.path(), &Faults::default())));
    let mode = std::fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
