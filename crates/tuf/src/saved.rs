//! Rows of the metadata store: the files that were verified last, as the mirror sent them.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::names::RoleName;
use std::collections::BTreeMap;
use store::TableKey;

/// Key of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// A root file, by its version. All roots since the one with which the node was set up are kept.
    Root(u64),
    /// The newest timestamp.
    Timestamp,
    /// The newest snapshot.
    Snapshot,
    /// The timestamp with which the snapshot was verified. It equals the newest one, unless no mirror sent the newest
    /// snapshot. Without it, a mirror could make the node forget the versions in the snapshot, by hiding the newest one.
    SnapshotTimestamp,
    /// The newest file of the role `targets`.
    Targets,
    /// The newest file of a delegated role.
    Delegated(RoleName),
}

/// All rows of the store.
pub type Saved = BTreeMap<Row, String>;

/// Rows to put, which belong together.
pub type Changes = Vec<(Row, String)>;

impl TableKey for Row {
    fn to_text(&self) -> String {
        match self {
            Self::Root(version) => format!("root/{version:020}"),
            Self::Timestamp => "timestamp".to_owned(),
            Self::Snapshot => "snapshot".to_owned(),
            Self::SnapshotTimestamp => "snapshot/timestamp".to_owned(),
            Self::Targets => "targets".to_owned(),
            Self::Delegated(name) => format!("delegated/{name}"),
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "timestamp" => Some(Self::Timestamp),
            "snapshot" => Some(Self::Snapshot),
            "snapshot/timestamp" => Some(Self::SnapshotTimestamp),
            "targets" => Some(Self::Targets),
            _ => match text.split_once('/')? {
                ("root", version) => Some(Self::Root(version.parse().ok()?)),
                ("delegated", name) => Some(Self::Delegated(name.parse().ok()?)),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_key_of_its_own() {
        let delegated = |name: &str| Row::Delegated(name.parse().unwrap());
        let rows = [
            Row::Root(1),
            Row::Root(u64::MAX),
            Row::Timestamp,
            Row::Snapshot,
            Row::SnapshotTimestamp,
            Row::Targets,
            delegated("a/b"),
            delegated("delegated"),
        ];
        for row in &rows {
            assert_eq!(Row::from_text(&row.to_text()).as_ref(), Some(row));
        }
        assert_eq!(
            rows.iter().map(TableKey::to_text).collect::<std::collections::BTreeSet<_>>().len(),
            rows.len()
        );
        assert_eq!(
            [Row::from_text("root/x"), Row::from_text("delegated/root"), Row::from_text("x")],
            [None, None, None]
        );
    }
}
