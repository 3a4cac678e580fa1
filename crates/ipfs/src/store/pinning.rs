//! Pins, the files that they need, and garbage collection.
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use cid::Cid;

use super::index::Index;
use super::pins::{Change, PinDatabase};
use super::references::Number;
use super::{BlockKey, Context as _, Freed, Pin, Store, StoreError, file};

/// A complete DAG that is to be pinned.
#[derive(Clone, Debug)]
pub struct Whole {
    /// Root of the DAG.
    pub root: Cid,
    /// Size of all its different blocks in bytes.
    pub bytes: u64,
    /// Keys of all its different blocks.
    pub keys: Vec<BlockKey>,
}

impl Store {
    /// Makes all earlier writes durable.
    ///
    /// # Errors
    /// When the disk reports an error.
    pub fn sync(&self) -> Result<(), StoreError> {
        sync_file_system(&self.inner.config.directory)
    }

    /// Pins these DAGs, after making their blocks durable with one sync for all. The caller has checked that all blocks
    /// are available, and protects them meanwhile.
    ///
    /// # Errors
    /// When the disk or the pin database fails; then nothing is pinned.
    pub fn pin(&self, dags: &[Whole]) -> Result<Vec<Pin>, StoreError> {
        self.record_pins(dags, false)
    }

    /// As [`Store::pin`], and records that a person wants the pin. [`Store::unpin_all`] does not remove it then.
    ///
    /// # Errors
    /// As [`Store::pin`].
    pub fn pin_by_person(&self, dag: Whole) -> Result<Vec<Pin>, StoreError> {
        self.record_pins(&[dag], true)
    }

    fn record_pins(&self, dags: &[Whole], is_by_person: bool) -> Result<Vec<Pin>, StoreError> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut roots = BTreeSet::new();
        let dags: Vec<&Whole> = dags.iter().filter(|dag| roots.insert(dag.root)).collect();
        let private = self.changing_pins();
        self.sync()?;
        self.sync_files(&dags)?;
        let is_open = |root: &Cid| !private.contains(root);
        let mut before = Vec::new();
        for dag in &dags {
            let keys = self.inner.pins.blocks(&dag.root)?.into_iter().flatten();
            before.extend(keys.map(|key| (key, is_open(&dag.root))));
        }
        let pins: Vec<Pin> = dags.iter().map(|dag| Pin { root: dag.root, time, bytes: dag.bytes }).collect();
        let pinned = pins.iter().cloned().zip(dags.iter().map(|dag| dag.keys.as_slice())).collect();
        self.save(Change { pinned, is_by_person, ..Change::default() })?;
        let mut index = self.index();
        for dag in &dags {
            dag.keys.iter().for_each(|key| index.pin(key.clone(), is_open(&dag.root)));
        }
        before.iter().for_each(|(key, was_open)| index.unpin(key, *was_open));
        drop(index);
        self.inner.pin_changes.send_modify(|number| *number += 1);
        Ok(pins)
    }

    /// Unpins a root. Its blocks stay until room is needed. Returns `false` when it was not pinned.
    ///
    /// # Errors
    /// When the pin database fails.
    pub fn unpin(&self, root: &Cid) -> Result<bool, StoreError> {
        let private = self.changing_pins();
        Ok(self.remove_pins(&BTreeSet::from([*root]), &private)? > 0)
    }

    /// Unpins several roots in one commit, except those that a person pinned. Returns the number of roots that were
    /// unpinned.
    ///
    /// # Errors
    /// When the pin database fails; then all are still pinned.
    pub fn unpin_all(&self, roots: &[Cid]) -> Result<usize, StoreError> {
        let private = self.changing_pins();
        let by_persons = self.pins_by_persons()?;
        let roots = roots.iter().filter(|root| !by_persons.contains(*root)).copied().collect();
        self.remove_pins(&roots, &private)
    }

    /// Replaces the set of private roots. Their blocks count as open only if another pin contains them. A root need not be
    /// pinned yet.
    ///
    /// # Errors
    /// When the pin database fails. Then a part of the change is made.
    pub fn set_private_roots(&self, roots: &BTreeSet<Cid>) -> Result<(), StoreError> {
        let mut private = self.changing_pins();
        let changed: Vec<Cid> = private.symmetric_difference(roots).copied().collect();
        for root in changed {
            let keys = self.inner.pins.blocks(&root)?.unwrap_or_default();
            let is_open = !roots.contains(&root);
            let mut index = self.index();
            keys.iter().for_each(|key| index.set_open(key, is_open));
            drop(index);
            if is_open {
                private.remove(&root);
            } else {
                private.insert(root);
            }
        }
        Ok(())
    }

    /// Returns the roots that a person pinned.
    ///
    /// # Errors
    /// When the pin database fails.
    pub fn pins_by_persons(&self) -> Result<BTreeSet<Cid>, StoreError> {
        self.inner.pins.by_persons()
    }

    fn remove_pins(&self, roots: &BTreeSet<Cid>, private: &BTreeSet<Cid>) -> Result<usize, StoreError> {
        let (mut unpinned, mut released) = (Vec::new(), Vec::new());
        for root in roots {
            if let Some(keys) = self.inner.pins.blocks(root)? {
                unpinned.push(*root);
                released.extend(keys.into_iter().map(|key| (key, !private.contains(root))));
            }
        }
        let number = unpinned.len();
        if number > 0 {
            self.save(Change { unpinned, ..Change::default() })?;
        }
        let mut index = self.index();
        released.iter().for_each(|(key, was_open)| index.unpin(key, *was_open));
        drop(index);
        if number > 0 {
            self.inner.pin_changes.send_modify(|number| *number += 1);
        }
        Ok(number)
    }

    /// Returns all pins, in the order of their CIDs.
    ///
    /// # Errors
    /// When the pin database fails.
    pub fn pins(&self) -> Result<Vec<Pin>, StoreError> {
        self.inner.pins.list()
    }

    #[cfg(test)]
    pub(crate) fn is_pinned(&self, root: &Cid) -> Result<bool, StoreError> {
        self.inner.pins.contains(root)
    }

    /// Returns the pinned roots with missing blocks.
    ///
    /// # Errors
    /// When the pin database fails.
    pub fn incomplete_pins(&self) -> Result<Vec<Cid>, StoreError> {
        let mut incomplete = Vec::new();
        self.inner.pins.each(|root, keys| {
            let index = self.index();
            if keys.iter().any(|key| !index.contains(key)) {
                incomplete.push(root);
            }
        })?;
        Ok(incomplete)
    }

    /// Removes all blocks that are neither pinned nor protected, including those of unfinished fetches. Files without a
    /// pinned or protected block are no longer served; the files themselves are not touched.
    ///
    /// # Errors
    /// When a block cannot be removed, or the change cannot be saved.
    pub fn collect_garbage(&self) -> Result<Freed, StoreError> {
        let _one_at_a_time = self.changing_pins();
        let freed = {
            let mut index = self.index();
            let before = (index.blocks(), index.bytes());
            self.collect(&mut index, u64::MAX)?;
            let files = index.unheld_files();
            index.drop_files(&files);
            let (blocks, bytes) = (before.0 - index.blocks(), before.1 - index.bytes());
            Freed { blocks, bytes, files: files.len() }
        };
        self.save(Change::default())?;
        Ok(freed)
    }

    /// Saves changes of the files that are served in place.
    pub(super) fn save_files(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.changing_pins();
        if !self.index().references.has_unsaved() {
            return Ok(());
        }
        self.save(Change::default())
    }

    /// Commits a change together with the unsaved changes of files.
    fn save(&self, mut change: Change<'_>) -> Result<(), StoreError> {
        (change.files, change.removed_files) = self.index().references.take_unsaved();
        let saved = self.inner.pins.commit(&change);
        if saved.is_err() {
            let written = change.files.iter().map(|(number, _)| *number);
            self.index().references.not_saved(written.chain(change.removed_files.iter().copied()));
        }
        saved
    }

    /// Makes the files durable that these DAGs need and that are served in place. Such a file may have been written
    /// just now, and may be on another disk than the store.
    fn sync_files(&self, dags: &[&Whole]) -> Result<(), StoreError> {
        let unsaved: BTreeSet<Number> = self.index().references.unsaved().collect();
        if unsaved.is_empty() {
            return Ok(());
        }
        let paths: Vec<_> = {
            let index = self.index();
            let places = dags.iter().flat_map(|dag| &dag.keys).filter_map(|key| index.place(key));
            let files: BTreeSet<Number> = places.map(|place| place.file).collect();
            let files = files.intersection(&unsaved).filter_map(|number| index.references.get(*number));
            files.map(|file| file.path.clone()).collect()
        };
        let mut synced = BTreeSet::from([device(&File::open(&self.inner.config.directory))]);
        for path in paths {
            // A file that is gone by now is noticed when it is read.
            let opened = file::open(&path);
            if synced.insert(device(&opened))
                && let Ok(file) = opened
            {
                rustix::fs::syncfs(&file).context("sync the file system of a shared file")?;
            }
        }
        Ok(())
    }

    fn changing_pins(&self) -> MutexGuard<'_, BTreeSet<Cid>> {
        self.inner.changing_pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds a hold for each pinned block, and stops serving files that no pin needs. Returns the roots with missing blocks.
pub(super) fn hold_pins(pins: &PinDatabase, index: &mut Index) -> Result<Vec<Cid>, StoreError> {
    let mut incomplete = Vec::new();
    pins.each(|root, keys| {
        if keys.iter().any(|key| !index.contains(key)) {
            tracing::error!(%root, "blocks of this pinned root are missing; it must be fetched again");
            incomplete.push(root);
        }
        // No root is private before [`Store::set_private_roots`].
        keys.into_iter().for_each(|key| index.pin(key, true));
    })?;
    let unheld = index.unheld_files();
    index.drop_files(&unheld);
    Ok(incomplete)
}

/// Lock of all changes of pins, with the private roots. The state of files that is saved with a pin must not be older than
/// the pin.
pub(super) type ChangingPins = Mutex<BTreeSet<Cid>>;

fn device(file: &std::io::Result<File>) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    Some(file.as_ref().ok()?.metadata().ok()?.dev())
}

fn sync_file_system(folder: &Path) -> Result<(), StoreError> {
    let folder = File::open(folder).context("open its folder")?;
    rustix::fs::syncfs(&folder).context("sync its file system")
}
