//! The table of the catalogues that this node has pinned. With it, a restart needs no network to read them.

use dcache::PeerId;
use ipfs::Cid;
use serde::{Deserialize, Serialize};
use service::Context;
use std::collections::BTreeMap;
use store::{Displayed, Table, TableError};

/// Row of one robot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    /// CIDs of the pinned versions, the newest first.
    roots: Vec<String>,
    /// Sequence number of the record that names the newest one.
    sequence: u64,
}

/// The pinned versions of one robot's catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pinned {
    /// Roots of the versions, the newest first.
    pub(crate) roots: Vec<Cid>,
    /// Sequence number of the record that names the newest one.
    pub(crate) sequence: u64,
}

/// The table on the disk.
#[derive(Clone)]
pub(crate) struct CatalogRows(Table<Displayed<PeerId>, Row>);

impl CatalogRows {
    pub(crate) fn open(context: &Context) -> Self {
        Self(context.table("catalogs"))
    }

    /// Reads all rows.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(crate) async fn read_async(&self) -> Result<BTreeMap<PeerId, Pinned>, TableError> {
        let rows = self.clone();
        let read = tokio::task::spawn_blocking(move || rows.read()).await;
        read.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    fn read(&self) -> Result<BTreeMap<PeerId, Pinned>, TableError> {
        let pinned = |row: Row| Pinned {
            roots: row.roots.iter().filter_map(|root| root.parse().ok()).collect(),
            sequence: row.sequence,
        };
        let rows = self.0.read_all()?.readable.into_iter();
        Ok(rows.map(|(Displayed(robot), row)| (robot, pinned(row))).collect())
    }

    /// Replaces the row of a robot, or removes it when no version is pinned.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub(crate) async fn write(&self, robot: PeerId, pinned: &Pinned) -> Result<(), TableError> {
        let row =
            || Row { roots: pinned.roots.iter().map(Cid::to_string).collect(), sequence: pinned.sequence };
        let row = (!pinned.roots.is_empty()).then(row);
        self.0.write_async(&[(Displayed(robot), row)]).await
    }
}
