//! The pure decider of a robot. It decides when to make a batch, which batches to announce, and when they are done.
//!
//! - A batch is made when its rows are enough, or when the oldest one has waited long enough, and when the swarm has
//!   collectors. Rows of earlier boots do not wait: the robot may lose its power again.
//! - At most [`MAX_OUTSTANDING`] batches wait for a receipt. So that they hold a month, young batches are merged: a new
//!   batch takes over the rows of the ones before it that are not larger than itself.
//! - A batch is announced until a collector that roles name has stored it. Then the robot forgets it.
//! - While the time of day is not known, as on a robot whose clock starts in 1970, roles are not known for sure. Then the
//!   history is sealed only for collectors that the robot knew when it last knew the time.
//! - When a peer is no collector any more, batches that are sealed for it are withdrawn and made again. When a collector
//!   is added, batches are made again after [`RESEAL_PAUSE`].
//!
//! The shell does the work: it reads the rows, seals them, and puts the batch into IPFS. Before a new batch is there,
//! the ones that it replaces stay.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::content::FULL_ROWS;
use super::state::{BatchCid, BatchState, MAX_OUTSTANDING, Outstanding};
use super::stated::{batch_item, is_dismissed, named_collectors, recipients, renew, stored_by};
use super::{HistoryId, MAX_NUMBER, SealingPublicKey};
use crate::sample::{Sample, Stamp};
use cid::Cid;
use dcache::buckets::{BATCHES, COLLECTORS, SEALING_KEY};
use dcache::{Item, Moment, PeerId, Set, Statements, Time, Validity};
use service::{Decide, Decision};
use std::collections::{BTreeMap, BTreeSet};

/// Number of rows for which a batch is made. They are six hours of minutes.
const ENOUGH_ROWS: usize = 360;
/// Default time, in seconds, for which a row of this boot waits for others at most.
pub const DEFAULT_WAIT: u64 = 6 * 3600;
/// Time, in seconds, after the start before which no batch is made. In this time receipts and roles arrive.
const START_PAUSE: u64 = 60;
/// Time, in seconds, between two batches. A robot that boots again and again would fill its disk with small ones.
const PAUSE: u64 = 600;
/// Time, in seconds, between two batches while there are rows for a full one.
const BACKLOG_PAUSE: u64 = 5;
/// Time, in seconds, between two times at which all batches are made again because a collector was added. It protects the
/// disk of a robot from collectors that come and go.
pub const RESEAL_PAUSE: u64 = 6 * 3600;
/// Maximum time, in seconds, that counts between two decisions. A longer one means that the clock was set. The daemon
/// decides at least once a minute.
const LONGEST_STEP: u64 = 90;

/// The rows that are in no batch yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Number of the oldest row of the history on the disk, also of those in batches.
    pub oldest: u64,
    /// Number of the last row of the history.
    pub last: u64,
    /// Number of rows after [`Batching::batched`]. It may be counted up to [`FULL_ROWS`] only.
    pub rows: usize,
    /// Seconds for which the oldest one of these rows waits; [`u64::MAX`] if it is of an earlier boot.
    pub seconds: u64,
}

impl Pending {
    /// Counts rows that are in no batch. They follow those that were counted before.
    pub fn count(&mut self, rows: &[Sample], now: Stamp) {
        let wait = |row: &Sample| match row.stamp.boot == now.boot {
            true => now.millis.saturating_sub(row.stamp.millis) / 1000,
            false => u64::MAX,
        };
        if self.rows == 0 {
            self.seconds = rows.first().map_or(0, wait);
        }
        self.rows += rows.len();
        self.last = rows.last().map_or(self.last, |row| row.sequence);
    }
}

/// The order to make a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// ID of the history.
    pub history: HistoryId,
    /// Number of the last row that no collector has to store any more.
    pub base: u64,
    /// Number of the row before the first one.
    pub after: u64,
    /// Maximum number of rows.
    pub most: usize,
    /// The collectors for which to seal the batch.
    pub collectors: BTreeMap<PeerId, SealingPublicKey>,
}

/// A batch that the shell made and put into IPFS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// The sealed batch in IPFS.
    pub cid: Cid,
    /// Number of its first row.
    pub first: u64,
    /// Number of its last row.
    pub last: u64,
    /// Number of its rows.
    pub rows: usize,
    /// Size of the sealed batch in bytes.
    pub bytes: u64,
}

/// Work for the I/O shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a batch, pin it, and call [`Batching::made`] or [`Batching::failed`].
    Make(Order),
    /// Keep the state on the disk. A state that is lost costs work, and no rows.
    Save(BatchState),
    /// Unpin a batch: it is stored, replaced, or given up. When the daemon starts, the shell also unpins all batches that
    /// the state does not name.
    Release(Cid),
}

/// Decides about the batches of a robot.
#[derive(Clone, Debug)]
pub struct Batching {
    me: PeerId,
    state: BatchState,
    /// The state that the shell keeps.
    saved: Option<BatchState>,
    /// ID for the history if it began again.
    fresh: HistoryId,
    pending: Pending,
    /// Whether the history may be given to collectors.
    is_allowed: bool,
    /// Seconds for which a row of this boot waits for others.
    wait: u64,
    /// The order that the shell carries out.
    making: Option<Order>,
    released: Vec<BatchCid>,
    last: Option<Time>,
    /// Seconds since the start, without the jumps of a clock that is set.
    elapsed: u64,
    next_batch: u64,
    next_reseal: u64,
    is_copied: bool,
}

impl Batching {
    /// Creates the decider of the node `me`, with the state that was kept. `fresh` must be random: it becomes the ID of
    /// the history if there is no state, or if the history begins again.
    pub fn new(me: PeerId, kept: Option<BatchState>, fresh: HistoryId) -> Self {
        let mut state = kept.clone().unwrap_or_else(|| BatchState::new(fresh));
        state.repair();
        Self {
            me,
            state,
            saved: kept,
            fresh,
            pending: Pending::default(),
            is_allowed: true,
            wait: DEFAULT_WAIT,
            making: None,
            released: Vec::new(),
            last: None,
            elapsed: 0,
            next_batch: START_PAUSE,
            next_reseal: 0,
            is_copied: false,
        }
    }

    /// Sets whether the history may be given to collectors. If not, all batches are withdrawn.
    pub fn set_allowed(&mut self, is_allowed: bool) {
        self.is_allowed = is_allowed;
    }

    /// Sets for how many seconds a row of this boot waits for others at most.
    pub fn set_wait(&mut self, seconds: u64) {
        self.wait = seconds;
    }

    /// Sets whether another host uses the key of this node. Its announcements are then left to expire.
    pub fn set_copied(&mut self, is_copied: bool) {
        self.is_copied = is_copied;
    }

    /// Replaces the numbers of the rows that are in no batch. The shell counts them each minute, and after a batch. A
    /// history that ends before the rows of known batches has begun again, such as after the disk was replaced.
    pub fn set_pending(&mut self, pending: Pending) {
        self.pending = pending;
        if pending.last != 0 && pending.last < self.state.batched() && self.state.history != self.fresh {
            self.released.extend(self.state.reopen(0));
            let known = std::mem::take(&mut self.state.known);
            self.state = BatchState { known, ..BatchState::new(self.fresh) };
            self.making = None;
        }
    }

    /// Returns the number of the last row that is in a batch, or that needs none. [`Pending`] counts the rows after it.
    pub fn batched(&self) -> u64 {
        self.state.batched()
    }

    /// Returns the number of the last row that may be forgotten: a collector has stored it, or it is too old.
    pub const fn base(&self) -> u64 {
        self.state.base
    }

    /// Returns the state.
    pub const fn state(&self) -> &BatchState {
        &self.state
    }

    /// Notes that a batch of the last order was made. Returns whether the batch is still wanted. The shell must unpin an
    /// unwanted one.
    pub fn made(&mut self, made: &Made) -> bool {
        let Some(order) = self.making.take() else { return false };
        let is_sound =
            order.after < made.first && made.first <= made.last && made.last <= MAX_NUMBER && made.rows > 0;
        let place = self.state.outstanding.iter().position(|batch| batch.after == order.after);
        let is_next = place.is_some() || self.state.batched() == order.after;
        if !is_sound || !is_next || order.history != self.state.history {
            return false;
        }
        let replaced = place.map_or_else(Vec::new, |place| self.state.reopen(place));
        self.released.extend(replaced.into_iter().filter(|cid| cid.0 != made.cid));
        let Made { cid, first, last, rows, bytes } = *made;
        let sealed_for = order.collectors.into_keys().collect();
        let batch =
            Outstanding { cid: BatchCid(cid), after: order.after, first, last, rows, bytes, sealed_for };
        self.state.outstanding.push(batch);
        // The shell counts the rows that are left.
        self.pending.rows = 0;
        let is_backlog = rows >= FULL_ROWS;
        self.next_batch = self.elapsed + if is_backlog { BACKLOG_PAUSE } else { PAUSE };
        true
    }

    /// Notes that the batch of the last order could not be made.
    pub fn failed(&mut self) {
        self.making = None;
        self.next_batch = self.elapsed + PAUSE;
    }

    /// Notes that the content of a batch was lost. Its rows, and those of later batches, get a batch again.
    pub fn lost(&mut self, cid: &Cid) {
        if let Some(place) = self.state.outstanding.iter().position(|batch| batch.cid.0 == *cid) {
            self.released.extend(self.state.reopen(place));
        }
    }
}

impl Decide for Batching {
    type Action = Action;

    fn decide(&mut self, set: &Set, now: Moment) -> Decision<Action> {
        self.elapsed += self.last.map_or(0, |last| now.time.since(last)).min(LONGEST_STEP);
        self.last = Some(now.time);
        let named = self.sure_collectors(set, now);
        self.confirm(set, &named, now.time);
        let mut collectors = recipients(set, now.time);
        collectors.retain(|peer, _| named.contains(peer));
        self.drop_unusable(&named, &collectors, now);
        let mut actions = Vec::new();
        if let Some(order) = self.order(collectors) {
            self.making = Some(order.clone());
            actions.push(Action::Make(order));
        }
        let (statements, renewal) = self.announce(set, now.time);
        if self.saved.as_ref() != Some(&self.state) {
            self.saved = Some(self.state.clone());
            actions.push(Action::Save(self.state.clone()));
        }
        actions.extend(self.released.drain(..).map(|cid| Action::Release(cid.0)));
        let edge = set.next_edge(&[COLLECTORS.matcher(), SEALING_KEY.matcher()], now.time);
        Decision { statements, actions, wake: renewal.into_iter().chain(edge).min() }
    }
}

impl Batching {
    /// Returns the collectors that roles name. Roles that are not known for sure must not decide who gets the history. So
    /// while the time is not known, only those count that were named when it was known, and that nobody has dismissed.
    fn sure_collectors(&mut self, set: &Set, now: Moment) -> BTreeSet<PeerId> {
        let mut named = named_collectors(set, now.time);
        if now.is_certain {
            self.state.known.clone_from(&named);
        } else {
            named.retain(|peer| self.state.known.contains(peer) && !is_dismissed(set, *peer, now.time));
        }
        named
    }

    /// Takes the receipts of collectors.
    fn confirm(&mut self, set: &Set, named: &BTreeSet<PeerId>, now: Time) {
        let most = self.state.batched();
        if let Some(stored) = stored_by(set, named, (self.me, self.state.history), most, now) {
            self.released.extend(self.state.confirm(stored));
        }
    }

    /// Drops the batches that the right collectors cannot open, or that others can.
    fn drop_unusable(
        &mut self,
        named: &BTreeSet<PeerId>,
        collectors: &BTreeMap<PeerId, SealingPublicKey>,
        now: Moment,
    ) {
        if !self.is_allowed {
            self.released.extend(self.state.reopen(0));
            self.making = None;
            return;
        }
        // While the time is not known, roles that are missing say nothing.
        if !now.is_certain {
            return;
        }
        let is_revoked = |batch: &Outstanding| !batch.sealed_for.is_subset(named);
        if let Some(place) = self.state.outstanding.iter().position(is_revoked) {
            self.released.extend(self.state.reopen(place));
        }
        let wanted: BTreeSet<PeerId> = collectors.keys().copied().collect();
        // A batch whose rows the disk has no more stays as it is.
        let oldest = self.pending.oldest;
        let lacks = |batch: &Outstanding| !wanted.is_subset(&batch.sealed_for) && batch.first >= oldest;
        let place = self.state.outstanding.iter().position(lacks);
        if let Some(place) = place.filter(|_| self.making.is_none() && self.elapsed >= self.next_reseal) {
            self.next_reseal = self.elapsed + RESEAL_PAUSE;
            self.next_batch = self.next_batch.min(self.elapsed);
            self.released.extend(self.state.reopen(place));
        }
    }

    /// Returns the order for the next batch, if one is due.
    fn order(&mut self, collectors: BTreeMap<PeerId, SealingPublicKey>) -> Option<Order> {
        let new = self.pending.last > self.state.batched();
        if collectors.is_empty()
            || !self.is_allowed
            || self.making.is_some()
            || !new
            || self.elapsed < self.next_batch
        {
            return None;
        }
        let Pending { rows, seconds, .. } = self.pending;
        if rows == 0 || rows < ENOUGH_ROWS && seconds < self.wait {
            return None;
        }
        let place = self.merged(rows);
        if place >= MAX_OUTSTANDING {
            // The disk has the rows of no batch any more that could be merged.
            self.released.extend(self.state.give_up_oldest());
        }
        let after = self.state.outstanding.get(place).map_or(self.state.batched(), |batch| batch.after);
        Some(Order {
            history: self.state.history,
            base: self.state.base.min(after),
            after,
            most: FULL_ROWS,
            collectors,
        })
    }

    /// Returns the place of the first batch whose rows become part of a new batch with this number of new rows.
    fn merged(&self, new: usize) -> usize {
        let batches = &self.state.outstanding;
        let (mut place, mut rows) = (batches.len(), new);
        for batch in batches.iter().rev() {
            let is_worthwhile = batch.rows <= rows || place >= MAX_OUTSTANDING;
            if rows + batch.rows > FULL_ROWS || !is_worthwhile || batch.first < self.pending.oldest {
                break;
            }
            rows += batch.rows;
            place -= 1;
        }
        place
    }

    /// States the announcements of all batches, and withdraws others. Returns the time of the next renewal.
    fn announce(&self, set: &Set, now: Time) -> (Statements, Option<Time>) {
        let (mut statements, bucket) = (Statements::new(), BATCHES.of(self.me));
        let stated = self.state.outstanding.iter().map(|batch| batch.stated(self.state.history));
        let wanted: BTreeSet<Item> = stated.filter_map(|batch| batch_item(self.me, &batch)).collect();
        let renew =
            |item: &Item| renew(&mut statements, (set, self.me), item.clone(), BATCHES.lifetime(), now);
        let renewal = wanted.iter().map(renew).min();
        for view in set.bucket(&bucket, now).filter(|view| !self.is_copied && !wanted.contains(view.item)) {
            statements.propose(view.item.clone(), Validity::over(now));
        }
        (statements, renewal)
    }
}

#[cfg(test)]
mod tests;
