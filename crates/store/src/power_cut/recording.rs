//! Records every operation of a store on its disk, and the promise of each commit.

use super::state::State;
use crate::{Batch, Faults, Opened, Store};
use database::{Journal, Operation, SimulatedDisk};
use std::path::Path;

/// A promise: the state that must be on the disk after the first `after` operations, because a commit has returned.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    pub(crate) after: usize,
    pub(crate) state: State,
}

/// All operations on one file, from the beginning.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    /// Synced content of the file before the recording; `None` if there was no file.
    pub(crate) before: Option<Vec<u8>>,
    pub(crate) operations: Vec<Operation>,
    /// Promises in order. The first is that of the first opening.
    pub(crate) promises: Vec<Promise>,
}

impl Recording {
    /// Returns the disk after the given number of operations.
    pub(crate) fn disk(&self, operations: usize) -> SimulatedDisk {
        let mut disk = SimulatedDisk::new(self.before.clone());
        self.operations[..operations].iter().for_each(|operation| disk.apply(operation));
        disk
    }

    /// Returns the states that are allowed after a power cut at this point: that of the last promise, and that of a
    /// commit in progress. Returns nothing before the first promise.
    pub(crate) fn allowed(&self, operations: usize) -> &[Promise] {
        let kept = self.promises.partition_point(|promise| promise.after <= operations);
        let Some(last) = kept.checked_sub(1) else {
            return &[];
        };
        let is_idle = self.promises[last].after == operations;
        let end = if is_idle { kept } else { self.promises.len().min(kept + 1) };
        &self.promises[last..end]
    }
}

/// Works with a store, and records its operations and promises.
#[derive(Debug)]
pub(crate) struct Recorder<'a> {
    file: &'a Path,
    before: Option<Vec<u8>>,
    journal: Journal,
    store: Option<Store>,
    state: State,
    promises: Vec<Promise>,
}

impl<'a> Recorder<'a> {
    /// Opens or creates the store in `file`, and records all operations from the opening on. Returns `None` if an
    /// existing file was set aside.
    pub(crate) fn open(file: &'a Path) -> Option<Self> {
        let (before, journal) = (std::fs::read(file).ok(), Journal::recording());
        let (store, opened) = Store::open_with_faults(file, Faults::recorded_in(journal.clone())).unwrap();
        if matches!(opened, Opened::SetAside { .. }) {
            return None;
        }
        let (state, promises) = (State::of(&store).unwrap(), Vec::new());
        let mut recorder = Self { file, before, journal, store: Some(store), state, promises };
        recorder.promise();
        Some(recorder)
    }

    pub(crate) fn write(&mut self, batch: &Batch) {
        self.store.as_ref().unwrap().write(batch).unwrap();
        self.state.write(batch);
        self.promise();
    }

    pub(crate) fn service_write(&mut self, service: &str, changes: &[(&str, Option<&[u8]>)]) {
        self.store.as_ref().unwrap().service_write(service, changes).unwrap();
        self.state.service_write(service, changes);
        self.promise();
    }

    pub(crate) fn close_and_open(&mut self) {
        self.store = None;
        self.promise();
        let (store, opened) =
            Store::open_with_faults(self.file, Faults::recorded_in(self.journal.clone())).unwrap();
        assert_eq!(opened, Opened::Existing { records: self.state.records() });
        self.store = Some(store);
        self.promise();
    }

    pub(crate) fn close(mut self) -> Recording {
        self.store = None;
        self.promise();
        Recording { before: self.before, operations: self.journal.operations(), promises: self.promises }
    }

    fn promise(&mut self) {
        self.promises.push(Promise { after: self.journal.len(), state: self.state.clone() });
    }
}
