//! Writes the log of uses to the disk.

use crate::log::{RefusedUse, Use, UseLog};
use dcache::{PeerId, Time};
use service::Context;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{Table, TableError};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::judge::Refusal;
use crate::log::UseEnd;

/// Minimum time between two writes of uses, so that a peer that opens many streams does not wear the disk.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// Maximum time until a refusal is written. Strangers can cause refusals at any rate.
const REFUSALS_EVERY: Duration = Duration::from_secs(60);

/// The log, and its tables on the disk.
pub(crate) struct LogTable {
    log: Mutex<UseLog>,
    uses: Table<u64, Use>,
    refusals: Table<u64, RefusedUse>,
    changed: Notify,
}

impl LogTable {
    /// Reads the log from the disk. This call blocks.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(crate) fn open(context: &Context) -> Result<Self, TableError> {
        let (uses, refusals) = (context.table("uses"), context.table("refusals"));
        let log = UseLog::new(uses.read_all()?.readable, refusals.read_all()?.readable);
        Ok(Self { log: Mutex::new(log), uses, refusals, changed: Notify::new() })
    }

    /// Returns access to the log in memory.
    pub(crate) fn log(&self) -> MutexGuard<'_, UseLog> {
        // Each change is a single call that leaves the log consistent, so a poisoned lock is safe to use.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the begin of a use, and returns its number.
    pub(crate) fn begin(&self, peer: PeerId, port: u16, now: Time) -> u64 {
        let number = self.log().begin(peer, port, now);
        self.changed.notify_one();
        number
    }

    /// Notes the end of a use.
    pub(crate) fn end(&self, number: u64, end: UseEnd, now: Time, bytes: (u64, u64)) {
        self.log().end(number, end, now, bytes);
        self.changed.notify_one();
    }

    /// Notes a refusal. It is written later.
    pub(crate) fn refuse(&self, peer: PeerId, port: Option<u16>, reason: Refusal, now: Time) {
        self.log().refuse(peer, port, reason, now);
    }

    /// Writes the changes to the disk until the future is dropped.
    pub(crate) async fn write(&self) -> Result<Infallible, TableError> {
        loop {
            // On a timeout only refusals may have changed.
            let _ = timeout(REFUSALS_EVERY, self.until_used()).await;
            self.flush().await?;
            sleep(WRITE_EVERY).await;
        }
    }

    /// Writes the changes to the disk now.
    pub(crate) async fn flush(&self) -> Result<(), TableError> {
        let (uses, refusals) = self.log().take_changes();
        self.uses.write_async(&uses).await?;
        self.refusals.write_async(&refusals).await
    }

    async fn until_used(&self) {
        while !self.log().has_changed_uses() {
            self.changed.notified().await;
        }
    }
}
