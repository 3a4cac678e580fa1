//! The files that are served in place, in memory: which block is where in which file.
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use super::BlockKey;
use super::file::Identity;

/// Bytes of each piece of a file but the last.
pub(super) const PIECE_BYTES: u64 = 256 * 1024;
/// In the list of a file's pieces stands for one that is not there any more. No data is known with this SHA-256.
pub(super) const DROPPED: Digest = [0; 32];

/// The number of a file; never used again in one store's life.
pub(super) type Number = NonZeroU32;
pub(super) type Digest = [u8; 32];

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) file: Number,
    /// Which piece of the file.
    pub(super) piece: u32,
}

/// A file that is served in place.
#[derive(Clone, Debug)]
pub(super) struct Referenced {
    pub(super) path: Arc<Path>,
    /// Its length when it was added; the pieces follow from it.
    pub(super) length: u64,
    /// How it looked when all pieces were last known to be what they are.
    pub(super) identity: Identity,
    /// The SHA-256 of each piece.
    pub(super) pieces: Vec<Digest>,
    /// Whether it was read to its end. Until then it is not saved.
    pub(super) is_whole: bool,
    /// Whether it was seen to look otherwise than it did.
    pub(super) is_suspect: bool,
}

impl Referenced {
    /// Where a piece begins, and how long it is.
    pub(super) fn extent(&self, piece: u32) -> (u64, usize) {
        let offset = u64::from(piece) * PIECE_BYTES;
        let length = self.length.saturating_sub(offset).min(PIECE_BYTES);
        (offset, usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// The pieces that are still there.
    pub(super) fn keys(&self) -> impl Iterator<Item = (u32, BlockKey)> {
        let numbered = (0u32..).zip(&self.pieces).filter(|(_, digest)| **digest != DROPPED);
        numbered.map(|(number, digest)| (number, BlockKey::of_digest(digest)))
    }
}

/// All files that are served in place.
#[derive(Debug, Default)]
pub(super) struct References {
    files: BTreeMap<Number, Referenced>,
    /// The whole ones: one for each path.
    by_path: BTreeMap<Arc<Path>, Number>,
    last: u32,
    /// Those that stand otherwise in the database, or not at all.
    unsaved: BTreeSet<Number>,
}

impl References {
    pub(super) fn get(&self, number: Number) -> Option<&Referenced> {
        self.files.get(&number)
    }

    /// For changes; what is changed has to be saved.
    pub(super) fn change(&mut self, number: Number) -> Option<&mut Referenced> {
        let file = self.files.get_mut(&number)?;
        self.unsaved.insert(number);
        Some(file)
    }

    /// For what is not saved.
    pub(super) fn get_mut(&mut self, number: Number) -> Option<&mut Referenced> {
        self.files.get_mut(&number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Number, &Referenced)> {
        self.files.iter().map(|(number, file)| (*number, file))
    }

    /// The whole ones, in the order of their paths.
    pub(super) fn by_path(&self) -> impl Iterator<Item = &Referenced> {
        self.by_path.values().filter_map(|number| self.files.get(number))
    }

    /// A file that is new here, under the next number.
    pub(super) fn begin(&mut self, path: Arc<Path>, identity: Identity) -> Number {
        self.last = self.last.saturating_add(1);
        let number = Number::new(self.last).unwrap_or(Number::MIN);
        let (length, pieces) = (identity.length, Vec::new());
        let file = Referenced { path, length, identity, pieces, is_whole: false, is_suspect: false };
        self.files.insert(number, file);
        number
    }

    /// A file that was saved.
    pub(super) fn restore(&mut self, number: Number, file: Referenced) {
        self.last = self.last.max(number.get());
        self.by_path.insert(file.path.clone(), number);
        self.files.insert(number, file);
    }

    /// All pieces of a file are named. Returns which file was at its path before.
    pub(super) fn finish(&mut self, number: Number) -> Option<Number> {
        let file = self.change(number)?;
        file.is_whole = true;
        let path = file.path.clone();
        self.by_path.insert(path, number)
    }

    pub(super) fn remove(&mut self, number: Number) -> Option<Referenced> {
        let removed = self.files.remove(&number)?;
        if self.by_path.get(&removed.path) == Some(&number) {
            self.by_path.remove(&removed.path);
        }
        self.unsaved.insert(number);
        Some(removed)
    }

    /// What has to be saved, and is not counted as such any more: rows to write, and numbers whose rows go.
    pub(super) fn take_unsaved(&mut self) -> (Vec<(Number, Referenced)>, Vec<Number>) {
        let (mut written, mut removed) = (Vec::new(), Vec::new());
        let files = &self.files;
        self.unsaved.retain(|number| match files.get(number) {
            Some(file) if file.is_whole => {
                written.push((*number, file.clone()));
                false
            }
            // It is still being added.
            Some(_) => true,
            None => {
                removed.push(*number);
                false
            }
        });
        (written, removed)
    }

    /// It could not be saved after all.
    pub(super) fn not_saved(&mut self, numbers: impl Iterator<Item = Number>) {
        self.unsaved.extend(numbers);
    }

    /// The files that stand otherwise in the database, or not at all.
    pub(super) fn unsaved(&self) -> impl Iterator<Item = Number> {
        self.unsaved.iter().copied()
    }

    pub(super) fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }
}
