//! The downloads on the disk: each is there before it is acknowledged.

use crate::download::Download;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{ReadError, Store, WriteError};

/// The name in the store's table of services.
const DOWNLOADS: &str = "transfers/downloads";

/// Why the downloads cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// They cannot be read.
    #[error("what is to be fetched cannot be read: {0}")]
    Read(#[from] ReadError),
    /// They cannot be written.
    #[error("what is to be fetched cannot be written: {0}")]
    Write(#[from] WriteError),
    /// The thread that writes died.
    #[error("the thread that writes what is to be fetched died")]
    Worker,
}

/// Changes to the book: put (`Some`) or removed.
pub(crate) type Changes = Vec<(u64, Option<Download>)>;

/// Reads all of them. It may block.
pub(crate) fn read(store: &Store) -> Result<BTreeMap<u64, Download>, BookError> {
    let rows = store.service_all(DOWNLOADS)?;
    let row = |(key, value): (String, Vec<u8>)| {
        let download = serde_json::from_slice(&value).ok();
        let download = download.filter(|download: &Download| download.root().is_some());
        let read = (key.parse().ok()).zip(download);
        if read.is_none() {
            tracing::warn!(key, "a download on the disk cannot be read; it is left out");
        }
        read
    };
    Ok(rows.into_iter().filter_map(row).collect())
}

/// Writes changes in one commit: they are on the disk when this returns.
pub(crate) async fn write(store: &Arc<Store>, changes: Changes) -> Result<(), BookError> {
    let store = Arc::clone(store);
    let rows: Vec<(String, Option<Vec<u8>>)> = changes
        .into_iter()
        // What can be read has a JSON form.
        .map(|(number, download)| (key(number), download.and_then(|row| serde_json::to_vec(&row).ok())))
        .collect();
    let write = move || {
        let rows: Vec<_> = rows.iter().map(|(key, row)| (key.as_str(), row.as_deref())).collect();
        store.service_write(DOWNLOADS, &rows)
    };
    Ok(tokio::task::spawn_blocking(write).await.map_err(|_| BookError::Worker)??)
}

/// With zeros before it, so that the order on the disk is that of the numbers.
fn key(number: u64) -> String {
    format!("{number:020}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nonsense_on_the_disk_does_not_stand_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&folder.path().join("records.redb")).unwrap();
        let row = |cid: &str| format!(r#"{{"order":{{"cid":"{cid}","name":""}}}}"#).into_bytes();
        let rows =
            [("1", row("bafkqaaa")), ("2", row("nonsense")), ("x", row("bafkqaaa")), ("3", b"{".to_vec())];
        let rows: Vec<_> = rows.iter().map(|(key, row)| (*key, Some(row.as_slice()))).collect();
        store.service_write(DOWNLOADS, &rows).unwrap();
        assert_eq!(read(&store).unwrap().into_keys().collect::<Vec<_>>(), [1]);
    }
}
