//! The rows of an upload on the disk: one for its state, and one for each part that the storage has. So a part costs a
//! short row, however many parts there are. This module is pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::plan::{Part, PartChange, Upload};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A row on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Row {
    /// State of an upload, without its parts.
    Upload(Box<Upload>),
    /// A part that the storage has.
    Part(Part),
}

/// Rows to put (`Some`) and to remove (`None`) in one commit, by their keys.
pub type Changes = Vec<(String, Option<Row>)>;

/// Returns the rows to write after an event. The upload is stored under `name`.
pub(crate) fn after(name: &str, upload: &Upload, change: &PartChange) -> Changes {
    let mut changes = vec![(name.to_owned(), Some(Row::Upload(Box::new(upload.clone_without_parts()))))];
    let row = |number: u32| upload.parts.get(&number).cloned().map(Row::Part);
    match change {
        PartChange::None => {}
        PartChange::Added(number) => changes.push((key(name, *number), row(*number))),
        PartChange::Removed(numbers) => {
            changes.extend(numbers.iter().map(|number| (key(name, *number), None)))
        }
    }
    changes
}

/// Returns the changes that remove all rows of an upload.
pub(crate) fn removal(name: &str, upload: &Upload) -> Changes {
    let parts = upload.parts.keys().map(|number| (key(name, *number), None));
    std::iter::once((name.to_owned(), None)).chain(parts).collect()
}

/// Returns the uploads of all rows, by name. Parts without an upload are ignored.
pub(crate) fn uploads(rows: Vec<(String, Row)>) -> BTreeMap<String, Upload> {
    let (mut uploads, mut parts) = (BTreeMap::new(), Vec::new());
    for (key, row) in rows {
        match row {
            Row::Upload(upload) => {
                uploads.insert(key, *upload);
            }
            Row::Part(part) => parts.push((key, part)),
        }
    }
    for (key, part) in parts {
        let place = key.rsplit_once('#').and_then(|(name, number)| Some((name, number.parse().ok()?)));
        if let Some((name, number)) = place
            && let Some(upload) = uploads.get_mut(name)
        {
            upload.parts.insert(number, part);
        }
    }
    uploads
}

/// Returns the key of a part. The digits sort like the numbers.
fn key(name: &str, number: u32) -> String {
    format!("{name}#{number:05}")
}
