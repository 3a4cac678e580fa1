//! Which files this node let go of, and why: what a person decided stays, across restarts.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::{Moment, Time};
use ipfs::Cid;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of rows. A shared folder has at most 20,000 files, of which most are deleted together, if at all; a row
/// takes some 150 bytes on the disk.
pub(crate) const MAX_ROWS: usize = 20_000;
/// Time, in seconds, after which a row is forgotten when nobody states anything about its file any more. Ten times the
/// longest validity of a stranger's statement, since a robot that was away for weeks states its files anew.
const FORGOTTEN_AFTER: u64 = 90 * 24 * 3600;

/// Why a file is not kept here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It was deleted from the shared folder. It is taken again when it is back there.
    Deleted,
    /// It was unpinned. It is taken again when it is pinned.
    Unpinned,
    /// It lies in the shared folder, and another node discarded it. It is taken again when somebody states that it is good.
    Withdrawn,
    /// It was discarded by a person at this node, which states so anew for as long as this row is there.
    Discarded,
}

/// A file that this node let go of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetGo {
    /// Why.
    pub reason: Reason,
    /// When, by the clock of this node.
    pub time: Time,
}

/// The files that this node let go of.
pub type LetGoFiles = BTreeMap<Cid, LetGo>;

/// Returns whether a row replaces an earlier one about the same file: the reasons that hold for longer win.
pub(crate) fn replaces(row: &LetGo, earlier: Option<&LetGo>) -> bool {
    earlier.is_none_or(|earlier| earlier.reason == Reason::Deleted || row.reason == Reason::Discarded)
}

/// Returns the rows that are to be forgotten, so that the table stays bounded: the old ones about files of which nobody
/// states anything, and of more than [`MAX_ROWS`] the oldest, those that a person named last.
pub(crate) fn forgettable(files: &LetGoFiles, stated: impl Fn(&Cid) -> bool, now: Moment) -> BTreeSet<Cid> {
    let is_old = |row: &LetGo| row.time.plus(FORGOTTEN_AFTER) <= now.settled;
    let (old, current): (Vec<_>, Vec<_>) = files.iter().partition(|(cid, row)| is_old(row) && !stated(cid));
    let mut current: Vec<_> =
        current.into_iter().map(|(cid, row)| (row.reason == Reason::Discarded, row.time, *cid)).collect();
    current.sort_unstable();
    let excess = current.len().saturating_sub(MAX_ROWS);
    let oldest = current.into_iter().take(excess).map(|(_, _, cid)| cid);
    old.into_iter().map(|(cid, _)| *cid).chain(oldest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::{NOW, cid};

    fn row(reason: Reason, time: Time) -> LetGo {
        LetGo { reason, time }
    }

    fn numbered(number: u64) -> Cid {
        let mut bytes = cid().to_bytes();
        let end = bytes.len() - 8;
        bytes[end..].copy_from_slice(&number.to_be_bytes());
        Cid::try_from(bytes).unwrap()
    }

    #[test]
    fn what_a_person_named_is_not_replaced_by_what_only_happened() {
        let (deleted, unpinned) = (row(Reason::Deleted, NOW), row(Reason::Unpinned, NOW));
        let discarded = row(Reason::Discarded, NOW);
        assert!(replaces(&deleted, None) && replaces(&unpinned, Some(&deleted)));
        assert!(!replaces(&deleted, Some(&unpinned)), "a stick with an unpinned file was pulled");
        assert!(replaces(&discarded, Some(&unpinned)) && !replaces(&unpinned, Some(&discarded)));
    }

    #[test]
    fn old_rows_go_once_nobody_speaks_of_the_file() {
        let files = LetGoFiles::from([(cid(), row(Reason::Deleted, NOW))]);
        let forgotten = |stated: bool, now| forgettable(&files, |_| stated, now).len();
        let later = Moment::certain(NOW.plus(FORGOTTEN_AFTER));
        assert_eq!((forgotten(false, Moment::certain(NOW)), forgotten(false, later)), (0, 1));
        assert_eq!(forgotten(true, later), 0);
        assert_eq!(
            forgotten(false, Moment { settled: NOW, ..later }),
            0,
            "a clock that jumped forgets nothing"
        );
    }

    #[test]
    fn of_too_many_rows_the_oldest_go_and_those_that_a_person_discarded_stay() {
        let many = u64::try_from(MAX_ROWS).unwrap();
        let of = |number: u64| (numbered(number), row(Reason::Deleted, NOW.plus(number)));
        let mut files: LetGoFiles = (0..=many).map(of).collect();
        assert_eq!(forgettable(&files, |_| true, Moment::certain(NOW)), BTreeSet::from([numbered(0)]));
        files.insert(numbered(0), row(Reason::Discarded, NOW));
        assert_eq!(forgettable(&files, |_| true, Moment::certain(NOW)), BTreeSet::from([numbered(1)]));
    }
}
