//! Files that are served in place, without a copy in the store.
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;

use super::file::{self, Identity};
use super::index::Index;
use super::references::{Number, Place, Referenced};
use super::{BlockKey, FileState, ReferencedFile, Store, StoreError};

/// A piece of a file with all data that reading it needs.
struct Piece {
    place: Place,
    path: Arc<Path>,
    known: Identity,
    offset: u64,
    length: usize,
}

/// A file that is being added in place. Its pieces can be read from the store as soon as they are added. If this value
/// is dropped without [`InPlace::finish`], the file is removed from the index.
#[derive(Debug)]
pub(crate) struct InPlace {
    store: Store,
    number: Number,
    /// The open file, positioned at its beginning.
    pub(crate) file: File,
    path: Arc<Path>,
    identity: Identity,
    is_finished: bool,
}

impl Store {
    /// Begins to serve the file at this absolute path, which must not contain symbolic links.
    pub(crate) fn serve_in_place(&self, path: &Path) -> io::Result<InPlace> {
        let file = file::open(path)?;
        let (identity, path): (_, Arc<Path>) = (Identity::of(&file)?, path.into());
        let number = self.index().references.begin(path.clone(), identity);
        Ok(InPlace { store: self.clone(), number, file, path, identity, is_finished: false })
    }

    /// Returns files that are served in place, in the order of their paths. Skips the first `from` files and returns at
    /// most `most` of the rest. The state of each file is looked up, but its content is not read.
    pub fn files(&self, from: usize, most: usize) -> Vec<ReferencedFile> {
        let files: Vec<Referenced> =
            self.index().references.by_path().skip(from).take(most).cloned().collect();
        files.into_iter().map(describe).collect()
    }

    /// Returns the number of files that are served in place.
    pub fn files_number(&self) -> usize {
        self.index().references.by_path().count()
    }

    /// Checks files that are served in place: all of them, or those at and below the given paths. A file is read if its length,
    /// time of change or inode is not the recorded one. Changed pieces are no longer served. Returns the number of blocks
    /// that were dropped.
    ///
    /// # Errors
    /// When the result cannot be saved. The next start then finds the changes again.
    pub fn check_files(&self, only: Option<&BTreeSet<PathBuf>>) -> Result<usize, StoreError> {
        let is_at = |path: &Path, only: &BTreeSet<PathBuf>| path.ancestors().any(|path| only.contains(path));
        let is_meant = |file: &Referenced| only.is_none_or(|only| is_at(&file.path, only));
        let numbers: Vec<Number> = {
            let index = self.index();
            let meant = index.references.iter().filter(|(_, file)| file.is_whole && is_meant(file));
            meant.map(|(number, _)| number).collect()
        };
        let (mut gone, mut dropped) = (BTreeSet::new(), 0);
        for number in numbers {
            match self.check_file(number) {
                Ok(pieces) => dropped += pieces,
                Err(error) if file::is_gone(&error) => drop(gone.insert(number)),
                Err(error) => {
                    tracing::warn!(%error, "a file that is served in place cannot be read now")
                }
            }
        }
        dropped += self.drop_files(&gone, "it is gone");
        self.save_files()?;
        Ok(dropped)
    }

    /// Reads a file if its identity has changed, and drops changed pieces. Returns the number of dropped pieces.
    fn check_file(&self, number: Number) -> io::Result<usize> {
        let Some(known) = self.index().references.get(number).cloned() else {
            return Ok(0);
        };
        let before = Identity::at(&known.path)?;
        if before == known.identity && !known.is_suspect {
            return Ok(0);
        }
        let mut dropped = 0;
        for (piece, key) in known.keys() {
            let (offset, length) = known.extent(piece);
            match file::read(&known.path, offset, length) {
                Ok((data, _)) if key.matches(&data) => continue,
                Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
                _ => {}
            }
            dropped += 1;
            self.change(|index| index.drop_piece(&key, Place { file: number, piece }));
        }
        tracing::warn!(file = %known.path.display(), wrong = dropped, of = known.pieces.len(), "a file that is served in place was changed; its changed blocks are no longer served");
        self.known_anew(number, before);
        Ok(dropped)
    }

    /// Records the new identity of a changed file after its remaining pieces were verified.
    fn known_anew(&self, number: Number, seen: Identity) {
        if let Some(file) = self.index().references.change(number) {
            (file.identity, file.is_suspect) = (seen, false);
        }
    }

    /// Reads a block from the files that contain it and checks it. Tries another file when one fails.
    pub(super) fn read_in_place(&self, key: &BlockKey) -> Result<Option<Bytes>, StoreError> {
        while let Some(piece) = self.piece(key) {
            match file::read(&piece.path, piece.offset, piece.length) {
                Ok((data, seen)) if key.matches(&data) => {
                    self.suspect_if_changed(&piece, seen);
                    return Ok(Some(data.into()));
                }
                Ok((_, seen)) if seen.inode != piece.known.inode => {
                    self.drop_files(&BTreeSet::from([piece.place.file]), "it was replaced by another");
                }
                Ok(_) => self.drop_piece(key, &piece, "its bytes were changed"),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.drop_piece(key, &piece, "it is shorter");
                }
                Err(error) if file::is_gone(&error) => {
                    self.drop_files(&BTreeSet::from([piece.place.file]), &error.to_string());
                }
                Err(source) => return Err(StoreError::Io { action: "read a shared file", source }),
            }
        }
        Ok(None)
    }

    fn piece(&self, key: &BlockKey) -> Option<Piece> {
        let index = self.index();
        let place = index.place(key)?;
        let file = index.references.get(place.file)?;
        let (offset, length) = file.extent(place.piece);
        Some(Piece { place, path: file.path.clone(), known: file.identity, offset, length })
    }

    fn suspect_if_changed(&self, piece: &Piece, seen: Identity) {
        if seen != piece.known {
            self.change(|index| suspect(index, piece));
        }
    }

    /// Drops a changed piece and marks the file as suspect, because other pieces may have changed too.
    fn drop_piece(&self, key: &BlockKey, piece: &Piece, reason: &str) {
        tracing::warn!(file = %piece.path.display(), offset = piece.offset, reason, "a block of a file that is served in place is no longer served");
        self.change(|index| {
            index.drop_piece(key, piece.place);
            suspect(index, piece);
        });
    }

    /// Drops these files. Returns the number of blocks that were served from them.
    fn drop_files(&self, numbers: &BTreeSet<Number>, reason: &str) -> usize {
        self.change(|index| {
            let files = numbers.iter().filter_map(|number| index.references.get(*number));
            let mut pieces = 0;
            for file in files {
                pieces += file.keys().count();
                tracing::warn!(file = %file.path.display(), reason, "a file is no longer served in place");
            }
            index.drop_files(numbers);
            pieces
        })
    }

    /// Changes the index. Notifies listeners if a pinned or protected block was lost or a file became suspect.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Index) -> T) -> T {
        let mut index = self.index();
        let result = change(&mut index);
        let now = (index.lost(), index.suspects);
        self.inner.losses.send_if_modified(|before| std::mem::replace(before, now) != now);
        result
    }
}

/// Marks the file as suspect, so that the next check reads it.
fn suspect(index: &mut Index, piece: &Piece) {
    if let Some(file) = index.references.get_mut(piece.place.file).filter(|file| !file.is_suspect) {
        tracing::warn!(file = %piece.path.display(), "a file that is served in place seems to have changed");
        file.is_suspect = true;
        index.suspects += 1;
    }
}

fn describe(file: Referenced) -> ReferencedFile {
    let state = match Identity::at(&file.path) {
        Ok(seen) if seen == file.identity && !file.is_suspect => FileState::Matches,
        Ok(_) => FileState::Changed,
        Err(_) => FileState::Gone,
    };
    let (blocks, whole) = (file.pieces.len(), file.keys().count());
    ReferencedFile {
        path: file.path.to_path_buf(),
        length: file.length,
        blocks,
        missing_blocks: blocks - whole,
        state,
    }
}

impl InPlace {
    /// Adds the next piece of the file, whose hash the caller has computed.
    pub(crate) fn piece(&mut self, cid: &Cid, length: usize) {
        let key = BlockKey::of(cid);
        let mut index = self.store.index();
        let Some(file) = index.references.get_mut(self.number) else {
            return;
        };
        let (Ok(piece), Some(digest)) = (u32::try_from(file.pieces.len()), key.digest()) else {
            return;
        };
        file.pieces.push(digest);
        let size = u32::try_from(length).unwrap_or(u32::MAX);
        index.refer(key, size, Place { file: self.number, piece });
    }

    /// Completes the file after all pieces were added. Fails when the file was changed meanwhile or is no longer at its
    /// path; then the file is removed from the index. An earlier file at the same path is no longer served, except for
    /// pieces that are in the new file too.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let seen = (Identity::of(&self.file)?, Identity::at(&self.path)?);
        if seen != (self.identity, self.identity) {
            return Err(io::Error::other("it was changed while it was read"));
        }
        self.is_finished = true;
        self.store.change(|index| {
            let before = index.references.finish(self.number);
            index.drop_files(&before.into_iter().collect());
        });
        Ok(())
    }
}

impl Drop for InPlace {
    fn drop(&mut self) {
        if !self.is_finished {
            self.store.change(|index| index.drop_files(&BTreeSet::from([self.number])));
        }
    }
}
