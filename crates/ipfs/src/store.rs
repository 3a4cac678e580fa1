//! Blocks on disk: bounded, verified when read, with pins and garbage collection.
//!
//! Layout of the folder:
//! ```text
//! blocks/ab/1220...ab   one file per block; its name is the multihash in hexadecimal, its folder the last two digits
//! temporary/            files being written; emptied when the store is opened
//! pins.redb             the pins
//! ```
//! A block file appears under its name by a rename, so a killed process leaves none that is half written. A power cut
//! can still leave an empty or truncated one, since blocks are not synced one by one (that would cost an SD card a
//! journal commit per block): so every block is checked against its hash when it is read, and a pin is recorded only
//! after one sync of the whole file system.
mod index;
mod pins;
mod types;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cid::{Cid, multihash::Multihash};

pub use index::BlockKey;
use index::Index;
pub use pins::Pin;
use pins::PinDatabase;
pub(crate) use types::Context;
pub use types::{OpenReport, StoreConfig, StoreError, Usage};

/// The multicodec of the hash function whose digest is the data itself: such blocks are never stored.
const IDENTITY: u64 = 0x00;

/// The block store. Clones share it. All calls may block on the disk for a short time.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: StoreConfig,
    index: Mutex<Index>,
    pins: PinDatabase,
    next_temporary: AtomicU64,
}

impl Store {
    /// Opens or makes the store, counts what is there and removes what a killed process left.
    ///
    /// # Errors
    /// When the folder cannot be read or written, or another process uses it. An unreadable pin database is no error:
    /// see [`OpenReport::pins_set_aside`].
    pub fn open(config: StoreConfig) -> Result<(Self, OpenReport), StoreError> {
        make_folders(&config.directory)?;
        let new_pins = !config.directory.join("pins.redb").exists();
        let (pins, pins_set_aside) = PinDatabase::open(&config.directory)?;
        let temporary_removed = empty_folder(&config.directory.join("temporary"))?;
        let mut index = Index::read(&config.directory.join("blocks"))?;
        let mut incomplete_pins = Vec::new();
        for (root, keys) in pins.blocks()? {
            if keys.iter().any(|key| !index.contains(key)) {
                tracing::error!(%root, "blocks of this pinned root are missing; it has to be fetched again");
                incomplete_pins.push(root);
            }
            keys.into_iter().for_each(|key| index.hold(key));
        }
        let (blocks, bytes) = (index.blocks(), index.bytes());
        let pins_missing = new_pins && blocks > 0;
        if pins_missing {
            tracing::error!(blocks, "the pin database is gone: all pins are lost");
        }
        let report =
            OpenReport { blocks, bytes, temporary_removed, pins_set_aside, pins_missing, incomplete_pins };
        let (index, next_temporary) = (Mutex::new(index), AtomicU64::new(0));
        Ok((Self { inner: Arc::new(Inner { config, index, pins, next_temporary }) }, report))
    }

    /// Whether the block is there. Does not touch the disk.
    pub fn contains(&self, cid: &Cid) -> bool {
        self.size_of(cid).is_some()
    }

    /// The length of the block in bytes, if it is there. Does not touch the disk.
    pub fn size_of(&self, cid: &Cid) -> Option<usize> {
        if cid.hash().code() == IDENTITY {
            return Some(cid.hash().digest().len());
        }
        self.index().size_of(&BlockKey::of(cid))
    }

    /// Reads a block and checks it against its hash. A block that is damaged is removed, and is `None`.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        if cid.hash().code() == IDENTITY {
            return Ok(Some(Bytes::copy_from_slice(cid.hash().digest())));
        }
        let key = BlockKey::of(cid);
        if !self.index().contains(&key) {
            return Ok(None);
        }
        let data = match fs::read(self.path(&key)) {
            Ok(data) => data,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.drop_damaged(&key, "its file is gone").map(|()| None);
            }
            Err(source) => {
                return Err(StoreError::Io { action: "read a block", source });
            }
        };
        if bitswap::message::verify(cid.hash(), &data) {
            return Ok(Some(data.into()));
        }
        self.drop_damaged(&key, "its data has another hash").map(|()| None)
    }

    /// Stores a block under the hash of `cid`, which the caller has computed from `data`. Makes room when necessary by
    /// throwing away the oldest blocks that nothing holds. A block that is already there is left alone.
    ///
    /// # Errors
    /// When there is no room, or the disk cannot be written.
    pub fn put(&self, cid: &Cid, data: &[u8]) -> Result<(), StoreError> {
        if cid.hash().code() == IDENTITY {
            return Ok(());
        }
        let key = BlockKey::of(cid);
        let length = data.len() as u64;
        if !self.reserve(&key, length)? {
            return Ok(());
        }
        let written =
            self.write_temporary(&key, data).and_then(|temporary| self.take_over(&key, &temporary, length));
        self.index().release_reserved(length);
        written
    }

    /// A guard that keeps the blocks named to it from being thrown away, until it is dropped.
    pub fn protection(&self) -> Protection {
        Protection { store: self.clone(), keys: Mutex::default() }
    }

    /// How full the store is.
    pub fn usage(&self) -> Usage {
        let index = self.index();
        Usage { used_bytes: index.bytes(), max_bytes: self.inner.config.max_bytes, blocks: index.blocks() }
    }

    /// Makes everything durable that was written before.
    ///
    /// # Errors
    /// When the disk reports that something was lost.
    pub fn sync(&self) -> Result<(), StoreError> {
        let folder = File::open(&self.inner.config.directory).context("open its folder")?;
        rustix::fs::syncfs(&folder).context("sync its file system")
    }

    /// Records that the blocks `keys` of the DAG below `root` are to be kept, after making them durable. The caller
    /// has seen that they are all there, and protects them meanwhile.
    ///
    /// # Errors
    /// When the disk or the pin database fails; then nothing is pinned.
    pub fn pin(&self, root: &Cid, bytes: u64, keys: Vec<BlockKey>) -> Result<Pin, StoreError> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.sync()?;
        let pin = Pin { root: *root, time, bytes };
        let before = self.inner.pins.insert(&pin, &keys)?;
        let mut index = self.index();
        keys.into_iter().for_each(|key| index.hold(key));
        before.iter().flatten().for_each(|key| index.release(key));
        Ok(pin)
    }

    /// Lets go of a pinned root; its blocks stay until room is needed. False when it was not pinned.
    ///
    /// # Errors
    /// When the pin database fails.
    pub fn unpin(&self, root: &Cid) -> Result<bool, StoreError> {
        let Some(keys) = self.inner.pins.remove(root)? else {
            return Ok(false);
        };
        let mut index = self.index();
        keys.iter().for_each(|key| index.release(key));
        Ok(true)
    }

    /// All pins, in the order of their CIDs.
    ///
    /// # Errors
    /// When the pin database fails.
    pub fn pins(&self) -> Result<Vec<Pin>, StoreError> {
        self.inner.pins.list()
    }

    /// Whether this root is pinned itself.
    ///
    /// # Errors
    /// When the pin database fails.
    pub fn is_pinned(&self, root: &Cid) -> Result<bool, StoreError> {
        self.inner.pins.contains(root)
    }

    /// How many bytes of the file system are free for others than this store.
    ///
    /// # Errors
    /// When the file system does not say.
    pub fn spare_bytes(&self) -> Result<u64, StoreError> {
        Ok(self.free_bytes()?.saturating_sub(self.inner.config.min_free_bytes))
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        // The index is changed by single calls that leave it whole, so a panic elsewhere does not spoil it.
        self.inner.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, key: &BlockKey) -> PathBuf {
        self.inner.config.directory.join("blocks").join(key.relative_path())
    }

    fn free_bytes(&self) -> Result<u64, StoreError> {
        let status = rustix::fs::statvfs(&self.inner.config.directory).context("ask for free space")?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }

    /// Makes room for a block and sets its bytes aside; false when it is already there.
    fn reserve(&self, key: &BlockKey, length: u64) -> Result<bool, StoreError> {
        let StoreConfig { max_bytes, min_free_bytes, .. } = self.inner.config;
        let mut index = self.index();
        if index.contains(key) {
            return Ok(false);
        }
        let excess = (index.bytes() + index.reserved() + length).saturating_sub(max_bytes);
        self.collect(&mut index, excess)?;
        if index.bytes() + index.reserved() + length > max_bytes {
            return Err(StoreError::Full { used: index.bytes(), max: max_bytes });
        }
        let needed = min_free_bytes.saturating_add(index.reserved() + length);
        self.collect(&mut index, needed.saturating_sub(self.free_bytes()?))?;
        let free = self.free_bytes()?;
        if free < needed {
            return Err(StoreError::DiskFull { free, min_free: min_free_bytes });
        }
        index.reserve(length);
        Ok(true)
    }

    /// Throws away unheld blocks, the oldest first, until `bytes` are free; a little more, so that a full store does
    /// not sort its blocks for every new one. The index stays locked: a block that is being removed can neither be
    /// found nor stored anew meanwhile.
    fn collect(&self, index: &mut Index, bytes: u64) -> Result<(), StoreError> {
        if bytes == 0 {
            return Ok(());
        }
        for key in index.oldest(bytes, self.inner.config.max_bytes / 128) {
            remove_if_there(&self.path(&key))?;
            index.remove(&key);
        }
        Ok(())
    }

    fn write_temporary(&self, key: &BlockKey, data: &[u8]) -> Result<PathBuf, StoreError> {
        let number = self.inner.next_temporary.fetch_add(1, Ordering::Relaxed);
        let path = self.path(key).with_extension(number.to_string());
        let written = File::create(&path).and_then(|mut file| file.write_all(data));
        if written.is_err() {
            let _ = fs::remove_file(&path);
        }
        written.context("write a block").map(|()| path)
    }

    fn take_over(&self, key: &BlockKey, temporary: &Path, length: u64) -> Result<(), StoreError> {
        let mut index = self.index();
        fs::rename(temporary, self.path(key)).context("rename a block")?;
        index.insert(key.clone(), length, SystemTime::now());
        Ok(())
    }

    fn drop_damaged(&self, key: &BlockKey, reason: &str) -> Result<(), StoreError> {
        let mut index = self.index();
        // It may have been thrown away in the regular way, or stored anew, since it was looked up.
        if !index.contains(key) {
            return Ok(());
        }
        tracing::warn!(block = %key, reason, "a damaged block was removed");
        remove_if_there(&self.path(key))?;
        index.remove(key);
        Ok(())
    }
}

/// Keeps blocks from being thrown away while it lives, whether they are there already or still to come.
#[derive(Debug)]
pub struct Protection {
    store: Store,
    keys: Mutex<std::collections::BTreeSet<BlockKey>>,
}

impl Protection {
    /// Protects one more block.
    pub fn add(&self, cid: &Cid) {
        let key = BlockKey::of(cid);
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.insert(key.clone()) {
            self.store.index().hold(key);
        }
    }
}

impl Drop for Protection {
    fn drop(&mut self) {
        let keys = std::mem::take(self.keys.get_mut().unwrap_or_else(PoisonError::into_inner));
        let mut index = self.store.index();
        keys.iter().for_each(|key| index.release(key));
    }
}

fn make_folders(directory: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(directory.join("temporary")).context("make its folders")?;
    (0..=u8::MAX)
        .try_for_each(|byte| fs::create_dir_all(directory.join("blocks").join(format!("{byte:02x}"))))
        .context("make its folders")
}

fn empty_folder(folder: &Path) -> Result<usize, StoreError> {
    let mut removed = 0;
    for entry in fs::read_dir(folder).context("list temporary files")? {
        remove_if_there(&entry.context("list temporary files")?.path())?;
        removed += 1;
    }
    Ok(removed)
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("remove a file"),
        _ => Ok(()),
    }
}

/// The hash of a key again, for those who have only the key.
impl TryFrom<&BlockKey> for Multihash<64> {
    type Error = cid::multihash::Error;

    fn try_from(key: &BlockKey) -> Result<Self, Self::Error> {
        Self::from_bytes(key.as_bytes())
    }
}

#[cfg(test)]
mod tests;
