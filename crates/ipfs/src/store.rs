//! Blocks on disk, limited in size and checked when read. Blocks can be pinned, and files be served in place.
//!
//! Layout of the folder. A folder inside `blocks` is made for its first block:
//! ```text
//! blocks/ab/1220...ab   one file per block with exactly the block's bytes. The name is the multihash in lower case
//!                       hexadecimal, the folder its last two digits; the oldest block was modified first
//! blocks/ab/1220...ab.7.partial   a numbered file that is being written; removed when the store is opened
//! pins.redb             a redb 4 database (file format 3) of five tables; integers are little-endian, as in redb
//!   pins    bytes -> (u64, u64)   root CID in binary -> time of pinning in Unix seconds, bytes of all different blocks
//!   blocks  bytes -> bytes        root CID -> for each different block of its DAG: u8 length, multihash
//!   persons bytes -> ()           root CID that a person pinned
//!   files   u32 -> (u64, bytes, u64, i64, u64)
//!                                 number -> length in bytes when added; absolute path; and the state of the file when
//!                                 its pieces were last verified: length, time of last change in ns since 1970, inode
//!   pieces  u32 -> bytes          number -> SHA-256 of each 256 KiB of the file (the last may be shorter), 32 bytes
//!                                 each; 32 zero bytes for a piece that the file no longer contains
//! ```
//! **A block file** appears under its name by a rename, so a killed process leaves no block half written. A power cut
//! can still leave an empty or truncated file, because blocks are not synced one by one: that would cost an SD card one
//! journal commit for each block. So every block is checked against its hash when it is read, and a pin is recorded
//! only after one sync of the whole file system. 32 GB are 131,000 files of 256 KiB, 512 in each folder. Opening the
//! store looks at each file once (`examples/many_blocks.rs` measures that) and keeps about 90 bytes of memory for each.
//!
//! **A file that is served in place** is never copied: its raw leaves are read from the file by their number. The file
//! is not trusted. Whenever a block is read, the file is opened by a path without symbolic links, its length, time and
//! inode are compared, and the hash of the block is checked. A piece with another hash is dropped and counts as missing
//! until the block is fetched and stored. The same happens to the whole file when it is gone or was replaced.
//! [`Store::losses`] reports such losses of pinned or protected blocks. The tables `files` and `pieces` are written in
//! the same commit as the pin that needs them. After a restart, only the files that a pin needs are served.
mod blocks;
mod file;
mod in_place;
mod index;
mod key;
mod pinning;
mod pins;
mod references;
mod types;
mod vanished;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cid::Cid;
use database::Location;
use tokio::sync::watch;

use blocks::BlockFiles;
use file::Identity;
pub(crate) use in_place::InPlace;
use index::Index;
pub use key::BlockKey;
pub use pinning::Whole;
pub use pins::Pin;
use pins::PinDatabase;
use references::Place;
pub(crate) use types::Context;
pub use types::{FileState, Freed, OpenReport, ReferencedFile, StoreConfig, StoreError, Usage};

/// Multicodec of the hash function whose digest is the data itself. Such blocks are never stored.
const IDENTITY: u64 = 0x00;
/// Minimum free space, in bytes, that remains when the blocks beside a file that is served in place are stored. These
/// blocks take a five-thousandth of the size of the file, so they may use space that is otherwise left free.
const LEAST_FREE_BYTES: u64 = 8 * 1024 * 1024;

/// The block store. Clones share the same store. Every call may block on the disk for a short time.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: StoreConfig,
    files: BlockFiles,
    index: Mutex<Index>,
    pins: PinDatabase,
    changing_pins: pinning::ChangingPins,
    losses: watch::Sender<(u64, u64)>,
    pin_changes: watch::Sender<u64>,
    are_pins_new: bool,
    seen_folders: vanished::SeenFolders,
}

impl Store {
    /// Opens or creates the store, counts its blocks, and removes the temporary files of a killed process.
    ///
    /// # Errors
    /// When the folder cannot be read or written, or another process uses the store. An unreadable pin database is not
    /// an error; see [`OpenReport::pins_set_aside`].
    pub fn open(config: StoreConfig) -> Result<(Self, OpenReport), StoreError> {
        let location = pins::location(&config.directory);
        Self::open_with(config, &location)
    }

    fn open_with(config: StoreConfig, pins: &Location) -> Result<(Self, OpenReport), StoreError> {
        make_private(&config.directory).context("make its folder")?;
        let is_new = !pins.file().exists();
        // Another process that uses the store has the database open. So nothing is touched before the database is
        // locked.
        let (pins, pins_set_aside) = PinDatabase::open(pins)?;
        let files = BlockFiles::open(&config.directory)?;
        let (mut index, temporary_removed) = files.index()?;
        let (blocks, bytes) = (index.blocks(), index.bytes());
        let files_gone = find_files(&pins, &mut index)?;
        let incomplete_pins = pinning::hold_pins(&pins, &mut index)?;
        let pins_missing = is_new && blocks > 0;
        let are_pins_new = is_new || pins_set_aside.is_some();
        if pins_missing {
            tracing::error!(blocks, "the pin database is gone: all pins are lost");
        }
        let found = index.references.iter().count();
        let report = OpenReport {
            blocks,
            bytes,
            temporary_removed,
            pins_set_aside,
            pins_missing,
            incomplete_pins,
            files: found,
            files_gone,
        };
        let losses = watch::Sender::new((index.lost(), index.suspects));
        let (index, changing_pins) = (Mutex::new(index), Mutex::default());
        let (pin_changes, seen_folders) = (watch::Sender::default(), vanished::SeenFolders::default());
        let inner = Inner {
            config,
            files,
            index,
            pins,
            changing_pins,
            losses,
            pin_changes,
            are_pins_new,
            seen_folders,
        };
        Ok((Self { inner: Arc::new(inner) }, report))
    }

    /// Returns whether the block is in the store. Does not access the disk.
    pub fn contains(&self, cid: &Cid) -> bool {
        self.size_of(cid).is_some()
    }

    /// Returns the length of the block in bytes, or `None` when it is not in the store. Does not access the disk.
    pub fn size_of(&self, cid: &Cid) -> Option<usize> {
        if cid.hash().code() == IDENTITY {
            return Some(cid.hash().digest().len());
        }
        self.index().size_of(&BlockKey::of(cid))
    }

    /// Returns whether a pin whose root is not private contains the block. Does not access the disk.
    pub fn is_open(&self, cid: &Cid) -> bool {
        cid.hash().code() == IDENTITY || self.index().is_open(&BlockKey::of(cid))
    }

    /// Reads a block and checks it against its hash. A damaged block is removed; then the result is `None`, unless a
    /// file that is served in place contains the block.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        if cid.hash().code() == IDENTITY {
            return Ok(Some(Bytes::copy_from_slice(cid.hash().digest())));
        }
        let key = BlockKey::of(cid);
        match self.read_stored(&key)? {
            Some(data) => Ok(Some(data)),
            None => self.read_in_place(&key),
        }
    }

    fn read_stored(&self, key: &BlockKey) -> Result<Option<Bytes>, StoreError> {
        if !self.index().is_stored(key) {
            return Ok(None);
        }
        match self.inner.files.read(key)? {
            Some(data) if key.matches(&data) => return Ok(Some(data.into())),
            Some(_) => self.drop_damaged(key, "its data has another hash")?,
            None => self.drop_damaged(key, "its file is gone")?,
        }
        Ok(None)
    }

    /// Returns the number of bytes on the disk that the store leaves free for other programs.
    pub fn min_free_bytes(&self) -> u64 {
        self.inner.config.min_free_bytes
    }

    /// Stores a block under the hash of `cid`, which the caller has computed from `data`. If necessary, removes the
    /// oldest blocks that are neither pinned nor protected. A block that is already stored is left unchanged.
    ///
    /// # Errors
    /// When there is no room ([`StoreError::is_full`]), or the disk cannot be written. Then no part of the block is
    /// left.
    pub fn put(&self, cid: &Cid, data: &[u8]) -> Result<(), StoreError> {
        self.put_leaving(cid, data, self.inner.config.min_free_bytes)
    }

    /// As [`Store::put`], for the blocks that are needed beside a file that is served in place.
    pub(crate) fn put_beside(&self, cid: &Cid, data: &[u8]) -> Result<(), StoreError> {
        self.put_leaving(cid, data, self.inner.config.min_free_bytes.min(LEAST_FREE_BYTES))
    }

    fn put_leaving(&self, cid: &Cid, data: &[u8], min_free: u64) -> Result<(), StoreError> {
        if cid.hash().code() == IDENTITY {
            return Ok(());
        }
        let (key, length) = (BlockKey::of(cid), data.len() as u64);
        if !self.reserve(&key, length, min_free)? {
            return Ok(());
        }
        let written = self.write(&key, data);
        self.index().release_reserved(length);
        written
    }

    fn write(&self, key: &BlockKey, data: &[u8]) -> Result<(), StoreError> {
        let too_large = |_| std::io::Error::from(std::io::ErrorKind::FileTooLarge);
        let size = u32::try_from(data.len()).map_err(too_large).context("store a block of this size")?;
        let temporary = self.inner.files.write_temporary(key, data)?;
        let mut index = self.index();
        self.inner.files.publish(key, &temporary)?;
        index.insert(key.clone(), size);
        Ok(())
    }

    /// Creates a guard that protects blocks from garbage collection until it is dropped.
    pub fn protection(&self) -> Protection {
        Protection { store: self.clone(), keys: Mutex::default() }
    }

    /// Returns how full the store is. Files that are served in place do not count.
    pub fn usage(&self) -> Usage {
        let index = self.index();
        Usage { used_bytes: index.bytes(), max_bytes: self.inner.config.max_bytes, blocks: index.blocks() }
    }

    /// Returns a channel that changes whenever a pinned or protected block is lost, or a file that is served in place
    /// seems to have changed. [`Store::check_files`] and [`Store::incomplete_pins`] then find the consequences.
    pub fn losses(&self) -> watch::Receiver<(u64, u64)> {
        self.inner.losses.subscribe()
    }

    /// Returns a channel that changes whenever a root is pinned or unpinned.
    pub fn pin_changes(&self) -> watch::Receiver<u64> {
        self.inner.pin_changes.subscribe()
    }

    /// Returns whether the pin database was created when the store was opened. If so, expected pins that are missing
    /// were lost; otherwise they were removed by an unpin.
    pub fn are_pins_new(&self) -> bool {
        self.inner.are_pins_new
    }

    /// Returns the number of free bytes on the file system.
    ///
    /// # Errors
    /// When the file system does not report its free space.
    pub fn free_bytes(&self) -> Result<u64, StoreError> {
        let status = rustix::fs::statvfs(&self.inner.config.directory).context("ask for free space")?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }

    /// Checks whether blocks of this total size could be stored now, if necessary in place of others that are neither
    /// pinned nor protected. The check is cheap: it asks the file system for its free space and looks at no block.
    ///
    /// # Errors
    /// When there is no room, with the reason ([`StoreError::is_full`]), or when the file system does not report its
    /// free space.
    pub fn has_room(&self, bytes: u64) -> Result<(), StoreError> {
        let StoreConfig { max_bytes, min_free_bytes, .. } = self.inner.config;
        let free = self.free_bytes()?;
        let index = self.index();
        if (index.bytes() - index.unheld_bytes() + index.reserved()).saturating_add(bytes) > max_bytes {
            return Err(StoreError::Full { used: index.bytes(), max: max_bytes });
        }
        let needed = min_free_bytes.saturating_add(index.reserved()).saturating_add(bytes);
        if free.saturating_add(index.unheld_bytes()) < needed {
            return Err(StoreError::DiskFull { free, min_free: min_free_bytes });
        }
        Ok(())
    }

    /// Returns the size of the file system in bytes.
    ///
    /// # Errors
    /// When the file system does not report it.
    pub fn disk_bytes(&self) -> Result<u64, StoreError> {
        let status =
            rustix::fs::statvfs(&self.inner.config.directory).context("ask for the size of the disk")?;
        Ok(status.f_blocks.saturating_mul(status.f_frsize))
    }

    /// Returns the size, in bytes, of the blocks that are neither pinned nor protected.
    pub fn unheld_bytes(&self) -> u64 {
        self.index().unheld_bytes()
    }

    /// Removes blocks that are neither pinned nor protected, the oldest first, until `bytes` are free or none is left.
    /// This call blocks.
    ///
    /// # Errors
    /// When a block cannot be removed.
    pub fn remove_unheld(&self, bytes: u64) -> Result<(), StoreError> {
        self.collect(&mut self.index(), bytes)
    }

    /// Returns the total size, in bytes, of the blocks for which [`Store::has_room`] finds room now.
    ///
    /// # Errors
    /// When the file system does not report its free space.
    pub fn room_bytes(&self) -> Result<u64, StoreError> {
        let StoreConfig { max_bytes, min_free_bytes, .. } = self.inner.config;
        let free = self.free_bytes()?;
        let index = self.index();
        let used = index.bytes() - index.unheld_bytes() + index.reserved();
        let on_disk = free.saturating_add(index.unheld_bytes());
        let spare = on_disk.saturating_sub(min_free_bytes.saturating_add(index.reserved()));
        Ok(max_bytes.saturating_sub(used).min(spare))
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        // Each change of the index is a single call that leaves it consistent, so a poisoned lock is safe to use.
        self.inner.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for a block and reserves its bytes. Returns `false` when the block is already stored.
    fn reserve(&self, key: &BlockKey, length: u64, min_free: u64) -> Result<bool, StoreError> {
        let max = self.inner.config.max_bytes;
        let mut index = self.index();
        if index.is_stored(key) {
            return Ok(false);
        }
        let excess = (index.bytes() + index.reserved() + length).saturating_sub(max);
        self.collect(&mut index, excess)?;
        if index.bytes() + index.reserved() + length > max {
            return Err(StoreError::Full { used: index.bytes(), max });
        }
        let needed = min_free.saturating_add(index.reserved() + length);
        let mut free = self.free_bytes()?;
        if free < needed {
            self.collect(&mut index, needed - free)?;
            free = self.free_bytes()?;
        }
        if free < needed {
            return Err(StoreError::DiskFull { free, min_free });
        }
        index.reserve(length);
        Ok(true)
    }

    /// Removes blocks without a hold, the oldest first, until `bytes` are free. It removes a little more than needed, so
    /// that a full store does not sort its blocks for every new one. It keeps most of the other blocks, because they may
    /// belong to an unfinished fetch. The index stays locked, so that a block under removal can neither be found nor be
    /// stored again meanwhile.
    fn collect(&self, index: &mut Index, bytes: u64) -> Result<(), StoreError> {
        if bytes == 0 || index.unheld_bytes() == 0 && bytes != u64::MAX {
            return Ok(());
        }
        let slack = (self.inner.config.max_bytes / 128).min(index.unheld_bytes() / 16);
        for key in index.oldest(bytes, slack) {
            self.inner.files.remove(&key)?;
            index.remove(&key);
        }
        Ok(())
    }

    fn drop_damaged(&self, key: &BlockKey, reason: &str) -> Result<(), StoreError> {
        self.change(|index| {
            // The block may have been collected or stored again since it was looked up.
            if !index.is_stored(key) {
                return Ok(());
            }
            tracing::warn!(block = %key, reason, "a damaged block was removed");
            self.inner.files.remove(key)?;
            index.remove(key);
            Ok(())
        })
    }
}

/// Creates the folder, if it does not exist, with access for its owner only.
fn make_private(folder: &Path) -> io::Result<()> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(_) if folder.is_dir() => Ok(()),
        made => made,
    }
}

/// Restores the blocks of the files that are served in place. Files that are gone or shorter are left out and counted.
/// Files that seem to have changed are marked. They are not read now, but before they are trusted again.
fn find_files(pins: &PinDatabase, index: &mut Index) -> Result<usize, StoreError> {
    let mut gone = BTreeSet::new();
    for (number, mut file) in pins.files()? {
        let seen = Identity::at(&file.path);
        file.is_suspect = seen.as_ref().is_ok_and(|seen| *seen != file.identity);
        if !seen.is_ok_and(|seen| seen.length >= file.length) {
            tracing::warn!(file = %file.path.display(), "a file that was served in place is gone, or shorter");
            gone.insert(number);
        }
        for (piece, key) in file.keys() {
            let size = u32::try_from(file.extent(piece).1).unwrap_or(u32::MAX);
            index.refer(key, size, Place { file: number, piece });
        }
        index.suspects += u64::from(file.is_suspect);
        index.references.restore(number, file);
    }
    index.drop_files(&gone);
    Ok(gone.len())
}

/// Protects blocks from garbage collection until it is dropped. The blocks may be stored already or later.
#[derive(Debug)]
pub struct Protection {
    store: Store,
    keys: Mutex<BTreeSet<BlockKey>>,
}

impl Protection {
    /// Adds a block to the protected ones.
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

#[cfg(test)]
mod in_place_tests;
#[cfg(test)]
mod power_cut;
#[cfg(test)]
mod tests;
