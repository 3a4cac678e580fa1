//! The metadata store: a table in the node's store, in which each step is one durable commit.

use crate::saved::{Changes, Row, Saved};
use std::sync::Arc;
use store::{Store, Table, TableError};

/// The files of one repository that were verified last. After a power cut, it is as it was after one of the steps that
/// the client has made, and never older than the last step that was completed.
#[derive(Clone, Debug)]
pub struct MetadataStore(Table<Row, String>);

impl MetadataStore {
    /// Returns the store of the repository with this name. This does not access the disk.
    pub fn new(store: &Arc<Store>, repository: &str) -> Self {
        Self(store.table(format!("tuf/{repository}")))
    }

    /// Reads everything. Rows of unknown kinds are left out, because a later version of this program may have written
    /// them. Blocks during disk access.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn load(&self) -> Result<Saved, TableError> {
        Ok(self.0.read_all()?.readable.into_iter().collect())
    }

    /// Puts rows in one durable commit.
    ///
    /// # Errors
    /// Returns an error if the store cannot be written.
    pub async fn save(&self, changes: Changes) -> Result<(), TableError> {
        if changes.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = changes.into_iter().map(|(row, content)| (row, Some(content))).collect();
        self.0.write_async(&rows).await
    }
}
