//! The files that this node let go of, with the reasons. A node *lets go of* a file when it decides not to keep the file
//! any more: it unpins the file and retracts its statements about it. These decisions are stored on the disk, so that
//! they survive restarts.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::{Moment, Time};
use ipfs::Cid;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of rows. A shared folder has at most 20,000 files, which may all be deleted at once. A row takes some
/// 150 bytes on the disk.
pub(crate) const MAX_ROWS: usize = 20_000;
/// Time, in seconds, after which a row is forgotten when no peer makes statements about its file any more. It is more
/// than ten times the longest validity of a stranger's statement. The margin is for a robot that is away for weeks, and
/// proposes its files again when it comes back.
const FORGOTTEN_AFTER: u64 = 90 * 24 * 3600;

/// Reason why this node does not keep a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The file was deleted from the shared folder. It is shared again when it is back in the folder.
    Deleted,
    /// A user unpinned the file. It is kept again when a user pins it.
    Unpinned,
    /// The file is in the shared folder, and another node discarded it. It is shared again when a peer states that it
    /// is good.
    Withdrawn,
    /// A user of this node discarded the file. The node renews its discard as long as this row exists.
    Discarded,
}

/// A file that this node let go of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetGo {
    /// Reason for letting go of the file.
    pub reason: Reason,
    /// Time of the decision, by the clock of this node.
    pub time: Time,
}

/// The files that this node let go of, by CID.
pub type LetGoFiles = BTreeMap<Cid, LetGo>;

/// Returns whether a row replaces an earlier one about the same file. Any reason replaces `Deleted`,
/// and `Discarded` replaces any reason.
pub(crate) fn replaces(row: &LetGo, earlier: Option<&LetGo>) -> bool {
    earlier.is_none_or(|earlier| earlier.reason == Reason::Deleted || row.reason == Reason::Discarded)
}

/// Returns the rows to forget, so that the table stays bounded. These are old rows about files without any statements.
/// Above [`MAX_ROWS`], they include the oldest rows as well. Discards by users are forgotten last.
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
    fn the_decision_of_a_user_is_not_replaced_when_the_file_is_deleted() {
        let (deleted, unpinned) = (row(Reason::Deleted, NOW), row(Reason::Unpinned, NOW));
        let discarded = row(Reason::Discarded, NOW);
        assert!(replaces(&deleted, None) && replaces(&unpinned, Some(&deleted)));
        assert!(
            !replaces(&deleted, Some(&unpinned)),
            "an unpinned file stays unpinned when its USB stick is removed"
        );
        assert!(replaces(&discarded, Some(&unpinned)) && !replaces(&unpinned, Some(&discarded)));
    }

    #[test]
    fn old_rows_are_forgotten_once_no_peer_makes_statements_about_the_file() {
        let files = LetGoFiles::from([(cid(), row(Reason::Deleted, NOW))]);
        let forgotten = |stated: bool, now| forgettable(&files, |_| stated, now).len();
        let later = Moment::certain(NOW.plus(FORGOTTEN_AFTER));
        assert_eq!((forgotten(false, Moment::certain(NOW)), forgotten(false, later)), (0, 1));
        assert_eq!(forgotten(true, later), 0);
        assert_eq!(forgotten(false, Moment { settled: NOW, ..later }), 0, "a clock jump makes no row old");
    }

    #[test]
    fn the_oldest_of_too_many_rows_are_forgotten_except_discards() {
        let many = u64::try_from(MAX_ROWS).unwrap();
        let of = |number: u64| (numbered(number), row(Reason::Deleted, NOW.plus(number)));
        let mut files: LetGoFiles = (0..=many).map(of).collect();
        assert_eq!(forgettable(&files, |_| true, Moment::certain(NOW)), BTreeSet::from([numbered(0)]));
        files.insert(numbered(0), row(Reason::Discarded, NOW));
        assert_eq!(forgettable(&files, |_| true, Moment::certain(NOW)), BTreeSet::from([numbered(1)]));
    }
}
