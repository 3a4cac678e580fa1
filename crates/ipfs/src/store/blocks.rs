//! The block files: one file for each stored block.
use std::fs::{self, DirEntry, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::index::Index;
use super::{BlockKey, Context as _, StoreError};

/// Suffix of the names of files that are being written.
const PARTIAL: &str = ".partial";

/// The folders of the block files, and of those that are being written. Each is made for its first block: 256 folders would
/// cost a new robot more processor time than the rest of its start.
#[derive(Debug)]
pub(super) struct BlockFiles {
    directory: PathBuf,
    next_temporary: AtomicU64,
}

impl BlockFiles {
    /// Creates the folder of the folders.
    pub(super) fn open(directory: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(directory.join("blocks")).context("make its folders")?;
        Ok(Self { directory: directory.to_owned(), next_temporary: AtomicU64::new(0) })
    }

    /// Returns the folders that can contain blocks, each with the last byte of their keys.
    pub(super) fn folders(&self) -> impl Iterator<Item = (u8, PathBuf)> {
        let blocks = self.directory.join("blocks");
        (0..=u8::MAX).map(move |byte| (byte, blocks.join(format!("{byte:02x}"))))
    }

    pub(super) fn path(&self, key: &BlockKey) -> PathBuf {
        self.directory.join("blocks").join(key.relative_path())
    }

    /// Returns the unchecked bytes of the block's file, or `None` when there is none.
    pub(super) fn read(&self, key: &BlockKey) -> Result<Option<Vec<u8>>, StoreError> {
        match fs::read(self.path(key)) {
            Ok(data) => Ok(Some(data)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { action: "read a block", source }),
        }
    }

    /// Writes a temporary file in the folder of the block. In one common folder, the file system would create the files
    /// one after the other. If writing fails, the file is removed.
    pub(super) fn write_temporary(&self, key: &BlockKey, data: &[u8]) -> Result<PathBuf, StoreError> {
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let path = self.path(key).with_extension(format!("{number}{PARTIAL}"));
        let created = match File::create(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| File::create(&path))
            }
            created => created,
        };
        let written = created.and_then(|mut file| file.write_all(data));
        if written.is_err() {
            let _ = fs::remove_file(&path);
        }
        written.context("write a block").map(|()| path)
    }

    /// Renames a temporary file to its name as a block.
    pub(super) fn publish(&self, key: &BlockKey, temporary: &Path) -> Result<(), StoreError> {
        let renamed = fs::rename(temporary, self.path(key));
        if renamed.is_err() {
            let _ = fs::remove_file(temporary);
        }
        renamed.context("rename a block")
    }

    pub(super) fn remove(&self, key: &BlockKey) -> Result<(), StoreError> {
        remove_if_there(&self.path(key))
    }

    /// Indexes the blocks and removes the temporary files of a killed process. Returns the index and the number of
    /// removed files. Files without the name of a block are left unchanged, with a warning.
    pub(super) fn index(&self) -> Result<(Index, usize), StoreError> {
        let (mut found, mut removed) = (Vec::new(), 0);
        for shard in fs::read_dir(self.directory.join("blocks")).context("list its blocks")? {
            for file in fs::read_dir(shard.context("list its blocks")?.path()).context("list its blocks")? {
                let file = file.context("list its blocks")?;
                if file.file_name().to_string_lossy().ends_with(PARTIAL) {
                    remove_if_there(&file.path())?;
                    removed += 1;
                    continue;
                }
                found.extend(block_file(&file)?);
            }
        }
        found.sort_unstable_by(|left, right| (left.2, &left.0).cmp(&(right.2, &right.0)));
        let mut index = Index::default();
        for (key, size, _) in found {
            index.insert(key, size);
        }
        Ok((index, removed))
    }
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("remove a file"),
        _ => Ok(()),
    }
}

/// Returns key, size and time of a block file, or `None` for any other file. A power cut can leave an empty file for a
/// block that was not synced. An empty file is a block only if its name is the hash of the empty block.
fn block_file(entry: &DirEntry) -> Result<Option<(BlockKey, u32, SystemTime)>, StoreError> {
    let Some(key) = entry.file_name().to_str().and_then(BlockKey::from_name) else {
        tracing::warn!(path = %entry.path().display(), "this file in the block store is not a block; it is left unchanged");
        return Ok(None);
    };
    let metadata = entry.metadata().context("look at a block")?;
    if metadata.len() == 0 && !key.matches(&[]) {
        tracing::warn!(block = %key, "an empty block was removed");
        remove_if_there(&entry.path())?;
        return Ok(None);
    }
    let Ok(size) = u32::try_from(metadata.len()) else {
        tracing::warn!(block = %key, "a file that is too large for a block was removed");
        remove_if_there(&entry.path())?;
        return Ok(None);
    };
    Ok(Some((key, size, metadata.modified().context("look at a block")?)))
}
