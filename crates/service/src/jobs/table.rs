//! Reads and writes durable jobs on the disk.

use super::{Changes, Inner, Job, JobError, JobKind, JobNumber, JobRow, Jobs, RowOf};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use store::{Table, TableError};
use tokio::sync::{Notify, watch};

impl<K: JobKind> Jobs<K> {
    /// Reads durable jobs from the disk. This call blocks. Jobs whose order is not `is_valid`, and rows that cannot be
    /// read, are left out.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn open(
        table: Table<JobNumber, JobRow<K::Order, K::Outcome>>,
        is_valid: impl Fn(&K::Order) -> bool,
    ) -> Result<Self, TableError> {
        let rows = table.read_all()?;
        if !rows.unreadable.is_empty() {
            let rows = rows.unreadable.len();
            tracing::warn!(rows, "some jobs on the disk cannot be read; they are left out");
        }
        let valid = rows.readable.into_iter().filter(|(_, row)| is_valid(&row.order));
        let items = valid.map(|(number, JobRow { order, end })| (number, Job::new(order, end))).collect();
        Ok(Self::new(Some(table), items))
    }

    pub(super) fn new(table: Option<Table<JobNumber, RowOf<K>>>, items: BTreeMap<JobNumber, Job<K>>) -> Self {
        let (writing, changed, version) =
            (tokio::sync::Mutex::default(), Notify::new(), watch::Sender::default());
        Self(Arc::new(Inner { table, items: Mutex::new(items), writing, changed, version }))
    }

    /// Writes rows in one commit. They are durable when this returns.
    pub(super) async fn write(&self, changes: Changes<K>) -> Result<(), JobError> {
        if let Some(table) = &self.0.table {
            table.write_async(&changes).await?;
        }
        Ok(())
    }
}
