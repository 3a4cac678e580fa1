//! For tests: a disk that is full when it is told to be, and that notes what is written to it.
use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

/// What was done with the file.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Write { offset: u64, bytes: Vec<u8> },
    SetLength(u64),
    Sync,
}

/// The switch and the notes; a clone is the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    is_full: Arc<AtomicBool>,
    pub(super) journal: Arc<Mutex<Vec<Operation>>>,
}

impl Faults {
    pub(super) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::SeqCst);
    }

    pub(super) fn over(&self, disk: FileBackend) -> FaultyDisk {
        FaultyDisk { disk, faults: self.clone() }
    }

    fn hit(&self) -> io::Result<()> {
        if self.is_full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn note(&self, operation: Operation) {
        self.journal.lock().unwrap().push(operation);
    }
}

#[derive(Debug)]
pub(super) struct FaultyDisk {
    disk: FileBackend,
    faults: Faults,
}

type Range = Bound<u64>;

impl StorageBackend for FaultyDisk {
    fn len(&self) -> io::Result<u64> {
        self.disk.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.faults.hit()?;
        self.disk.set_len(length)?;
        self.faults.note(Operation::SetLength(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        // The tests model what survives; syncing the real disk would only take time.
        self.faults.note(Operation::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.faults.hit()?;
        self.disk.write(offset, data)?;
        self.faults.note(Operation::Write { offset, bytes: data.to_vec() });
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
