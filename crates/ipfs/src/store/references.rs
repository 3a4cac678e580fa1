//! The files that are served in place, in memory: the blocks in each file and their positions.
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use super::BlockKey;
use super::file::Identity;

/// Length of each piece of a file in bytes, except the last.
pub(super) const PIECE_BYTES: u64 = 256 * 1024;
/// Digest that marks a dropped piece in the list. No data with this SHA-256 is known.
pub(super) const DROPPED: Digest = [0; 32];

/// Number of a file; never reused in the life of a store.
pub(super) type Number = NonZeroU32;
pub(super) type Digest = [u8; 32];

/// The place of a block in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) file: Number,
    /// Index of the piece in the file.
    pub(super) piece: u32,
}

/// A file that is served in place.
#[derive(Clone, Debug)]
pub(super) struct Referenced {
    pub(super) path: Arc<Path>,
    /// Length in bytes when the file was added; the pieces follow from it.
    pub(super) length: u64,
    /// Identity of the file when all pieces were last verified.
    pub(super) identity: Identity,
    /// SHA-256 digest of each piece.
    pub(super) pieces: Vec<Digest>,
    /// Whether the file was read to its end. Until then it is not saved.
    pub(super) is_whole: bool,
    /// Whether the file was found to have another identity. The next check then reads it.
    pub(super) is_suspect: bool,
}

impl Referenced {
    /// Returns the offset and the length of a piece.
    pub(super) fn extent(&self, piece: u32) -> (u64, usize) {
        let offset = u64::from(piece) * PIECE_BYTES;
        let length = self.length.saturating_sub(offset).min(PIECE_BYTES);
        (offset, usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// Returns the pieces that were not dropped.
    pub(super) fn keys(&self) -> impl Iterator<Item = (u32, BlockKey)> {
        let numbered = (0u32..).zip(&self.pieces).filter(|(_, digest)| **digest != DROPPED);
        numbered.map(|(number, digest)| (number, BlockKey::of_digest(digest)))
    }
}

/// All files that are served in place.
#[derive(Debug, Default)]
pub(super) struct References {
    files: BTreeMap<Number, Referenced>,
    /// The complete files: one for each path.
    by_path: BTreeMap<Arc<Path>, Number>,
    last: u32,
    /// The files whose rows in the database are missing or out of date.
    unsaved: BTreeSet<Number>,
}

impl References {
    pub(super) fn get(&self, number: Number) -> Option<&Referenced> {
        self.files.get(&number)
    }

    /// Returns a file for a change that must be saved.
    pub(super) fn change(&mut self, number: Number) -> Option<&mut Referenced> {
        let file = self.files.get_mut(&number)?;
        self.unsaved.insert(number);
        Some(file)
    }

    /// Returns a file for a change that is not saved.
    pub(super) fn get_mut(&mut self, number: Number) -> Option<&mut Referenced> {
        self.files.get_mut(&number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Number, &Referenced)> {
        self.files.iter().map(|(number, file)| (*number, file))
    }

    /// Returns the complete files, in the order of their paths.
    pub(super) fn by_path(&self) -> impl Iterator<Item = &Referenced> {
        self.by_path.values().filter_map(|number| self.files.get(number))
    }

    /// Adds a new file under the next number.
    pub(super) fn begin(&mut self, path: Arc<Path>, identity: Identity) -> Number {
        self.last = self.last.saturating_add(1);
        let number = Number::new(self.last).unwrap_or(Number::MIN);
        let (length, pieces) = (identity.length, Vec::new());
        let file = Referenced { path, length, identity, pieces, is_whole: false, is_suspect: false };
        self.files.insert(number, file);
        number
    }

    /// Adds a file that was read from the database.
    pub(super) fn restore(&mut self, number: Number, file: Referenced) {
        self.last = self.last.max(number.get());
        self.by_path.insert(file.path.clone(), number);
        self.files.insert(number, file);
    }

    /// Completes a file. Returns the file that was at its path before.
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

    /// Takes the unsaved changes: rows to write, and numbers whose rows are to be removed.
    pub(super) fn take_unsaved(&mut self) -> (Vec<(Number, Referenced)>, Vec<Number>) {
        let (mut written, mut removed) = (Vec::new(), Vec::new());
        let files = &self.files;
        self.unsaved.retain(|number| match files.get(number) {
            Some(file) if file.is_whole => {
                written.push((*number, file.clone()));
                false
            }
            // The file is still being added.
            Some(_) => true,
            None => {
                removed.push(*number);
                false
            }
        });
        (written, removed)
    }

    /// Marks files as unsaved again after a failed commit.
    pub(super) fn not_saved(&mut self, numbers: impl Iterator<Item = Number>) {
        self.unsaved.extend(numbers);
    }

    /// Returns the files whose rows in the database are missing or out of date.
    pub(super) fn unsaved(&self) -> impl Iterator<Item = Number> {
        self.unsaved.iter().copied()
    }

    pub(super) fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }
}
