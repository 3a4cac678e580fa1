//! The blocks that have files of their own.
use std::fs::{self, DirEntry, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::index::Index;
use super::{BlockKey, Context as _, StoreError};

/// How the names of files that are being written end.
const PARTIAL: &str = ".partial";

/// The folders with one file per block, and those being written.
#[derive(Debug)]
pub(super) struct BlockFiles {
    directory: PathBuf,
    next_temporary: AtomicU64,
}

impl BlockFiles {
    /// Makes the folders.
    pub(super) fn open(directory: &Path) -> Result<Self, StoreError> {
        make_folders(directory)?;
        Ok(Self { directory: directory.to_owned(), next_temporary: AtomicU64::new(0) })
    }

    /// The folders that hold the blocks.
    pub(super) fn folders(&self) -> impl Iterator<Item = PathBuf> {
        let blocks = self.directory.join("blocks");
        (0..=u8::MAX).map(move |byte| blocks.join(format!("{byte:02x}")))
    }

    pub(super) fn path(&self, key: &BlockKey) -> PathBuf {
        self.directory.join("blocks").join(key.relative_path())
    }

    /// The bytes in the block's file, not checked; `None` when there is none.
    pub(super) fn read(&self, key: &BlockKey) -> Result<Option<Vec<u8>>, StoreError> {
        match fs::read(self.path(key)) {
            Ok(data) => Ok(Some(data)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { action: "read a block", source }),
        }
    }

    /// Writes a file that has no name as a block yet, beside its place: in one folder for all, each new file would wait
    /// for the one before. When that fails nothing is left of it.
    pub(super) fn write_temporary(&self, key: &BlockKey, data: &[u8]) -> Result<PathBuf, StoreError> {
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let path = self.path(key).with_extension(format!("{number}{PARTIAL}"));
        let written = File::create(&path).and_then(|mut file| file.write_all(data));
        if written.is_err() {
            let _ = fs::remove_file(&path);
        }
        written.context("write a block").map(|()| path)
    }

    /// Gives a temporary file its name as a block.
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

    /// Counts what is there, and removes what a killed process left; also returns how many files that were. What has
    /// no block's name is left alone, and said.
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

fn make_folders(directory: &Path) -> Result<(), StoreError> {
    (0..=u8::MAX)
        .try_for_each(|byte| fs::create_dir_all(directory.join("blocks").join(format!("{byte:02x}"))))
        .context("make its folders")
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("remove a file"),
        _ => Ok(()),
    }
}

/// Key, size and time of a block's file; nothing when it is none. An empty file is what a power cut leaves of a
/// block that was not synced: it is a block only if that is what its hash says.
fn block_file(entry: &DirEntry) -> Result<Option<(BlockKey, u32, SystemTime)>, StoreError> {
    let Some(key) = entry.file_name().to_str().and_then(BlockKey::from_name) else {
        tracing::warn!(path = %entry.path().display(), "this file in the block store is no block; it is left alone");
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
