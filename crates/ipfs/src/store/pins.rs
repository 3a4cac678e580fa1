//! Which roots are pinned, and of which blocks they consist, in a small database.
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use cid::Cid;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition};

use super::{BlockKey, Context, StoreError};

/// Root CID to (time of pinning in Unix seconds, bytes of the DAG).
const PINS: TableDefinition<'_, &[u8], (u64, u64)> = TableDefinition::new("pins");
/// Root CID to the multihashes of all blocks of its DAG, each with one byte of length before it. Kept so that opening
/// the store need not walk every DAG.
const BLOCKS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("blocks");

/// The pins are few and read rarely.
const CACHE_BYTES: usize = 1024 * 1024;

/// One pinned root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The root of the DAG that is kept.
    pub root: Cid,
    /// When it was pinned, in Unix seconds by the local clock.
    pub time: u64,
    /// The bytes of all its different blocks.
    pub bytes: u64,
}

#[derive(Debug)]
pub(super) struct PinDatabase {
    database: Database,
}

type PinnedBlocks = Vec<(Cid, Vec<BlockKey>)>;

impl PinDatabase {
    /// Opens the database; one that cannot be read is moved aside, and its new place returned.
    pub(super) fn open(folder: &Path) -> Result<(Self, Option<PathBuf>), StoreError> {
        let path = folder.join("pins.redb");
        let damage = match open_checked(&path) {
            Ok(pins) => return Ok((pins, None)),
            Err(StoreError::Pins(error)) => describe_damage(*error, folder)?,
            Err(other) => return Err(other),
        };
        let aside = aside_path(folder);
        fs::rename(&path, &aside).context("set the pin database aside")?;
        tracing::error!(damage, aside = %aside.display(), "the pin database is unreadable and was set aside: all pins are lost");
        Ok((open_checked(&path)?, Some(aside)))
    }

    /// All pinned roots with their blocks.
    pub(super) fn blocks(&self) -> Result<PinnedBlocks, StoreError> {
        let table = self.database.begin_read()?.open_table(BLOCKS)?;
        let mut all = Vec::new();
        for entry in table.iter()? {
            let (root, keys) = entry?;
            let root = Cid::try_from(root.value()).map_err(|_| damaged("a root is no CID"))?;
            all.push((root, unpack(keys.value())?));
        }
        Ok(all)
    }

    /// Records a pin; returns the blocks that the same root held before, if it was pinned.
    pub(super) fn insert(&self, pin: &Pin, keys: &[BlockKey]) -> Result<Option<Vec<BlockKey>>, StoreError> {
        let root = pin.root.to_bytes();
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(true);
        transaction.open_table(PINS)?.insert(root.as_slice(), (pin.time, pin.bytes))?;
        let before = {
            let mut table = transaction.open_table(BLOCKS)?;
            let before = table.insert(root.as_slice(), pack(keys).as_slice())?;
            before.map(|keys| unpack(keys.value())).transpose()?
        };
        transaction.commit()?;
        Ok(before)
    }

    /// Removes a pin; returns the blocks that it held, if there was one.
    pub(super) fn remove(&self, root: &Cid) -> Result<Option<Vec<BlockKey>>, StoreError> {
        let root = root.to_bytes();
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(true);
        transaction.open_table(PINS)?.remove(root.as_slice())?;
        let keys = {
            let mut table = transaction.open_table(BLOCKS)?;
            let before = table.remove(root.as_slice())?;
            before.map(|keys| unpack(keys.value())).transpose()?
        };
        transaction.commit()?;
        Ok(keys)
    }

    pub(super) fn contains(&self, root: &Cid) -> Result<bool, StoreError> {
        let table = self.database.begin_read()?.open_table(PINS)?;
        Ok(table.get(root.to_bytes().as_slice())?.is_some())
    }

    pub(super) fn list(&self) -> Result<Vec<Pin>, StoreError> {
        let table = self.database.begin_read()?.open_table(PINS)?;
        let mut pins = Vec::new();
        for entry in table.iter()? {
            let (root, value) = entry?;
            let (time, bytes) = value.value();
            let root = Cid::try_from(root.value()).map_err(|_| damaged("a root is no CID"))?;
            pins.push(Pin { root, time, bytes });
        }
        Ok(pins)
    }
}

/// Opens the database and reads all of it once. redb panics on some kinds of damage, which is damage like any other.
fn open_checked(path: &Path) -> Result<PinDatabase, StoreError> {
    // redb takes an empty file for a new database, but a power cut can leave one of an old one.
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0) {
        return Err(damaged("it is empty"));
    }
    catch_unwind(AssertUnwindSafe(|| {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
        let mut transaction = database.begin_write()?;
        transaction.set_quick_repair(true);
        transaction.open_table(PINS)?;
        transaction.open_table(BLOCKS)?;
        transaction.commit()?;
        let pins = PinDatabase { database };
        pins.list()?;
        pins.blocks()?;
        Ok(pins)
    }))
    .unwrap_or_else(|_| Err(damaged("reading it panicked")))
}

/// The damage in words, or an error when it is none: a file that is in use or may not be read is not damaged.
fn describe_damage(error: redb::Error, folder: &Path) -> Result<String, StoreError> {
    match error {
        redb::Error::DatabaseAlreadyOpen => Err(StoreError::InUse(folder.to_owned())),
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

fn damaged(what: &str) -> StoreError {
    DatabaseError::Storage(StorageError::Corrupted(what.to_owned())).into()
}

fn aside_path(folder: &Path) -> PathBuf {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // A robot without clock battery starts at the same second each time: count up until the name is free.
    let names = (0u32..).map(|number| folder.join(format!("pins.redb.damaged-{seconds}-{number}")));
    names.into_iter().find(|path| !path.exists()).unwrap_or_else(|| folder.join("pins.redb.damaged"))
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

fn unpack(mut packed: &[u8]) -> Result<Vec<BlockKey>, StoreError> {
    let mut keys = Vec::new();
    while let Some((length, rest)) = packed.split_first() {
        let (key, rest) =
            rest.split_at_checked(usize::from(*length)).ok_or_else(|| damaged("a pin's list ends early"))?;
        keys.push(BlockKey::from_bytes(key).ok_or_else(|| damaged("a pinned block has no multihash"))?);
        packed = rest;
    }
    Ok(keys)
}
