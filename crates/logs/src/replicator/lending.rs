//! Lends fetch slots to files, and takes slots back while other files wait.

use super::{Attempt, Replicator};
use crate::index::SharedFile;
use crate::ledger::NoRoom;
use crate::places::{Candidate, Loan, Places};
use crate::replicate::{Holders, is_in_reach};
use crate::shares::{Shares, uploader};
use ipfs::Cid;
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// The files to fetch, with the peers that hold them.
pub(super) type Wanted = BTreeMap<Cid, (Box<SharedFile>, Holders)>;

/// The slot of an [`Attempt`].
#[derive(Debug)]
pub(super) struct Lent {
    file: Candidate,
    since: Instant,
    is_ending: bool,
}

impl Replicator {
    /// Begins fetches while there are free slots, and recalls slots whose term is over. Returns the time of the next
    /// recall while files wait.
    pub(super) fn lend(&mut self, wanted: &Wanted) -> Option<Instant> {
        let in_folder: BTreeSet<Cid> = self.ledger.taken().into_values().map(|taken| taken.cid).collect();
        let shares = self.decisions.decider().shares().clone();
        let candidates = wanted.values().filter_map(|(file, holders)| {
            self.candidate(file, holders, in_folder.contains(&file.cid), &shares)
        });
        let mut waiting: Vec<Candidate> = candidates.collect();
        let mut places = Places::new(self.loans(), self.settings.parallel);
        places.sort(&mut waiting);
        let (mut promised, mut is_waited_for) = (places.ending(), false);
        while let Some(file) = waiting.pop() {
            if places.has_place(&file) {
                let Some((shared, holders)) = wanted.get(&file.cid) else { continue };
                if self.has_room(shared, &file, &shares) {
                    self.begin(shared, holders.providers(), file.clone());
                    places.lend(file);
                    places.sort(&mut waiting);
                }
                continue;
            }
            is_waited_for = true;
            if promised > 0 {
                promised -= 1;
            } else if let Some(cid) = places.recall(&file) {
                self.recall(cid);
            }
        }
        places.next_end().filter(|_| is_waited_for).map(|left| Instant::now() + left)
    }

    fn candidate(
        &self,
        file: &SharedFile,
        holders: &Holders,
        is_own: bool,
        shares: &Shares,
    ) -> Option<Candidate> {
        let attempt = self.attempts.get(&file.cid);
        let must_wait = attempt.and_then(|attempt| attempt.not_before).is_some_and(|at| at > Instant::now());
        // An own file that is no longer in the folder counts as a file of another peer.
        let is_wanted = self.settings.keep_others || is_own || self.is_wanted_here(&file.cid);
        let is_under_way = attempt.is_some_and(Attempt::is_under_way);
        let may_begin = is_in_reach(file, self.swarm.me(), !holders.is_empty());
        let uploader = uploader(file);
        (is_wanted && !is_under_way && !must_wait && may_begin).then(|| Candidate {
            cid: file.cid,
            uploader,
            is_own,
            is_member: shares.is_member(uploader),
            is_proven: shares.is_proven(uploader),
            size: attempt.and_then(Attempt::claimed).or_else(|| Some(file.description.as_ref()?.size)),
            turns: attempt.map_or(0, |attempt| attempt.turns),
        })
    }

    fn loans(&self) -> Vec<Loan> {
        let mut received: BTreeMap<Cid, u64> = BTreeMap::new();
        for fetch in self.node.fetches() {
            let most = received.entry(fetch.root).or_default();
            *most = fetch.received.0.max(*most);
        }
        let lent = self.attempts.values().filter_map(|attempt| attempt.lent.as_ref());
        let loan = |lent: &Lent| Loan {
            file: lent.file.clone(),
            held: lent.since.elapsed(),
            received: received.get(&lent.file.cid).copied().unwrap_or_default(),
            is_ending: lent.is_ending,
        };
        lent.map(loan).collect()
    }

    fn recall(&mut self, cid: Cid) {
        let Some(attempt) = self.attempts.get_mut(&cid) else { return };
        if let Some(lent) = &mut attempt.lent {
            lent.is_ending = true;
            attempt.give_back.notify_one();
            tracing::info!(%cid, "the fetch of a shared file gives its slot to another file, and continues later");
        }
    }

    /// Returns whether there is disk space for a file now, and notes a file for which there is none.
    ///
    /// An own file usually lacks few blocks, so it needs little space. When the root of a file is known, it gives the
    /// size of the file. Until then, only the description gives a size, and the description may be false. So when no
    /// other fetch runs, a file is fetched even if it is too large according to its description.
    fn has_room(&mut self, file: &SharedFile, candidate: &Candidate, shares: &Shares) -> bool {
        let size = candidate.size.unwrap_or(super::SOME_ROOM);
        let bytes = if candidate.is_own { size.min(super::SOME_ROOM) } else { size };
        let (store, room) = (self.node.store(), self.room());
        let reason = match store.has_room(bytes) {
            Err(error) => error.to_string(),
            Ok(()) => {
                let on_disk = store.free_bytes().map_or(u64::MAX, |free| free.saturating_add(shares.total()));
                let capacity = store.usage().max_bytes.min(on_disk);
                if candidate.is_own || room >= bytes && shares.fits(candidate.uploader, bytes, capacity) {
                    return true;
                }
                match room >= bytes {
                    true => "the files of its uploader use up their share of the store".to_owned(),
                    false => "the rest of the disk stays free for recordings (`free_floor_mib`)".to_owned(),
                }
            }
        };
        let name = file.description.as_ref().map(|description| description.filename.clone());
        self.no_room.push(NoRoom { cid: file.cid, name, bytes, reason });
        let is_hint = self.attempts.get(&file.cid).and_then(Attempt::claimed).is_none();
        is_hint
            && room >= super::SOME_ROOM
            && self.fetches.is_empty()
            && self.node.store().has_room(super::SOME_ROOM).is_ok()
    }
}

impl Attempt {
    /// Returns whether the file has a slot.
    pub(super) fn is_under_way(&self) -> bool {
        self.lent.is_some()
    }

    /// Returns the size that the root of the file claims, once the root has come.
    fn claimed(&self) -> Option<u64> {
        self.progress.borrow().claimed_bytes
    }

    /// Gives the file a slot.
    pub(super) fn lend(&mut self, file: Candidate) {
        self.lent = Some(Lent { file, since: Instant::now(), is_ending: false });
    }
}
