//! The files that need an upload, and the search for more of them in the catalogues of robots.
//!
//! A robot with many logs lists most of them only in its catalogue. Each decision examines a bounded number of files of all
//! catalogues ([`CatalogWalk`]). A file that needs an upload is then considered by each decision until it is uploaded. The
//! number of these files is bounded, and so is their number of one robot, so that no robot displaces the files of others.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{Uploading, View};
use dcache::{PeerId, Time};
use ipfs::Cid;
use logs::{CatalogWalk, Terms, is_uploaded};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of files to upload that the search finds, beside those that this node carries or has begun to upload. A
/// decision about one file takes about 10 microseconds.
const MAX_FOUND: usize = 1024;
/// Maximum number of these files of one robot.
const MAX_OF_ROBOT: usize = 256;
/// Maximum number of files to upload that are remembered, with those of records.
const MAX_NEEDS: usize = 2 * MAX_FOUND;
/// Number of files of catalogues that one decision examines until each was examined once.
const EXAMINED: usize = 1024;
/// Number of files that one decision examines after that. The receipt of another robot may have ended.
const EXAMINED_LATER: usize = 128;
/// Time, in seconds, until the next decision while there are files that were not examined.
const STEP: u64 = 2;
/// Time, in seconds, after which a file that this node cannot fetch lets other files go first.
pub(super) const PATIENCE: u64 = 3600;

/// A file that needs an upload.
#[derive(Clone, Copy, Debug)]
struct Need {
    /// When this was found.
    since: u64,
    /// When this node began to fetch it.
    asked: u64,
    uploader: PeerId,
}

/// The files that need an upload, and the search for more of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Search {
    needs: BTreeMap<Cid, Need>,
    walk: CatalogWalk,
    /// Robots with catalogues whose logs may be uploaded.
    permitted: BTreeSet<PeerId>,
    /// Robots of which further files were found.
    has_more: BTreeSet<PeerId>,
    /// Whether the last step ended because there are too many files.
    is_full: bool,
}

/// The numbers of files that need an upload and are neither carried nor begun.
#[derive(Default)]
struct Waiting {
    all: usize,
    of_robots: BTreeMap<PeerId, usize>,
}

impl Search {
    /// Returns the files that need an upload.
    pub(super) fn needs(&self) -> impl Iterator<Item = &Cid> {
        self.needs.keys()
    }

    /// Forgets the files that `is_considered` does not accept.
    pub(super) fn retain(&mut self, is_considered: impl Fn(&Cid) -> bool) {
        self.needs.retain(|cid, _| is_considered(cid));
    }

    /// Notes that a file needs no upload.
    pub(super) fn remove(&mut self, cid: &Cid) {
        self.needs.remove(cid);
    }

    /// Notes that a file needs an upload. Returns since when.
    pub(super) fn note(&mut self, cid: Cid, uploader: PeerId, (elapsed, carried): (u64, usize)) -> u64 {
        let is_full = self.needs.len() >= MAX_NEEDS + carried;
        match self.needs.get(&cid) {
            Some(need) => need.since,
            None if is_full => elapsed,
            None => self.needs.entry(cid).or_insert(Need { since: elapsed, asked: elapsed, uploader }).since,
        }
    }

    /// Notes that this node begins to fetch a file.
    pub(super) fn note_asked(&mut self, cid: &Cid, elapsed: u64) {
        if let Some(need) = self.needs.get_mut(cid) {
            need.asked = elapsed;
        }
    }

    /// Returns whether this node began to fetch a file more than `patience` seconds ago.
    pub(super) fn is_overdue(&self, cid: &Cid, patience: u64, elapsed: u64) -> bool {
        self.needs.get(cid).is_some_and(|need| elapsed >= need.asked.saturating_add(patience))
    }

    /// Returns the time of the next step, if some files were not examined yet.
    pub(super) fn wake(&self, now: Time) -> Option<Time> {
        (!self.walk.is_done() && !self.is_full).then(|| now.plus(STEP))
    }
}

impl Uploading {
    /// Examines the next files of the catalogues. Returns those that need an upload.
    pub(super) fn search(&mut self, view: &View<'_>) -> BTreeSet<Cid> {
        let mut waiting = self.give_way(view.elapsed);
        let permitted: BTreeSet<PeerId> = self
            .catalogs
            .versions()
            .map(|(robot, _)| robot)
            .filter(|robot| self.permits(*robot, view))
            .collect();
        let mut search = std::mem::take(&mut self.search);
        let has_room = |robot: &PeerId| waiting.of_robots.get(robot).is_none_or(|of| of * 2 <= MAX_OF_ROBOT);
        let is_new = permitted != search.permitted;
        if is_new || search.has_more.iter().any(has_room) {
            search.walk.restart(&self.catalogs);
            search.has_more.clear();
        }
        (search.permitted, search.is_full) = (permitted, false);
        let examined = if search.walk.is_done() { EXAMINED_LATER } else { EXAMINED };
        let (mut found, mut others) = (BTreeSet::new(), BTreeMap::new());
        let Search { needs, walk, permitted, has_more, is_full } = &mut search;
        let mut may_upload = |robot| {
            permitted.contains(&robot) || *others.entry(robot).or_insert_with(|| self.permits(robot, view))
        };
        walk.step(&view.counting, (self.me, examined), &mut |cid, uploader| {
            let is_known = needs.contains_key(cid) || self.is_carried(cid) || self.done.contains(cid);
            if is_known || !may_upload(uploader) || is_uploaded(&view.counting, cid) {
                return true;
            }
            *is_full = waiting.all >= MAX_FOUND;
            let of_robot = waiting.of_robots.entry(uploader).or_default();
            if !*is_full && *of_robot >= MAX_OF_ROBOT {
                has_more.insert(uploader);
            } else if !*is_full {
                (waiting.all, *of_robot) = (waiting.all + 1, *of_robot + 1);
                found.insert(*cid);
            }
            !*is_full
        });
        self.search = search;
        found
    }

    fn permits(&self, robot: PeerId, view: &View<'_>) -> bool {
        let of_other = || Terms::of(view.set, robot, view.now).is_some_and(|terms| terms.is_allowed);
        if robot == self.me { self.rules.is_allowed } else { of_other() }
    }

    /// Counts the files that wait, and forgets those that this node could not fetch for long if others wait for their places.
    /// The search finds them again after the others.
    fn give_way(&mut self, elapsed: u64) -> Waiting {
        let mut waiting = self.count_waiting();
        let (is_full, has_more) = (self.search.is_full, self.search.has_more.clone());
        let gives_way = |cid: &Cid, need: &Need| {
            (is_full || has_more.contains(&need.uploader))
                && elapsed >= need.since.saturating_add(PATIENCE)
                && !self.kept.contains(cid)
                && !self.is_active(cid)
        };
        let given: Vec<Cid> = self
            .search
            .needs
            .iter()
            .filter(|(cid, need)| gives_way(cid, need))
            .map(|(cid, _)| *cid)
            .collect();
        if !given.is_empty() {
            given.iter().for_each(|cid| self.search.remove(cid));
            self.search.walk.restart(&self.catalogs);
            waiting = self.count_waiting();
        }
        waiting
    }

    fn count_waiting(&self) -> Waiting {
        let mut waiting = Waiting::default();
        for (_, need) in self.search.needs.iter().filter(|(cid, _)| !self.is_active(cid)) {
            waiting.all += 1;
            *waiting.of_robots.entry(need.uploader).or_default() += 1;
        }
        waiting
    }

    fn is_active(&self, cid: &Cid) -> bool {
        self.is_carried(cid) || self.begun.contains(cid)
    }
}
