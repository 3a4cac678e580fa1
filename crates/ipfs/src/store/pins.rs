//! The database of pins: the pinned roots with their blocks, and the files that are served in place.
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use cid::Cid;
use database::{Connection, Location, Settings};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::file::Identity;
use super::references::{Number, Referenced};
use super::{BlockKey, Context, StoreError};

/// Root CID to (time of pinning in Unix seconds, size of the DAG in bytes).
const PINS: TableDefinition<'_, &[u8], (u64, u64)> = TableDefinition::new("pins");
/// Root CID to the multihashes of all blocks of its DAG, each after one byte with its length. With this list, opening
/// the store need not walk every DAG.
const BLOCKS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("blocks");
/// Roots that a person pinned. The program does not unpin these by itself.
const PERSONS: TableDefinition<'_, &[u8], ()> = TableDefinition::new("persons");
/// Number of a file that is served in place to (length when it was added, path, and its identity when last verified:
/// length, time of the last change in nanoseconds since the epoch, inode).
const FILES: TableDefinition<'_, u32, FileRow<'static>> = TableDefinition::new("files");
/// Number of the file to the SHA-256 digest of each piece of 256 KiB, 32 bytes each. A dropped piece has a digest of
/// zeros.
const PIECES: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("pieces");

/// Settings of the database. It is small and rarely read, and all of it is read at each start anyway.
const SETTINGS: Settings = Settings { cache_bytes: 1 << 20, verifies_checksums: false, is_ours };

type FileRow<'a> = (u64, &'a [u8], u64, i64, u64);

/// A pinned root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Root of the pinned DAG.
    pub root: Cid,
    /// Time of pinning in Unix seconds, by the local clock.
    pub time: u64,
    /// Size of all its different blocks in bytes.
    pub bytes: u64,
}

/// The changes of one commit.
#[derive(Debug, Default)]
pub(super) struct Change<'a> {
    pub(super) pinned: Vec<(Pin, &'a [BlockKey])>,
    /// Whether a person pinned these.
    pub(super) is_by_person: bool,
    pub(super) unpinned: Vec<Cid>,
    pub(super) files: Vec<(Number, Referenced)>,
    pub(super) removed_files: Vec<Number>,
}

/// Returns the location of the database of a store in this folder.
pub(super) fn location(directory: &Path) -> Location {
    Location::new(directory.join("pins.redb"), SETTINGS)
}

fn is_ours(database: &Database) -> Result<bool, redb::Error> {
    let transaction = database.begin_read()?;
    let (pins, blocks) = (transaction.open_table(PINS), transaction.open_table(BLOCKS));
    let (files, pieces) = (transaction.open_table(FILES), transaction.open_table(PIECES));
    Ok(pins.is_ok() && blocks.is_ok() && files.is_ok() && pieces.is_ok())
}

#[derive(Debug)]
pub(super) struct PinDatabase {
    connection: Connection,
}

impl PinDatabase {
    /// Opens the database. An unreadable database is moved aside; then its new path is returned as well.
    pub(super) fn open(location: &Location) -> Result<(Self, Option<PathBuf>), StoreError> {
        let damage = match open_checked(location) {
            Ok(pins) => return Ok((pins, None)),
            Err(StoreError::Pins(error)) => describe_damage(*error, location.file())?,
            Err(other) => return Err(other),
        };
        let aside = aside_path(location.file());
        fs::rename(location.file(), &aside).context("set the pin database aside")?;
        tracing::error!(damage, aside = %aside.display(), "the pin database is unreadable and was set aside: all pins are lost");
        Ok((open_checked(location)?, Some(aside)))
    }

    /// Calls `see` with each pinned root and its blocks.
    pub(super) fn each(&self, mut see: impl FnMut(Cid, Vec<BlockKey>)) -> Result<(), StoreError> {
        Ok(self.connection.run(|database| {
            for entry in database.begin_read()?.open_table(BLOCKS)?.iter()? {
                let (root, keys) = entry?;
                see(read_root(root.value())?, unpack(keys.value())?);
            }
            Ok(())
        })?)
    }

    /// Returns the blocks of a root, or `None` when it is not pinned.
    pub(super) fn blocks(&self, root: &Cid) -> Result<Option<Vec<BlockKey>>, StoreError> {
        Ok(self.connection.run(|database| {
            let keys = database.begin_read()?.open_table(BLOCKS)?.get(root.to_bytes().as_slice())?;
            keys.map(|keys| unpack(keys.value())).transpose()
        })?)
    }

    /// Returns the roots that a person pinned.
    pub(super) fn by_persons(&self) -> Result<BTreeSet<Cid>, StoreError> {
        Ok(self.connection.run(|database| {
            let mut roots = BTreeSet::new();
            for entry in database.begin_read()?.open_table(PERSONS)?.iter()? {
                roots.insert(read_root(entry?.0.value())?);
            }
            Ok(roots)
        })?)
    }

    /// Returns all files that are served in place.
    pub(super) fn files(&self) -> Result<Vec<(Number, Referenced)>, StoreError> {
        Ok(self.connection.run(|database| {
            let transaction = database.begin_read()?;
            let (files, pieces) = (transaction.open_table(FILES)?, transaction.open_table(PIECES)?);
            let mut all = Vec::new();
            for entry in files.iter()? {
                let (number, row) = entry?;
                let list = pieces.get(number.value())?;
                let list = list.as_ref().map_or(&[][..], |list| list.value());
                let number = Number::new(number.value()).ok_or_else(|| damaged("a file has no number"))?;
                all.push((number, read_file(row.value(), list)));
            }
            Ok(all)
        })?)
    }

    /// Commits a change: either all of it is on the disk when this returns, or nothing of it.
    pub(super) fn commit(&self, change: &Change<'_>) -> Result<(), StoreError> {
        Ok(self.connection.run(|database| {
            let mut transaction = database.begin_write()?;
            transaction.set_quick_repair(true);
            write_pins(&transaction, change)?;
            write_files(&transaction, change)?;
            Ok(transaction.commit()?)
        })?)
    }

    #[cfg(test)]
    pub(super) fn contains(&self, root: &Cid) -> Result<bool, StoreError> {
        Ok(self.connection.run(|database| {
            Ok(database.begin_read()?.open_table(PINS)?.get(root.to_bytes().as_slice())?.is_some())
        })?)
    }

    pub(super) fn list(&self) -> Result<Vec<Pin>, StoreError> {
        Ok(self.connection.run(|database| {
            let mut pins = Vec::new();
            for entry in database.begin_read()?.open_table(PINS)?.iter()? {
                let (root, value) = entry?;
                let (time, bytes) = value.value();
                pins.push(Pin { root: read_root(root.value())?, time, bytes });
            }
            Ok(pins)
        })?)
    }
}

fn write_pins(transaction: &WriteTransaction, change: &Change<'_>) -> Result<(), redb::Error> {
    let (mut pins, mut blocks) = (transaction.open_table(PINS)?, transaction.open_table(BLOCKS)?);
    let mut persons = transaction.open_table(PERSONS)?;
    for (pin, keys) in &change.pinned {
        let root = pin.root.to_bytes();
        pins.insert(root.as_slice(), (pin.time, pin.bytes))?;
        blocks.insert(root.as_slice(), pack(keys).as_slice())?;
        if change.is_by_person {
            persons.insert(root.as_slice(), ())?;
        }
    }
    for root in &change.unpinned {
        pins.remove(root.to_bytes().as_slice())?;
        blocks.remove(root.to_bytes().as_slice())?;
        persons.remove(root.to_bytes().as_slice())?;
    }
    Ok(())
}

fn write_files(transaction: &WriteTransaction, change: &Change<'_>) -> Result<(), redb::Error> {
    let (mut files, mut pieces) = (transaction.open_table(FILES)?, transaction.open_table(PIECES)?);
    for (number, file) in &change.files {
        let Identity { length, modified, inode } = file.identity;
        let path = file.path.as_os_str().as_bytes();
        files.insert(number.get(), (file.length, path, length, modified, inode))?;
        pieces.insert(number.get(), file.pieces.as_flattened())?;
    }
    for number in &change.removed_files {
        files.remove(number.get())?;
        pieces.remove(number.get())?;
    }
    Ok(())
}

fn read_file((length, path, seen, modified, inode): FileRow<'_>, pieces: &[u8]) -> Referenced {
    let path = Path::new(OsStr::from_bytes(path)).into();
    // The store never writes an incomplete digest, so one at the end of the list is damage and is ignored. Every piece
    // is hashed before it is served.
    let (pieces, _) = pieces.as_chunks();
    let identity = Identity { length: seen, modified, inode };
    Referenced { path, length, identity, pieces: pieces.to_vec(), is_whole: true, is_suspect: false }
}

/// Opens the database and reads all of it once. Some kinds of damage make redb panic; that counts as damage, too.
fn open_checked(location: &Location) -> Result<PinDatabase, StoreError> {
    // redb takes an empty file for a new database, but a power cut can leave an old database empty.
    if fs::metadata(location.file()).is_ok_and(|metadata| metadata.len() == 0) {
        return Err(damaged("it is empty").into());
    }
    catch_unwind(AssertUnwindSafe(|| {
        let database = location.open_or_create()?;
        let pins = PinDatabase { connection: Connection::new(location.clone(), database) };
        // Creates the tables that do not exist yet.
        pins.commit(&Change::default())?;
        pins.list()?;
        pins.each(|_, _| {})?;
        pins.files()?;
        Ok(pins)
    }))
    .unwrap_or_else(|_| Err(damaged("reading it panicked").into()))
}

/// Returns a description of the damage, or an error when the file is in use or unreadable and so not damaged.
fn describe_damage(error: redb::Error, path: &Path) -> Result<String, StoreError> {
    match error {
        redb::Error::DatabaseAlreadyOpen => Err(StoreError::InUse(path.parent().unwrap_or(path).to_owned())),
        redb::Error::Io(source) if !is_damage(&source) => {
            Err(StoreError::Io { action: "open the pin database", source })
        }
        damage => Ok(damage.to_string()),
    }
}

fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput
    )
}

fn damaged(what: &str) -> redb::Error {
    redb::Error::Corrupted(what.to_owned())
}

fn aside_path(path: &Path) -> PathBuf {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // A robot without clock battery starts at the same second each time, so a number is counted up until the name is
    // free.
    let names = (0u32..).map(|number| path.with_extension(format!("redb.damaged-{seconds}-{number}")));
    names.into_iter().find(|path| !path.exists()).unwrap_or_else(|| path.with_extension("redb.damaged"))
}

fn read_root(bytes: &[u8]) -> Result<Cid, redb::Error> {
    Cid::try_from(bytes).map_err(|_| damaged("a root is not a CID"))
}

fn pack(keys: &[BlockKey]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(keys.len() * 35);
    for key in keys {
        // A multihash has at most 64 bytes of digest and 20 of code and length.
        packed.push(u8::try_from(key.as_bytes().len()).unwrap_or(u8::MAX));
        packed.extend_from_slice(key.as_bytes());
    }
    packed
}

fn unpack(mut packed: &[u8]) -> Result<Vec<BlockKey>, redb::Error> {
    let mut keys = Vec::with_capacity(packed.len() / 35);
    while let Some((length, rest)) = packed.split_first() {
        let (key, rest) =
            rest.split_at_checked(usize::from(*length)).ok_or_else(|| damaged("a pin's list ends early"))?;
        keys.push(BlockKey::from_bytes(key).ok_or_else(|| damaged("a pinned block has no multihash"))?);
        packed = rest;
    }
    Ok(keys)
}
