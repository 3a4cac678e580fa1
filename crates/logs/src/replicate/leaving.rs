//! Lets go of copies that are not needed, so that no last copy is ever lost.
//!
//! Two robots could let go of the last two copies at the same time, each relying on the other. Therefore a robot lets go
//! of a copy in two steps:
//!
//! 1. It takes back its statement in `share/safe`, and still keeps the copy.
//! 2. Each other holder that is not leaving itself then *confirms* its copy: it states `share/safe` again. The robot
//!    unpins its copy when as many present holders as there should be copies have confirmed theirs since. If this takes
//!    longer than [`PATIENCE`], it states `share/safe` again and keeps the copy.
//!
//! A record replaces the earlier record of its signer about the same item. So a robot that has received a confirmation
//! knows that this holder had not begun to leave before. A confirmation may be delayed on its way: one that was made for
//! another robot could arrive after the first step. Therefore a confirmation counts only if it was signed at most
//! [`TOLERANCE`] before the first step, and a robot does not begin to leave within [`PAUSE`] after it stated that it
//! keeps the file. So of several robots that leave at about the same time, one relies only on holders that stay.
//!
//! The uploader does not leave its own file in this way. A robot that urgently needs space and waits for the
//! confirmation of the uploader therefore leaves without that pause: the copy of the uploader stays, whoever else leaves.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::copies::{CopyRules, Outcome, Peers, Pressure, ReleaseReason, USUAL_COPIES, earlier};
use crate::buckets::{LIFETIME, Station};
use crate::index::{SharedFile, State};
use crate::info::Description;
use dcache::{CLOCK_LEEWAY, Kind, Moment, PeerId, Record, Set, Time, Validity};
use ipfs::Cid;
use std::collections::{BTreeMap, BTreeSet};

/// Time, in seconds, after which a robot that waits for confirmations keeps its copy.
const PATIENCE: u64 = 300;
/// Time, in seconds, by which a confirmation may be older than the first step. It covers small differences between
/// clocks.
const TOLERANCE: u64 = 60;
/// Time, in seconds, after its last statement that it keeps a file for which a robot does not leave the file. It exceeds
/// [`TOLERANCE`] by more than clocks that are not plainly wrong differ.
const PAUSE: u64 = 300;
/// Minimum time, in seconds, between two attempts to leave a file.
const AGAIN: u64 = 600;
/// Maximum age, in seconds, of a retraction that is answered with a confirmation.
const RECENT: u64 = 600;
/// Minimum time, in seconds, between two confirmations of one file.
const CONFIRM_EVERY: u64 = 60;
/// Maximum number of confirmations of one decision.
const MAX_CONFIRMED: usize = 64;
/// Maximum number of files that a robot leaves at the same time. Each costs a record of every holder.
const MAX_LEAVING: usize = 16;
/// Difference, in seconds, between the own clock and those of the neighbours up to which a robot lets go of copies.
const CLOSE: u64 = 60;

/// The inputs of a decision about letting go.
pub(super) struct View<'a> {
    pub(super) set: &'a Set,
    pub(super) peers: &'a Peers,
    pub(super) files: &'a BTreeMap<Cid, SharedFile>,
    pub(super) kept: &'a BTreeMap<Cid, Description>,
    /// Files that the catalogue of this node lists.
    pub(super) catalogued: &'a BTreeSet<Cid>,
    /// Files that a person pinned, and files that another service of this node needs.
    pub(super) needed: (&'a BTreeSet<Cid>, &'a BTreeSet<Cid>),
    pub(super) pressure: Pressure,
    pub(super) me: PeerId,
    pub(super) now: Moment,
    /// Time in seconds, without jumps of the clock.
    pub(super) elapsed: u64,
}

impl View<'_> {
    fn is_needed(&self, cid: &Cid) -> bool {
        self.needed.0.contains(cid) || self.needed.1.contains(cid)
    }
}

/// A copy that this node is about to let go of.
#[derive(Clone, Debug)]
struct Leave {
    reason: ReleaseReason,
    /// Number of other holders that must confirm their copies.
    needed: usize,
    /// The uploader, if it must be one of them.
    uploader: Option<PeerId>,
    /// Time of the first step, by the clock of this node.
    time: Time,
    /// Time of the first step, without jumps of the clock.
    since: u64,
    /// Sequence numbers of the records about the copies at the first step.
    known: BTreeMap<PeerId, u64>,
}

/// The copies that this node is about to let go of, and its confirmations for other robots.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaving {
    leaves: BTreeMap<Cid, Leave>,
    /// When each copy was first found to be surplus.
    surplus: BTreeMap<Cid, u64>,
    /// When this node last stated that it keeps a file.
    stated: BTreeMap<Cid, u64>,
    /// Earliest time of the next attempt to leave a file.
    paused: BTreeMap<Cid, u64>,
    /// Time of the last retraction by another robot that this node answered.
    answered: BTreeMap<Cid, Time>,
}

impl Leaving {
    /// Returns whether this node has taken back its statement about a file, and waits for confirmations.
    pub(super) fn is_leaving(&self, cid: &Cid) -> bool {
        self.leaves.contains_key(cid)
    }

    /// Notes that this node states that it keeps a file.
    pub(super) fn note_stated(&mut self, cid: Cid, elapsed: u64) {
        self.stated.insert(cid, elapsed);
    }

    /// Ends the attempt to let go of a file. The next decision states again that this node keeps it.
    pub(super) fn cancel(&mut self, cid: Cid, elapsed: u64) {
        self.leaves.remove(&cid);
        self.paused.insert(cid, elapsed + AGAIN);
    }

    /// Adds the statements about copies to let go of, the copies that may be unpinned, and the confirmations for other
    /// robots. Returns the time at which to decide again.
    pub(super) fn look(&mut self, view: &View<'_>, rules: CopyRules, outcome: &mut Outcome) -> Option<u64> {
        self.forget(view);
        self.confirm(view, outcome);
        let is_known = view.now.is_certain && view.now.time.0.abs_diff(view.now.neighbours.0) <= CLOSE;
        self.proceed(view, is_known, outcome);
        if is_known {
            self.make_room(view, rules, outcome);
        }
        let mut next = None;
        for (cid, file) in view.files {
            let is_surplus = || is_mine_to_drop(view, cid, file) && better(view, file) >= rules.copies;
            if rules.copies == 0 || !is_surplus() {
                self.surplus.remove(cid);
                continue;
            }
            let due = *self.surplus.entry(*cid).or_insert(view.elapsed) + rules.heal;
            if due > view.elapsed {
                next = earlier(next, Some(due));
            } else if is_known && self.may_begin(cid) && self.is_settled(cid, view.elapsed) {
                self.begin(view, *cid, (ReleaseReason::Surplus, rules.copies, None), outcome);
            }
        }
        earlier(next, self.leaves.values().map(|leave| leave.since + PATIENCE).min())
    }

    fn forget(&mut self, view: &View<'_>) {
        let is_kept = |cid: &Cid| view.kept.contains_key(cid);
        self.leaves.retain(|cid, _| is_kept(cid));
        self.surplus.retain(|cid, _| is_kept(cid));
        self.stated.retain(|cid, _| is_kept(cid));
        self.answered.retain(|cid, _| is_kept(cid));
        self.paused.retain(|cid, until| is_kept(cid) && *until > view.elapsed);
    }

    fn may_begin(&self, cid: &Cid) -> bool {
        let is_new = !self.leaves.contains_key(cid) && !self.paused.contains_key(cid);
        is_new && self.leaves.len() < MAX_LEAVING
    }

    /// Returns whether other robots no longer rely on a statement of this node that it keeps a file.
    fn is_settled(&self, cid: &Cid, elapsed: u64) -> bool {
        elapsed >= self.stated.get(cid).copied().unwrap_or_default() + PAUSE
    }

    /// Begins to leave files until enough space will be free: first those of which other robots have enough copies, and
    /// the oldest of these first. Then those that will lack one copy: a robot with more space makes it. If the space is
    /// urgently needed, also those of which there is one other copy.
    fn make_room(&mut self, view: &View<'_>, rules: CopyRules, outcome: &mut Outcome) {
        let size = |cid: &Cid| view.kept.get(cid).map_or(0, |known| known.size);
        let leaving = self.leaves.keys().map(size).fold(0, u64::saturating_add);
        let mut lacking = view.pressure.bytes.saturating_sub(leaving);
        if lacking == 0 {
            return;
        }
        let enough = if rules.copies == 0 { USUAL_COPIES } else { rules.copies };
        let mut choice = Vec::new();
        for (cid, file) in view.files.iter().filter(|(cid, file)| is_mine_to_drop(view, cid, file)) {
            let others = holders(view, file);
            let known = view.kept.get(cid);
            let uploader = known.map(|known| known.uploader);
            let uploader = uploader.filter(|peer| view.pressure.is_urgent && others.contains(peer));
            let is_lacking = others.len() < enough;
            let least = if view.pressure.is_urgent { 1 } else { enough.saturating_sub(1).max(1) };
            if others.len() >= least {
                let changed = known.map(|known| known.changed);
                choice.push((is_lacking, changed, *cid, uploader, if is_lacking { least } else { enough }));
            }
        }
        choice.sort_unstable();
        for (_, _, cid, uploader, needed) in choice {
            if lacking == 0 {
                return;
            }
            if self.may_begin(&cid) && (uploader.is_some() || self.is_settled(&cid, view.elapsed)) {
                self.begin(view, cid, (ReleaseReason::Space, needed, uploader), outcome);
                lacking = lacking.saturating_sub(size(&cid));
            }
        }
    }

    /// Makes the first step.
    fn begin(
        &mut self,
        view: &View<'_>,
        cid: Cid,
        (reason, needed, uploader): (ReleaseReason, usize, Option<PeerId>),
        outcome: &mut Outcome,
    ) {
        let item = Station::Safe.item(&cid);
        let records = view.set.records_about(&item).iter();
        let known = records.map(|record| (record.signer(), record.signature().sequence)).collect();
        outcome.statements.propose(item, Validity::over(view.now.time));
        let (time, since) = (view.now.time, view.elapsed);
        self.leaves.insert(cid, Leave { reason, needed, uploader, time, since, known });
    }

    /// Makes the second step for the files whose copies were confirmed. Ends the attempts that take too long, and those
    /// for which there are too few holders.
    fn proceed(&mut self, view: &View<'_>, is_known: bool, outcome: &mut Outcome) {
        let (mut ended, leaves) = (Vec::new(), &self.leaves);
        for (cid, leave) in leaves {
            let Some(file) = view.files.get(cid).filter(|_| is_known && !view.is_needed(cid)) else {
                ended.push(*cid);
                continue;
            };
            let others = holders(view, file);
            let is_confirmed = |peer: &PeerId| leave.is_confirmed(view, cid, *peer);
            let has_uploader =
                leave.uploader.is_none_or(|peer| others.contains(&peer) && is_confirmed(&peer));
            if others.len() < leave.needed || view.elapsed >= leave.since + PATIENCE {
                ended.push(*cid);
            } else if file.holders.contains_key(&view.me) {
                // The first step is not published yet.
                outcome.statements.propose(Station::Safe.item(cid), Validity::over(view.now.time));
            } else if has_uploader && others.iter().filter(|peer| is_confirmed(peer)).count() >= leave.needed
            {
                outcome.released.push((*cid, leave.reason));
            }
        }
        ended.into_iter().for_each(|cid| self.cancel(cid, view.elapsed));
    }

    /// Confirms the copies that other robots rely on.
    fn confirm(&mut self, view: &View<'_>, outcome: &mut Outcome) {
        let mut number = 0;
        for (cid, file) in view.files {
            let is_stated = file.holders.contains_key(&view.me) || view.catalogued.contains(cid);
            let is_holder = view.kept.contains_key(cid) && is_stated;
            if !is_holder || self.is_leaving(cid) || number >= MAX_CONFIRMED {
                continue;
            }
            let item = Station::Safe.item(cid);
            let Some(time) = last_retraction(view, view.set.records_about(&item)) else { continue };
            let is_new = self.answered.get(cid).is_none_or(|answered| *answered < time);
            let is_early = self.stated.get(cid).is_some_and(|at| view.elapsed < at + CONFIRM_EVERY);
            if is_new && !(is_early && self.answered.contains_key(cid)) {
                number += 1;
                outcome.statements.insist(item, Validity::stated(view.now.time, LIFETIME));
                self.answered.insert(*cid, time);
                self.stated.insert(*cid, view.elapsed);
            }
        }
    }
}

impl Leave {
    /// Returns whether a holder has confirmed its copy since the first step.
    fn is_confirmed(&self, view: &View<'_>, cid: &Cid, peer: PeerId) -> bool {
        let key = dcache::Key { item: Station::Safe.item(cid), signer: peer };
        view.set.get(&key).is_some_and(|record| {
            let sequence = record.signature().sequence;
            let is_new = self.known.get(&peer).is_none_or(|known| *known < sequence);
            let end = record.validity().until();
            let signed = end.map(|end| Time(end.0.saturating_sub(LIFETIME)));
            is_new && signed.is_some_and(|signed| signed.plus(TOLERANCE) >= self.time)
        })
    }
}

/// Returns the present holders of a file, other than this node.
fn holders(view: &View<'_>, file: &SharedFile) -> Vec<PeerId> {
    let others = file.holders.keys().copied().filter(|peer| *peer != view.me);
    others.filter(|peer| view.peers.is_present(*peer)).collect()
}

/// Returns the number of present holders of a file that rank above this node.
fn better(view: &View<'_>, file: &SharedFile) -> usize {
    let mine = view.peers.rank(view.me, file);
    holders(view, file).into_iter().filter(|peer| view.peers.rank(*peer, file) > mine).count()
}

/// Returns whether this node states that it keeps a file, and may let go of it: neither its user nor the swarm decided
/// about the file.
fn is_mine_to_drop(view: &View<'_>, cid: &Cid, file: &SharedFile) -> bool {
    let is_of_other = view.kept.get(cid).is_some_and(|known| known.uploader != view.me);
    let is_stated = file.holders.contains_key(&view.me) && !file.proposers.contains_key(&view.me);
    is_of_other && is_stated && file.state == State::Safe && !view.is_needed(cid)
}

/// Returns the time of the latest of these records by which another peer took back that it keeps the file, if it is
/// recent.
fn last_retraction(view: &View<'_>, records: &[Record]) -> Option<Time> {
    let time = |record: &Record| {
        let (from, until) = (record.validity().from()?, record.validity().until()?);
        let is_retraction = record.kind() == Kind::Propose && until.since(from) <= 1;
        let time = until.plus(CLOCK_LEEWAY);
        let is_recent = time.0.abs_diff(view.now.time.0) <= RECENT;
        (is_retraction && is_recent && record.signer() != view.me).then_some(time)
    };
    records.iter().filter_map(time).max()
}
