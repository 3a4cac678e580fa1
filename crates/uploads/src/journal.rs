//! Where the state of uploads is kept.

use crate::plan::Upload;
use crate::rows::{self, Changes, Row};
use std::collections::BTreeMap;
use std::error::Error;
use store::{Table, TableError};

/// The disk, on which the engine records each step of an upload.
pub trait Journal: Send + Sync {
    /// Puts and removes rows in one durable commit.
    fn write(&self, changes: Changes) -> impl Future<Output = Result<(), JournalError>> + Send;
}

/// The state of an upload cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the state of the upload cannot be written: {0}")]
pub struct JournalError(#[source] pub Box<dyn Error + Send + Sync>);

/// The uploads in a table of the store. A clone refers to the same table.
#[derive(Clone, Debug)]
pub struct UploadTable(Table<String, Row>);

impl UploadTable {
    /// Takes a table, such as `context.table("progress")`, and reads the uploads in it, by name. This call blocks.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn open(table: Table<String, Row>) -> Result<(Self, BTreeMap<String, Upload>), TableError> {
        let table = Self(table);
        let uploads = table.read_all()?;
        Ok((table, uploads))
    }

    /// Reads the uploads in the table, by name. This call blocks.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn read_all(&self) -> Result<BTreeMap<String, Upload>, TableError> {
        let rows = self.0.read_all()?;
        if !rows.unreadable.is_empty() {
            tracing::warn!(rows = ?rows.unreadable, "rows of uploads cannot be read and are ignored");
        }
        Ok(rows::uploads(rows.readable))
    }

    /// Records a new upload under `name`, which has no `#`.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn add(&self, name: &str, upload: &Upload) -> Result<(), JournalError> {
        self.write(rows::after(name, upload, &crate::plan::PartChange::None)).await
    }

    /// Removes an upload that has ended.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn forget(&self, name: &str, upload: &Upload) -> Result<(), JournalError> {
        self.write(rows::removal(name, upload)).await
    }
}

impl Journal for UploadTable {
    async fn write(&self, changes: Changes) -> Result<(), JournalError> {
        self.0.write_async(&changes).await.map_err(|error| JournalError(Box::new(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Metadata, Object};
    use crate::plan::{Event, Part};
    use std::sync::Arc;
    use store::Store;

    #[tokio::test]
    async fn uploads_and_their_parts_are_read_again_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("records.redb");
        let open =
            || UploadTable::open(Arc::new(Store::open(&file).unwrap().0).table("uploads/progress")).unwrap();
        let object = Object::new("logs/bafy", 20 << 20, 5 << 20, Metadata::default()).unwrap();
        let mut upload = Upload::new(object, "s3://logs".into());
        {
            let (table, known) = open();
            assert!(known.is_empty());
            table.add("bafy", &upload).await.unwrap();
            table.add("bafz", &upload).await.unwrap();
            for event in [Event::Hashed("00".into()), Event::Looked(None), Event::Created("7".into())] {
                let _ = upload.on(event);
            }
            for number in [0, 1] {
                let part = Part { tag: format!("tag {number}"), md5: "00".into() };
                let change = upload.on(Event::PartStored(number, part));
                table.write(rows::after("bafy", &upload, &change)).await.unwrap();
            }
        }
        let (table, known) = open();
        assert_eq!(known.len(), 2);
        assert_eq!(known["bafy"], upload);
        table.forget("bafy", &upload).await.unwrap();
        drop(table);
        let (_, known) = open();
        assert_eq!(known.into_keys().collect::<Vec<_>>(), ["bafz"]);
    }
}
