//! Compares the kept files of this node with the pins of its block store. A pin that a user adds or removes is a
//! decision about the file.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::let_go::{LetGoFiles, Reason};
use ipfs::Cid;
use std::collections::BTreeSet;

/// Differences between the ledger and the pins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Differences {
    /// Kept files that a user unpinned.
    pub(crate) unpinned: BTreeSet<Cid>,
    /// Kept files whose pins were lost together with the database.
    pub(crate) pins_lost: BTreeSet<Cid>,
    /// Files that this node let go of and that a user pinned since.
    pub(crate) pinned: BTreeSet<Cid>,
}

/// Compares the kept files with the pins. `are_pins_new` means that the database of pins was recreated. Then a missing
/// pin is not a decision of a user.
pub(crate) fn compare(
    pins: &BTreeSet<Cid>,
    kept: &BTreeSet<Cid>,
    let_go: &LetGoFiles,
    are_pins_new: bool,
) -> Differences {
    let missing: BTreeSet<Cid> = kept.difference(pins).copied().collect();
    let (unpinned, pins_lost) = match are_pins_new {
        true => (BTreeSet::new(), missing),
        false => (missing, BTreeSet::new()),
    };
    // A user may pin a file here although it is discarded in the whole swarm. This does not undo the discard.
    let is_taken_back_by_pin = |reason: Reason| matches!(reason, Reason::Deleted | Reason::Unpinned);
    let back = let_go.iter().filter(|(cid, row)| is_taken_back_by_pin(row.reason) && pins.contains(*cid));
    Differences { unpinned, pins_lost, pinned: back.map(|(cid, _)| *cid).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::{NOW, cid};
    use crate::let_go::LetGo;

    #[test]
    fn a_missing_pin_is_a_decision_unless_the_database_was_lost() {
        let (none, one) = (BTreeSet::new(), BTreeSet::from([cid()]));
        let found = |are_new| compare(&none, &one, &LetGoFiles::new(), are_new);
        assert_eq!(found(false), Differences { unpinned: one.clone(), ..Differences::default() });
        assert_eq!(found(true), Differences { pins_lost: one.clone(), ..Differences::default() });
        assert_eq!(compare(&one, &one, &LetGoFiles::new(), false), Differences::default());
    }

    #[test]
    fn a_pin_takes_back_only_decisions_about_this_node() {
        let pins = BTreeSet::from([cid()]);
        for (reason, is_back) in [
            (Reason::Deleted, true),
            (Reason::Unpinned, true),
            (Reason::Withdrawn, false),
            (Reason::Discarded, false),
        ] {
            let let_go = LetGoFiles::from([(cid(), LetGo { reason, time: NOW })]);
            let found = compare(&pins, &BTreeSet::new(), &let_go, false);
            assert_eq!(found.pinned.contains(&cid()), is_back, "{reason:?}");
        }
    }
}
