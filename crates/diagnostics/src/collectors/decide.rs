//! The pure decider of a collector: which batches to fetch, and what to state.
//!
//! - A collector that roles name states its key. A batch that a robot announces is fetched, unless all of its rows are
//!   stored.
//! - One batch of each robot is fetched at a time, and a few in total. Peers with a role go first, then robots that are
//!   present, then others. Among equal ones, the one whose last turn is the longest ago goes first. So no robot can keep
//!   the others from their turns.
//! - A robot has a budget of bytes for each day, and so have all robots together. A batch that could not be fetched is
//!   tried again later, a refused one is not.
//! - A receipt is stated while its robot announces a batch that is stored. The robot withdraws the batch then, so the
//!   collector has few receipts.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::batch::SealingPublicKey;
use crate::batch::stated::{StatedBatch, announced, key_item, named_collectors, receipt_item, renew};
use crate::collectors::track::RobotState;
use dcache::buckets::{BATCHES, COLLECTORS, RECEIPTS, SEALING_KEY};
use dcache::{Item, Moment, Pattern, PeerId, Role, Set, Statements, Time, Validity};
use service::{Decide, Decision};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of batches that are fetched at the same time.
pub const MAX_FETCHES: usize = 4;
/// Budget of one robot in a day, in bytes. A month of history has about 6 MB.
pub const ROBOT_BUDGET: u64 = 64 << 20;
/// Budget in a day, in bytes, of all robots without a role together, and of all peers with a role. A fleet of a thousand
/// robots has about 200 MB.
pub const TOTAL_BUDGET: u64 = 4 << 30;
/// Seconds after which a batch that could not be fetched is tried again. The time doubles with each failure.
const RETRY: u64 = 60;
/// Maximum number of doublings of the time: an hour.
const MAX_DOUBLINGS: u32 = 6;
/// Maximum number of batches whose failures are remembered.
const MAX_REMEMBERED: usize = 10_000;
/// Number of robots for which turns and budgets are remembered.
const MAX_ROBOTS: usize = 20_000;
/// Seconds in a day.
const DAY: u64 = 24 * 3600;

/// A batch to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fetch {
    /// Robot that announces the batch.
    pub robot: PeerId,
    /// The batch to fetch.
    pub batch: StatedBatch,
}

/// Work for the I/O shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Fetch a batch of at most the announced size, open it, and store its rows. Then call [`Collecting::stored`],
    /// [`Collecting::failed`] or [`Collecting::refused`].
    Fetch(Fetch),
    /// End a fetch: its robot does not announce the batch any more.
    Cancel(Fetch),
}

/// How a fetch ended that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// Number of attempts that failed, and the time of the next one.
    Again(u32, Time),
    /// The batch is refused, and will not be better later.
    Never,
}

/// The bytes that were fetched on a day.
#[derive(Clone, Copy, Debug, Default)]
struct Budget {
    day: u64,
    bytes: u64,
}

impl Budget {
    fn left(&self, most: u64, now: Time) -> u64 {
        if self.day == now.0 / DAY { most.saturating_sub(self.bytes) } else { most }
    }

    fn take(&mut self, bytes: u64, now: Time) {
        let day = now.0 / DAY;
        let before = if self.day == day { self.bytes } else { 0 };
        *self = Self { day, bytes: before.saturating_add(bytes) };
    }
}

/// Decides about the work of a collector.
#[derive(Clone, Debug)]
pub struct Collecting {
    me: PeerId,
    key: SealingPublicKey,
    /// The rows that are stored of each robot.
    robots: BTreeMap<PeerId, RobotState>,
    fetching: BTreeSet<Fetch>,
    failures: BTreeMap<Fetch, Failure>,
    /// The number of the last turn of each robot, and its budget.
    turns: BTreeMap<PeerId, (u64, Budget)>,
    turn: u64,
    /// The budgets of all peers with a role, and of all other robots.
    totals: [Budget; 2],
    is_named: bool,
}

impl Collecting {
    /// Creates the decider of the node `me`, with its key and what its store has.
    pub fn new(me: PeerId, key: SealingPublicKey, robots: BTreeMap<PeerId, RobotState>) -> Self {
        Self {
            me,
            key,
            robots: robots.into_iter().map(|(robot, state)| (robot, state.outline())).collect(),
            fetching: BTreeSet::new(),
            failures: BTreeMap::new(),
            turns: BTreeMap::new(),
            turn: 0,
            totals: [Budget::default(); 2],
            is_named: false,
        }
    }

    /// Returns whether roles named this node as a collector at the last decision.
    pub const fn is_named(&self) -> bool {
        self.is_named
    }

    /// Notes that the rows of a batch are durable, and the new state of its robot.
    pub fn stored(&mut self, fetch: &Fetch, state: RobotState) {
        self.fetching.remove(fetch);
        self.failures.remove(fetch);
        self.robots.insert(fetch.robot, state.outline());
    }

    /// Notes that a batch could not be fetched or stored. It is tried again later.
    pub fn failed(&mut self, fetch: &Fetch, now: Time) {
        self.fetching.remove(fetch);
        let attempts = match self.failures.get(fetch) {
            Some(Failure::Again(attempts, _)) => attempts.saturating_add(1),
            _ => 1,
        };
        let wait = RETRY << (attempts - 1).min(MAX_DOUBLINGS);
        self.remember(*fetch, Failure::Again(attempts, now.plus(wait)));
    }

    /// Notes that a batch is refused. It is not fetched again while it is announced.
    pub fn refused(&mut self, fetch: &Fetch) {
        self.fetching.remove(fetch);
        self.remember(*fetch, Failure::Never);
    }

    fn remember(&mut self, fetch: Fetch, failure: Failure) {
        if self.failures.len() < MAX_REMEMBERED || self.failures.contains_key(&fetch) {
            self.failures.insert(fetch, failure);
        }
    }
}

impl Decide for Collecting {
    type Action = Action;

    fn decide(&mut self, set: &Set, now: Moment) -> Decision<Action> {
        let (now, is_certain) = (now.time, now.is_certain);
        self.is_named = named_collectors(set, now).contains(&self.me);
        let announced = if self.is_named { announced(set, now) } else { BTreeMap::new() };
        let actions = self.fetches(set, &announced, (now, is_certain));
        let (statements, renewal) = self.state(set, &announced, now);
        let edge = set.next_edge(&[COLLECTORS.matcher()], now);
        let retry = self.next_retry(now);
        Decision { statements, actions, wake: renewal.into_iter().chain(edge).chain(retry).min() }
    }
}

impl Collecting {
    /// Ends the fetches that are not wanted any more, and begins others.
    fn fetches(
        &mut self,
        set: &Set,
        announced: &BTreeMap<PeerId, Vec<StatedBatch>>,
        (now, is_certain): (Time, bool),
    ) -> Vec<Action> {
        let is_announced =
            |fetch: &Fetch| announced.get(&fetch.robot).is_some_and(|list| list.contains(&fetch.batch));
        let (kept, ended): (BTreeSet<Fetch>, BTreeSet<Fetch>) =
            std::mem::take(&mut self.fetching).into_iter().partition(is_announced);
        self.fetching = kept;
        self.failures.retain(|fetch, _| is_announced(fetch));
        let mut actions: Vec<Action> = ended.into_iter().map(Action::Cancel).collect();
        let mut waiting: Vec<_> =
            announced.iter().filter_map(|(robot, list)| self.next_of(set, *robot, list, now)).collect();
        waiting.sort_unstable();
        for (Reverse(role), _, fetch) in waiting {
            // Without the time of day, the times in a batch cannot be checked.
            if self.fetching.len() >= MAX_FETCHES || !is_certain {
                break;
            }
            // Strangers cannot use up the budget of members.
            let class = usize::from(role < Some(Role::Trusted));
            if self.totals[class].left(TOTAL_BUDGET, now) < fetch.batch.bytes || !self.take_turn(&fetch, now)
            {
                continue;
            }
            self.totals[class].take(fetch.batch.bytes, now);
            self.fetching.insert(fetch);
            actions.push(Action::Fetch(fetch));
        }
        actions
    }

    /// Returns the next batch of a robot that is to be fetched, with its rank: the lowest rank goes first.
    fn next_of(
        &self,
        set: &Set,
        robot: PeerId,
        list: &[StatedBatch],
        now: Time,
    ) -> Option<(Reverse<Option<Role>>, u64, Fetch)> {
        if self.fetching.iter().any(|fetch| fetch.robot == robot) {
            return None;
        }
        let (turn, budget) = self.turns.get(&robot).copied().unwrap_or_default();
        let left = budget.left(ROBOT_BUDGET, now);
        let is_due = |batch: &&StatedBatch| {
            let is_open = match self.failures.get(&Fetch { robot, batch: **batch }) {
                Some(Failure::Never) => false,
                Some(Failure::Again(_, at)) => *at <= now,
                None => true,
            };
            is_open && batch.bytes <= left && !self.has(robot, batch)
        };
        let batch = list.iter().filter(is_due).min_by_key(|batch| (batch.after, Reverse(batch.last)))?;
        Some((Reverse(set.role(robot, now)), turn, Fetch { robot, batch: *batch }))
    }

    /// Notes that a robot has its turn. Returns false if there are too many robots.
    fn take_turn(&mut self, fetch: &Fetch, now: Time) -> bool {
        if self.turns.len() >= MAX_ROBOTS && !self.turns.contains_key(&fetch.robot) {
            // A robot whose budget is of another day has nothing to remember but its turn.
            self.turns.retain(|_, (_, budget)| budget.day == now.0 / DAY);
            if self.turns.len() >= MAX_ROBOTS {
                return false;
            }
        }
        self.turn += 1;
        let (turn, budget) = self.turns.entry(fetch.robot).or_default();
        *turn = self.turn;
        budget.take(fetch.batch.bytes, now);
        true
    }

    /// Returns whether all rows of a batch are stored.
    fn has(&self, robot: PeerId, batch: &StatedBatch) -> bool {
        let histories = self.robots.get(&robot).into_iter().flat_map(|state| &state.histories);
        histories
            .filter(|track| track.history == batch.history)
            .any(|track| track.has(batch.after, batch.last))
    }

    /// Returns the receipt for a robot that announces batches, if one of them is stored.
    fn receipt(&self, robot: PeerId, list: &[StatedBatch]) -> Option<Item> {
        let state = self.robots.get(&robot)?;
        let track = state
            .histories
            .iter()
            .rev()
            .find(|track| list.iter().any(|batch| batch.history == track.history))?;
        let receipt = track.receipt()?;
        let is_news = |batch: &StatedBatch| batch.history == receipt.history && batch.last <= receipt.last;
        list.iter().any(is_news).then(|| receipt_item(self.me, robot, &receipt))?
    }

    /// States the key and the receipts, and withdraws others. Returns the time of the next renewal.
    fn state(
        &self,
        set: &Set,
        announced: &BTreeMap<PeerId, Vec<StatedBatch>>,
        now: Time,
    ) -> (Statements, Option<Time>) {
        let key = key_item(self.me, self.key).filter(|_| self.is_named);
        let receipts = announced.iter().filter_map(|(robot, list)| self.receipt(*robot, list));
        let wanted: Vec<(Item, u64)> = key
            .into_iter()
            .map(|key| (key, SEALING_KEY.lifetime()))
            .chain(receipts.map(|receipt| (receipt, RECEIPTS.lifetime())))
            .collect();
        let mut statements = Statements::new();
        let renewal = wanted
            .iter()
            .map(|(item, lifetime)| renew(&mut statements, (set, self.me), item.clone(), *lifetime, now))
            .min();
        let items: BTreeSet<&Item> = wanted.iter().map(|(item, _)| item).collect();
        for former in self.stated(set, now).into_iter().filter(|item| !items.contains(item)) {
            statements.propose(former, Validity::over(now));
        }
        (statements, renewal)
    }

    /// Returns the keys and receipts that this node states.
    fn stated(&self, set: &Set, now: Time) -> Vec<Item> {
        let keys = set.bucket(&SEALING_KEY.of(self.me), now).map(|view| view.item.clone());
        let mut items: Vec<Item> = keys.collect();
        if let Ok(receipts) = Pattern::new(&format!("/{}/*", RECEIPTS.of(self.me).as_str())) {
            items.extend(set.matching(&receipts, now).map(|view| view.item.clone()));
        }
        items
    }

    /// Returns the time of the next attempt of a batch that could not be fetched.
    fn next_retry(&self, now: Time) -> Option<Time> {
        let times = self.failures.values().filter_map(|failure| match failure {
            Failure::Again(_, at) => Some(*at),
            Failure::Never => None,
        });
        times.filter(|at| *at > now).min()
    }
}

/// Returns whether a record in a bucket can change the decisions of a collector.
pub fn is_of_interest(bucket: &dcache::BucketPath) -> bool {
    BATCHES.contains(bucket) || COLLECTORS.contains(bucket)
}

#[cfg(test)]
mod tests;
