//! What is in the store, in memory: sizes, ages and who holds what.
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cid::{Cid, multihash::Multihash};

use super::{Context, StoreError};

/// What a block is known by: the bytes of its multihash. CIDs of any version and codec for the same bytes share it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockKey(Box<[u8]>);

impl BlockKey {
    /// The key of the block that `cid` names.
    pub fn of(cid: &Cid) -> Self {
        Self(cid.hash().to_bytes().into())
    }

    /// The bytes of the multihash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key that these bytes are, when they are one whole multihash.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Multihash::<64>::from_bytes(bytes).ok()?;
        Some(Self(bytes.into()))
    }

    /// Where the block's file is. The first digits are the same for all blocks, the last ones spread them evenly.
    pub(super) fn relative_path(&self) -> PathBuf {
        let name = self.to_string();
        let folder = name.get(name.len().saturating_sub(2)..).unwrap_or_default().to_owned();
        Path::new(&folder).join(name)
    }

    fn from_name(name: &str) -> Option<Self> {
        let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Vec<u8> = name.as_bytes().chunks(2).map(digits).collect::<Option<_>>()?;
        Self::from_bytes(&bytes).filter(|key| key.to_string() == name)
    }
}

impl fmt::Display for BlockKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for BlockKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// When a block was stored; the second number orders blocks of the same clock reading.
type Age = (SystemTime, u64);

#[derive(Debug, Default)]
struct Slot {
    stored: Option<(u64, Age)>,
    holds: u32,
}

/// What is stored and what is held. A block can be held before it is stored.
#[derive(Debug, Default)]
pub(super) struct Index {
    slots: BTreeMap<BlockKey, Slot>,
    bytes: u64,
    blocks: usize,
    /// Bytes of blocks that are being written.
    reserved: u64,
    stored_count: u64,
}

impl Index {
    /// Counts what is in the folder of the blocks. What has no block's name is left alone, and said.
    pub(super) fn read(folder: &Path) -> Result<Self, StoreError> {
        let mut found = Vec::new();
        for shard in fs::read_dir(folder).context("list its blocks")? {
            for file in fs::read_dir(shard.context("list its blocks")?.path()).context("list its blocks")? {
                found.extend(block_file(&file.context("list its blocks")?)?);
            }
        }
        found.sort_by(|left, right| (left.2, &left.0).cmp(&(right.2, &right.0)));
        let mut index = Self::default();
        for (key, size, time) in found {
            index.insert(key, size, time);
        }
        Ok(index)
    }

    pub(super) fn contains(&self, key: &BlockKey) -> bool {
        self.size_of(key).is_some()
    }

    pub(super) fn size_of(&self, key: &BlockKey) -> Option<usize> {
        let (size, _) = self.slots.get(key)?.stored?;
        usize::try_from(size).ok()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    pub(super) fn reserved(&self) -> u64 {
        self.reserved
    }

    pub(super) fn reserve(&mut self, bytes: u64) {
        self.reserved += bytes;
    }

    pub(super) fn release_reserved(&mut self, bytes: u64) {
        self.reserved = self.reserved.saturating_sub(bytes);
    }

    pub(super) fn insert(&mut self, key: BlockKey, size: u64, time: SystemTime) {
        self.remove(&key);
        self.stored_count += 1;
        self.slots.entry(key).or_default().stored = Some((size, (time, self.stored_count)));
        self.bytes += size;
        self.blocks += 1;
    }

    pub(super) fn remove(&mut self, key: &BlockKey) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if let Some((size, _)) = slot.stored.take() {
            self.bytes -= size;
            self.blocks -= 1;
        }
        self.tidy(key);
    }

    pub(super) fn hold(&mut self, key: BlockKey) {
        self.slots.entry(key).or_default().holds += 1;
    }

    pub(super) fn release(&mut self, key: &BlockKey) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.holds = slot.holds.saturating_sub(1);
        }
        self.tidy(key);
    }

    /// The oldest blocks that nobody holds: as many as have `bytes` together (all, when they have less), and the next
    /// ones as long as they fit into `slack` more.
    pub(super) fn oldest(&self, bytes: u64, slack: u64) -> Vec<BlockKey> {
        let free = self.slots.iter().filter(|(_, slot)| slot.holds == 0);
        let mut free: Vec<_> =
            free.filter_map(|(key, slot)| slot.stored.map(|(size, age)| (age, size, key))).collect();
        free.sort_unstable();
        let mut sum = 0u64;
        let enough = free.iter().take_while(|(_, size, _)| {
            let wanted = sum < bytes || sum + size <= bytes + slack;
            sum += size;
            wanted
        });
        enough.map(|(_, _, key)| (*key).clone()).collect()
    }

    fn tidy(&mut self, key: &BlockKey) {
        if self.slots.get(key).is_some_and(|slot| slot.stored.is_none() && slot.holds == 0) {
            self.slots.remove(key);
        }
    }
}

/// Key, size and time of a block's file; nothing when it is none. An empty file is what a power cut leaves of a
/// block that was not synced: it is a block only if that is what its hash says.
fn block_file(entry: &fs::DirEntry) -> Result<Option<(BlockKey, u64, SystemTime)>, StoreError> {
    let Some(key) = entry.file_name().to_str().and_then(BlockKey::from_name) else {
        tracing::warn!(path = %entry.path().display(), "this file in the block store is no block; it is left alone");
        return Ok(None);
    };
    let metadata = entry.metadata().context("look at a block")?;
    let empty_on_purpose =
        || Multihash::try_from(&key).is_ok_and(|hash| bitswap::message::verify(&hash, &[]));
    if metadata.len() == 0 && !empty_on_purpose() {
        tracing::warn!(block = %key, "an empty block was removed");
        super::remove_if_there(&entry.path())?;
        return Ok(None);
    }
    Ok(Some((key, metadata.len(), metadata.modified().context("look at a block")?)))
}
