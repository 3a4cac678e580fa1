//! Finds blocks whose files vanish while the store is open, because a user deletes them or the disk loses a folder.
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::{BlockKey, Context as _, Store, StoreError};

/// Age below which a change of a folder is listed again by the next check, because another change could leave the same
/// time. File systems keep times with a resolution of a few milliseconds, some of two seconds.
const RECENT: Duration = Duration::from_secs(3);

/// The time of the last change of each folder of blocks, as seen by the last check.
pub(super) type SeenFolders = Mutex<BTreeMap<PathBuf, SystemTime>>;

impl Store {
    /// Looks for blocks whose files are gone and drops them from the index, so that [`Store::losses`] and
    /// [`Store::incomplete_pins`] report them. Returns the number of lost blocks. The check is cheap while nothing
    /// changes: it lists only folders that changed since the last check, and reads no block.
    ///
    /// # Errors
    /// When a folder cannot be listed. A folder that is gone has no blocks.
    pub fn check_blocks(&self) -> Result<usize, StoreError> {
        let mut seen = self.inner.seen_folders.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = BTreeSet::new();
        let mut changed = BTreeSet::new();
        for (byte, folder) in self.inner.files.folders() {
            // The time is read first, so that the next check sees changes during the listing.
            let now = modified(&folder).context("look at a folder of blocks")?;
            if now.is_some() && seen.get(&folder).copied() == now {
                continue;
            }
            match now {
                Some(now) if now.elapsed().is_ok_and(|age| age > RECENT) => {
                    seen.insert(folder.clone(), now);
                }
                Some(_) => {
                    seen.remove(&folder);
                }
                None => {
                    seen.remove(&folder);
                }
            }
            list(&folder, &mut names).context("list its blocks")?;
            changed.insert(byte);
        }
        if changed.is_empty() {
            return Ok(0);
        }
        self.drop_vanished(&changed, &names)
    }

    fn drop_vanished(&self, changed: &BTreeSet<u8>, names: &BTreeSet<OsString>) -> Result<usize, StoreError> {
        let is_gone =
            |key: &BlockKey| changed.contains(&key.folder()) && !names.contains(OsStr::new(&key.to_string()));
        let gone: Vec<BlockKey> = self.index().stored().filter(|key| is_gone(key)).cloned().collect();
        let mut dropped = 0;
        for key in gone {
            // The block may have been stored since the folder was listed.
            if !self.inner.files.path(&key).try_exists().unwrap_or(true) {
                self.drop_damaged(&key, "its file is gone")?;
                dropped += 1;
            }
        }
        Ok(dropped)
    }
}

/// Returns the time of the last change of a folder, or `None` when the folder does not exist.
fn modified(folder: &Path) -> io::Result<Option<SystemTime>> {
    match fs::metadata(folder) {
        Ok(metadata) => metadata.modified().map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Adds the names of the files in a folder. A folder that does not exist has none.
fn list(folder: &Path, names: &mut BTreeSet<OsString>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        names.insert(entry?.file_name());
    }
    Ok(())
}
