//! Kept files about which no peer makes statements any more. They are unpinned after a grace time, so that the disk
//! does not stay full of files that no robot lists.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::index::SharedFile;
use crate::info::Description;
use dcache::{Moment, PeerId, Time};
use ipfs::Cid;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Time, in seconds, for which an unlisted file is kept. It is four times the longest lifetime of an entry: holders
/// that were away for the holidays may list the file again.
pub(crate) const GRACE: u64 = 30 * 24 * 3600;
/// Time, in seconds, for which a file must be unlisted before this is written to the disk. After a start, most files
/// are unlisted for a short time, until the records of other peers arrive.
const NOTED_AFTER: u64 = 3600;

/// Row on the disk for a kept file that no peer lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unlisted {
    /// Time at which the file became unlisted, by the clock of this node.
    pub(crate) since: Time,
}

/// The kept files that no peer lists, by CID.
pub(crate) type UnlistedFiles = BTreeMap<Cid, Unlisted>;

/// Changes of the unlisted files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Files to note on the disk.
    pub(crate) noted: Vec<(Cid, Unlisted)>,
    /// Files whose rows must be removed, because a peer lists them again or they are not kept any more.
    pub(crate) forgotten: Vec<Cid>,
    /// Files to unpin.
    pub(crate) released: BTreeSet<Cid>,
}

/// Finds unlisted files, and measures the time since they became unlisted.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnlistedLooks {
    /// Time at which each file was first found unlisted since the start.
    missed: BTreeMap<Cid, Time>,
    /// Files that are noted on the disk.
    pub(crate) noted: UnlistedFiles,
    /// Changes by the last check.
    pub(crate) changes: Changes,
}

impl UnlistedLooks {
    /// Checks the kept files of peers other than `me`. It uses the settled time, so that a clock jump releases no file.
    pub(crate) fn look(
        &mut self,
        (kept, me): (&BTreeMap<Cid, Description>, PeerId),
        files: &BTreeMap<Cid, SharedFile>,
        now: Moment,
    ) {
        let now = now.settled;
        let of_others =
            kept.iter().filter(|(_, description)| description.uploader != me).map(|(cid, _)| *cid);
        let missing: BTreeSet<Cid> = of_others.filter(|cid| !files.contains_key(cid)).collect();
        self.missed.retain(|cid, _| missing.contains(cid));
        let mut changes = Changes::default();
        for cid in &missing {
            let missed = *self.missed.entry(*cid).or_insert(now);
            match self.noted.get(cid) {
                Some(row) if row.since.plus(GRACE) <= now => drop(changes.released.insert(*cid)),
                None if missed.plus(NOTED_AFTER) <= now => {
                    changes.noted.push((*cid, Unlisted { since: missed }));
                }
                _ => {}
            }
        }
        let is_over = |cid: &&Cid| !missing.contains(cid) || changes.released.contains(cid);
        changes.forgotten = self.noted.keys().filter(is_over).copied().collect();
        self.changes = changes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buckets::{LIFETIME, Station};
    use crate::index::index;
    use crate::index::tests::{NOW, cid, description, peer, say};
    use dcache::{Kind, Set};

    /// The checks of peer 2, which keeps the file of peer 1.
    #[derive(Default)]
    struct Keeper(UnlistedLooks);

    impl Keeper {
        fn look(&mut self, set: &Set, now: Moment) -> bool {
            let kept = BTreeMap::from([(cid(), description(1, "a.bag"))]);
            self.0.look((&kept, peer(2)), &index(set, now.time), now);
            let Changes { noted, forgotten, released } = std::mem::take(&mut self.0.changes);
            self.0.noted.extend(noted);
            self.0.noted.retain(|cid, _| !forgotten.contains(cid));
            !released.is_empty()
        }

        /// Checks every quarter of an hour from `from` to `to` seconds. Returns the time at which the file was
        /// released.
        fn wait(&mut self, set: &Set, (from, to): (u64, u64)) -> Option<u64> {
            (from..=to).step_by(900).find(|at| self.look(set, Moment::certain(NOW.plus(*at))))
        }

        fn restart(self) -> Self {
            Self(UnlistedLooks { noted: self.0.noted, ..UnlistedLooks::default() })
        }
    }

    #[test]
    fn an_unlisted_file_is_released_after_the_grace_time() {
        let mut set = Set::default();
        say(&mut set, 3, Kind::Propose, Station::Safe.item(&cid()), 3600);
        let mut keeper = Keeper::default();
        assert_eq!(keeper.wait(&set, (0, 2 * GRACE)), Some(3600 + GRACE));
        assert!(keeper.0.noted.is_empty(), "its row is removed as well");
    }

    #[test]
    fn the_grace_time_survives_a_restart_and_ends_when_a_peer_lists_the_file() {
        let (nobody, mut keeper) = (Set::default(), Keeper::default());
        assert_eq!(keeper.wait(&nobody, (0, GRACE / 2)), None);
        keeper = keeper.restart();
        assert_eq!(keeper.wait(&nobody, (GRACE / 2, 2 * GRACE)), Some(GRACE));
        let (mut keeper, day) = (Keeper::default(), 24 * 3600);
        keeper.wait(&nobody, (0, day));
        assert!(!keeper.0.noted.is_empty());
        let mut listed = Set::default();
        say(&mut listed, 3, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
        keeper.look(&listed, Moment::certain(NOW.plus(day)));
        assert!(keeper.0.noted.is_empty());
        assert_eq!(keeper.wait(&nobody, (2 * day, GRACE)), None, "the grace time begins again");
    }

    #[test]
    fn a_clock_jump_releases_no_file() {
        let (nobody, mut keeper) = (Set::default(), Keeper::default());
        keeper.wait(&nobody, (0, 7200));
        let jumped = Moment { settled: NOW.plus(7200), ..Moment::certain(NOW.plus(10 * GRACE)) };
        assert!(!keeper.look(&nobody, jumped));
    }
}
