//! Fault injection: a disk on which tests make operations fail.

use crate::{Journal, Operation};
use redb::{BackendError, StorageBackend, backends::FileBackend};
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

/// The way in which a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The disk is full: every write fails.
    Full,
    /// Only syncing fails.
    Unsynced,
    /// Every operation fails.
    Dead,
}

/// Injects faults into the operations of a disk. A clone controls the same disk.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    switch: Arc<Mutex<Switch>>,
    /// Records the operations that succeed.
    journal: Journal,
}

#[derive(Debug, Default)]
struct Switch {
    fault: Option<Fault>,
    /// Number of operations of the affected kinds that still succeed.
    spared: usize,
}

impl Faults {
    /// Makes the disk fail. The next `spared` operations of the kinds that `fault` affects still succeed.
    pub fn begin(&self, fault: Fault, spared: usize) {
        *self.switch() = Switch { fault: Some(fault), spared };
    }

    /// Makes the disk work again.
    pub fn end(&self) {
        *self.switch() = Switch::default();
    }

    /// Creates an injector without a fault, which records the operations of its disk in `journal`.
    pub fn recorded_in(journal: Journal) -> Self {
        Self { journal, ..Self::default() }
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(crate) fn over(&self, disk: FileBackend) -> FaultyDisk {
        FaultyDisk { disk, faults: self.clone() }
    }

    fn switch(&self) -> std::sync::MutexGuard<'_, Switch> {
        self.switch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hit(&self, by: &[Fault]) -> io::Result<()> {
        let mut switch = self.switch();
        if !switch.fault.is_some_and(|fault| by.contains(&fault)) {
            return Ok(());
        }
        if switch.spared > 0 {
            switch.spared -= 1;
            return Ok(());
        }
        let is_full = switch.fault == Some(Fault::Full);
        Err(io::Error::new(if is_full { ErrorKind::StorageFull } else { ErrorKind::Other }, "injected"))
    }
}

/// A file on a disk with fault injection.
#[derive(Debug)]
pub(crate) struct FaultyDisk {
    disk: FileBackend,
    faults: Faults,
}

type Range = Bound<u64>;

impl StorageBackend for FaultyDisk {
    fn len(&self) -> io::Result<u64> {
        self.faults.hit(&[Fault::Dead])?;
        self.disk.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.faults.hit(&[Fault::Dead])?;
        self.disk.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.faults.hit(&[Fault::Dead, Fault::Full])?;
        self.disk.set_len(length)?;
        self.faults.journal.note(|| Operation::SetLength(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.hit(&[Fault::Dead, Fault::Unsynced])?;
        self.disk.sync_data()?;
        self.faults.journal.note(|| Operation::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.faults.hit(&[Fault::Dead, Fault::Full])?;
        self.disk.write(offset, data)?;
        self.faults.journal.note(|| Operation::Write { offset, bytes: data.to_vec() });
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.disk.close()
    }

    fn try_lock_range(&self, start: Range, end: Range) -> Result<bool, BackendError> {
        self.disk.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Range, end: Range) -> Result<bool, BackendError> {
        self.disk.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Range, end: Range) -> Result<(), BackendError> {
        self.disk.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Range, end: Range) -> Result<(), BackendError> {
        self.disk.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Range, end: Range) -> Result<(), BackendError> {
        self.disk.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Range, end: Range) -> Result<bool, BackendError> {
        self.disk.query_lock_range(start, end)
    }
}
