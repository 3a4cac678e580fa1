//! Goes through the files of all catalogues, a bounded number of them in each decision.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::known::{Catalogs, Counting};
use dcache::PeerId;
use ipfs::Cid;
use std::collections::BTreeMap;

/// A walk through the files of all catalogues in the order of their CIDs, again and again. One decision looks at a few
/// files, and the next one goes on with the files after them. So a decision costs little, and every file is found, wherever
/// it is in the catalogues.
#[derive(Clone, Debug, Default)]
pub struct CatalogWalk {
    /// The catalogues at the last step, without that of this node.
    versions: BTreeMap<PeerId, Cid>,
    /// The file at which the last step ended.
    last: Option<Cid>,
    /// Number of files until each was visited once since the catalogues changed.
    left: usize,
}

impl CatalogWalk {
    /// Returns whether each file was visited since the catalogues of other robots changed, and since [`Self::restart`].
    pub fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Visits all files again, beginning where the last step ended.
    pub fn restart(&mut self, catalogs: &Catalogs) {
        self.left = catalogs.number_of_files();
    }

    /// Visits the next files, at most `most`. `visit` gets each file that counts, and the robot that shared it by the lines
    /// about it. When `visit` returns false, the step ends, and the next one begins with the same file.
    pub fn step(
        &mut self,
        counting: &Counting<'_>,
        (me, most): (PeerId, usize),
        visit: &mut dyn FnMut(&Cid, PeerId) -> bool,
    ) {
        let catalogs = counting.catalogs();
        self.note_changes(catalogs, me);
        let begin = self.last;
        let from_begin =
            catalogs.after(None).take_while(move |(cid, _)| begin.is_some_and(|last| **cid <= last));
        for (cid, _) in catalogs.after(begin).chain(from_begin).take(most) {
            if counting.claimed_uploader(cid).is_some_and(|uploader| !visit(cid, uploader)) {
                return;
            }
            (self.last, self.left) = (Some(*cid), self.left.saturating_sub(1));
        }
    }

    /// Restarts when a catalogue of another robot changed. The catalogue of this node changes with each of its uploads, and
    /// its new files have records.
    fn note_changes(&mut self, catalogs: &Catalogs, me: PeerId) {
        let others = catalogs.versions().filter(|(robot, _)| *robot != me);
        let versions: BTreeMap<PeerId, Cid> = others.map(|(robot, version)| (robot, version.root)).collect();
        self.left = self.left.min(catalogs.number_of_files());
        let is_new = |(robot, root): (&PeerId, &Cid)| self.versions.get(robot) != Some(root);
        if versions.iter().any(is_new) {
            self.restart(catalogs);
        }
        self.versions = versions;
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::CatalogEntries;
    use super::super::format::tests::{entry, numbered, uploaded};
    use super::super::known::{CatalogVersion, Precedence};
    use super::super::stated::{StatedCatalog, tests::state};
    use super::*;
    use crate::index::tests::{NOW, peer};
    use dcache::Set;
    use std::collections::BTreeSet;

    /// Returns a set and catalogues in which peer 2 shares 30 files, and peer 3 uploaded one of them and another one.
    fn shared() -> (Set, Catalogs) {
        let (mut set, mut catalogs) = (Set::default(), Catalogs::default());
        let shared: CatalogEntries = (0..30).map(|number| (numbered(number), entry(number))).collect();
        let done = [0, 50].map(|number| (numbered(number), uploaded(number, false))).into();
        for (seed, entries) in [(2, shared), (3, done)] {
            let root = numbered(100 + u32::from(seed));
            state(&mut set, seed, Some(StatedCatalog { root, files: 1, bytes: 9 }), NOW);
            let version = CatalogVersion { root, sequence: 1 };
            catalogs = catalogs.with(peer(seed), version, Precedence::Member, entries).unwrap();
        }
        (set, catalogs)
    }

    #[test]
    fn each_file_is_visited_once_in_one_round() {
        let (set, catalogs) = shared();
        let counting = Counting::new(&set, &catalogs, None, NOW);
        let (mut walk, mut visited, mut steps) = (CatalogWalk::default(), Vec::new(), 0);
        loop {
            walk.step(&counting, (peer(1), 7), &mut |cid, uploader| {
                assert_eq!(uploader, peer(2));
                visited.push(*cid);
                true
            });
            steps += 1;
            if walk.is_done() {
                break;
            }
        }
        assert_eq!(steps, 5, "31 files in steps of 7");
        let all: BTreeSet<Cid> = (0..30).map(numbered).collect();
        assert_eq!(visited.iter().copied().collect::<BTreeSet<_>>(), all);
        let again = visited.len() - all.len();
        assert!(again <= 4, "{again} files were visited again at the end of the round");
    }

    #[test]
    fn a_refused_file_is_visited_again_and_a_new_version_restarts_the_walk() {
        let (set, catalogs) = shared();
        let counting = Counting::new(&set, &catalogs, None, NOW);
        let (mut walk, mut refused) = (CatalogWalk::default(), BTreeSet::new());
        for _ in 0..3 {
            walk.step(&counting, (peer(1), 7), &mut |cid, _| {
                refused.insert(*cid);
                false
            });
        }
        assert_eq!(refused.len(), 1);
        walk.step(&counting, (peer(1), usize::MAX), &mut |_, _| true);
        assert!(walk.is_done());
        let of = |seed, number| {
            let version = CatalogVersion { root: numbered(number), sequence: 2 };
            catalogs.with(peer(seed), version, Precedence::Member, CatalogEntries::new()).unwrap()
        };
        let mut is_done_after = |catalogs: &Catalogs| {
            walk.step(&Counting::new(&set, catalogs, None, NOW), (peer(1), 1), &mut |_, _| true);
            walk.is_done()
        };
        assert!(is_done_after(&of(1, 200)), "the own catalogue does not count");
        assert!(!is_done_after(&of(3, 201)));
        let empty = Catalogs::default();
        assert!(is_done_after(&empty));
    }
}
