//! The index of the store, in memory: sizes, ages, places and holds of blocks. A *hold* is a pin or a protection, which
//! keeps a block from being removed.
use std::collections::{BTreeMap, BTreeSet};

use super::BlockKey;
use super::references::{DROPPED, Number, Place, References};

/// The entry of one block. A robot may have a hundred thousand of them.
#[derive(Debug, Default)]
struct Slot {
    size: u32,
    holds: u32,
    /// Number of its pins whose root is not private.
    open_pins: u32,
    /// Number of the block in the order of storing; 0 for a block that is not stored.
    age: u64,
    /// Place in a file that is served in place.
    place: Option<Place>,
}

impl Slot {
    fn is_here(&self) -> bool {
        self.age != 0 || self.place.is_some()
    }
}

/// Blocks that are stored, in files that are served in place, or held. A block can be held before it is available.
#[derive(Debug, Default)]
pub(super) struct Index {
    slots: BTreeMap<BlockKey, Slot>,
    pub(super) references: References,
    bytes: u64,
    blocks: usize,
    /// Bytes of stored blocks without a hold.
    unheld_bytes: u64,
    /// Bytes of blocks that are being written.
    reserved: u64,
    stored_count: u64,
    /// Number of held blocks that were lost.
    lost: u64,
    /// Number of times that a file served in place was found to have another identity.
    pub(super) suspects: u64,
}

impl Index {
    /// Returns whether the block is available, stored or in a file.
    pub(super) fn contains(&self, key: &BlockKey) -> bool {
        self.slots.get(key).is_some_and(Slot::is_here)
    }

    /// Returns whether the block has a block file.
    pub(super) fn is_stored(&self, key: &BlockKey) -> bool {
        self.slots.get(key).is_some_and(|slot| slot.age != 0)
    }

    /// Returns the blocks that have block files.
    pub(super) fn stored(&self) -> impl Iterator<Item = &BlockKey> {
        self.slots.iter().filter(|(_, slot)| slot.age != 0).map(|(key, _)| key)
    }

    pub(super) fn size_of(&self, key: &BlockKey) -> Option<usize> {
        let slot = self.slots.get(key).filter(|slot| slot.is_here())?;
        usize::try_from(slot.size).ok()
    }

    pub(super) fn place(&self, key: &BlockKey) -> Option<Place> {
        self.slots.get(key)?.place
    }

    pub(super) fn is_held(&self, key: &BlockKey) -> bool {
        self.slots.get(key).is_some_and(|slot| slot.holds > 0)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    pub(super) fn unheld_bytes(&self) -> u64 {
        self.unheld_bytes
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost
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

    /// Records a stored block. It counts as younger than all blocks that were recorded before.
    pub(super) fn insert(&mut self, key: BlockKey, size: u32) {
        self.take_out(&key);
        self.stored_count += 1;
        let slot = self.slots.entry(key).or_default();
        (slot.size, slot.age) = (size, self.stored_count);
        self.bytes += u64::from(size);
        self.blocks += 1;
        if slot.holds == 0 {
            self.unheld_bytes += u64::from(size);
        }
    }

    /// Removes a stored block.
    pub(super) fn remove(&mut self, key: &BlockKey) {
        self.take_out(key);
        self.left(key);
    }

    fn take_out(&mut self, key: &BlockKey) {
        let Some(slot) = self.slots.get_mut(key).filter(|slot| slot.age != 0) else {
            return;
        };
        slot.age = 0;
        self.bytes -= u64::from(slot.size);
        self.blocks -= 1;
        if slot.holds == 0 {
            self.unheld_bytes -= u64::from(slot.size);
        }
    }

    /// Records that a block is a piece of a file. Of several places in one file the first is kept.
    pub(super) fn refer(&mut self, key: BlockKey, size: u32, place: Place) {
        let slot = self.slots.entry(key).or_default();
        if slot.place.is_none_or(|before| before.file != place.file) {
            (slot.size, slot.place) = (size, Some(place));
        }
    }

    /// Drops a piece of a file that has changed.
    pub(super) fn drop_piece(&mut self, key: &BlockKey, place: Place) {
        let piece = usize::try_from(place.piece).unwrap_or(usize::MAX);
        if let Some(file) = self.references.change(place.file) {
            file.pieces.get_mut(piece).into_iter().for_each(|digest| *digest = DROPPED);
            if file.keys().next().is_none() {
                self.references.remove(place.file);
            }
        }
        if let Some(slot) = self.slots.get_mut(key).filter(|slot| slot.place == Some(place)) {
            slot.place = None;
            self.place_anew(BTreeSet::from([key.clone()]));
        }
    }

    /// Drops files that are gone or replaced.
    pub(super) fn drop_files(&mut self, numbers: &BTreeSet<Number>) {
        let mut displaced = BTreeSet::new();
        for file in numbers.iter().filter_map(|number| self.references.remove(*number)) {
            for (_, key) in file.keys() {
                let slot = self.slots.get_mut(&key);
                let was_there = |slot: &&mut Slot| slot.place.is_some_and(|at| numbers.contains(&at.file));
                if let Some(slot) = slot.filter(was_there) {
                    slot.place = None;
                    displaced.insert(key);
                }
            }
        }
        self.place_anew(displaced);
    }

    /// Looks for these blocks in other places: two files may share a piece, and one file may contain the same piece
    /// twice.
    fn place_anew(&mut self, mut displaced: BTreeSet<BlockKey>) {
        if displaced.is_empty() {
            return;
        }
        for (number, file) in self.references.iter() {
            for (piece, key) in file.keys() {
                if displaced.remove(&key)
                    && let Some(slot) = self.slots.get_mut(&key)
                {
                    slot.place = Some(Place { file: number, piece });
                }
            }
        }
        displaced.iter().for_each(|key| self.left(key));
    }

    pub(super) fn hold(&mut self, key: BlockKey) {
        let slot = self.slots.entry(key).or_default();
        if slot.holds == 0 && slot.age != 0 {
            self.unheld_bytes -= u64::from(slot.size);
        }
        slot.holds += 1;
    }

    pub(super) fn release(&mut self, key: &BlockKey) {
        if let Some(slot) = self.slots.get_mut(key).filter(|slot| slot.holds > 0) {
            slot.holds -= 1;
            if slot.holds == 0 && slot.age != 0 {
                self.unheld_bytes += u64::from(slot.size);
            }
        }
        self.tidy(key);
    }

    /// Adds the hold of a pin. `is_open` tells whether its root is not private.
    pub(super) fn pin(&mut self, key: BlockKey, is_open: bool) {
        self.hold(key.clone());
        if is_open {
            self.set_open(&key, true);
        }
    }

    /// Removes the hold of a pin. `was_open` tells whether its root was not private.
    pub(super) fn unpin(&mut self, key: &BlockKey, was_open: bool) {
        if was_open {
            self.set_open(key, false);
        }
        self.release(key);
    }

    /// Counts one more, or one less, pin of the block whose root is not private.
    pub(super) fn set_open(&mut self, key: &BlockKey, is_open: bool) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.open_pins = if is_open { slot.open_pins + 1 } else { slot.open_pins.saturating_sub(1) };
        }
    }

    /// Returns whether a pin whose root is not private contains the block.
    pub(super) fn is_open(&self, key: &BlockKey) -> bool {
        self.slots.get(key).is_some_and(|slot| slot.open_pins > 0)
    }

    /// Returns the oldest blocks without a hold. Together they have at least `bytes` bytes, unless all blocks without a
    /// hold have less. Further blocks are added while they fit into `slack` more bytes.
    pub(super) fn oldest(&self, bytes: u64, slack: u64) -> Vec<BlockKey> {
        let free = self.slots.iter().filter(|(_, slot)| slot.holds == 0 && slot.age != 0);
        let mut free: Vec<_> = free.map(|(key, slot)| (slot.age, u64::from(slot.size), key)).collect();
        free.sort_unstable();
        let (mut sum, most) = (0u64, bytes.saturating_add(slack));
        let enough = free.iter().take_while(|(_, size, _)| {
            let wanted = sum < bytes || sum + size <= most;
            sum += size;
            wanted
        });
        enough.map(|(_, _, key)| (*key).clone()).collect()
    }

    /// Returns the complete files of which no piece has a hold.
    pub(super) fn unheld_files(&self) -> BTreeSet<Number> {
        let is_held = |key: &BlockKey| self.is_held(key);
        let whole = self.references.iter().filter(|(_, file)| file.is_whole);
        whole
            .filter(|(_, file)| !file.keys().any(|(_, key)| is_held(&key)))
            .map(|(number, _)| number)
            .collect()
    }

    /// Handles a block whose file or place was removed. If the block is no longer available, counts it as lost if it has
    /// a hold, and removes its entry otherwise.
    fn left(&mut self, key: &BlockKey) {
        if self.slots.get(key).is_some_and(|slot| !slot.is_here() && slot.holds > 0) {
            self.lost += 1;
        }
        self.tidy(key);
    }

    fn tidy(&mut self, key: &BlockKey) {
        if self.slots.get(key).is_some_and(|slot| !slot.is_here() && slot.holds == 0) {
            self.slots.remove(key);
        }
    }
}
