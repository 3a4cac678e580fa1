//! Rate limits for the records of each signer, by whichever channels they arrive. They limit the work of keeping,
//! storing and forwarding the records.
//!
//! Each admitted record costs its signer one unit. At once, a signer may send a multiple of the number of its records
//! in the set. In the long run, it may renew each of them every few minutes. So a signer may send as many records as
//! its quota allows, change all of them at once, and renew them as often as any service does. It may not repeat the
//! same statements without end. Records beyond the limit wait, only the latest one for each item, and are admitted when
//! the limit allows. So the latest record about an item arrives in the end.
//!
//! Records that a signer pushes have a lower limit as well. Otherwise one key could push its whole quota at once, and
//! keep all robots of a class busy for many seconds. A further limit holds for news about unknown items of all signers
//! together, because one peer can have many keys. A signer of records in the set has a small reserve beyond it, so that
//! a flood by others does not delay its news. Records that find no space to wait are brought by the next comparison. A
//! comparison has its own pace, so these limits do not apply to it.

use dcache::{Item, Key, PeerId, Record, Set, Signature, Statement};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Number of records that a signer may send at once in addition to [`TIMES_HELD`] times its records in the set.
const AT_ONCE: u64 = 64;
/// Number of times that a signer may replace all its records at once: to state them, to take them back, and to state
/// them again.
const TIMES_HELD: u64 = 3;
/// Cost of one record, in parts. Parts are small enough that a whole number of them is given back per millisecond.
const PARTS: u64 = 300_000;
/// Parts that a signer gets back per millisecond: 2 records per second.
const BACK: u64 = 2 * PARTS / 1000;
/// Additional parts per millisecond for each record in the set, so that each may be renewed every 150 s. Services renew
/// a record at half of its lifetime. The shortest lifetime of a bucket is ten minutes, so they need half of this rate.
const BACK_FOR_EACH: u64 = PARTS / 150_000;
/// Limit of records that one signer pushes: 32 at once, and 64 per second. A robot that starts states about ten. Each
/// record costs every robot of the swarm a check of the signature, so a signer with many records may not renew all of them
/// at once.
const PUSHED: Limit = Limit { most: 32 * PARTS, back: 64 * PARTS / 1000 };
/// Limit of unknown items that all signers together push beyond their reserves: 64 at once, and 16 per second. News at
/// this rate costs a robot about 1 % of a processor.
const NEWS_OF_ALL: Limit = Limit { most: 64 * PARTS, back: 16 * PARTS / 1000 };
/// Unknown items of a signer of records in the set that do not count for [`NEWS_OF_ALL`]: 8 at once, and 1 per second.
const RESERVE: Limit = Limit { most: 8 * PARTS, back: PARTS / 1000 };
/// Time for which a signer waits at least once the news of all signers are beyond their limit. Otherwise all waiting
/// signers would be considered for each item.
const TURN: Duration = Duration::from_secs(1);
/// Maximum number of signers whose costs are kept.
const MAX_SIGNERS: usize = 4096;
/// Maximum number of waiting records of one signer.
const MAX_WAITING_OF_ONE: usize = 256;
/// Maximum number of waiting records of all signers together. They take about 2 MB.
const MAX_WAITING: usize = 1024;

/// A waiting record, and the way in which it came.
#[derive(Debug)]
struct Waiting<Source> {
    /// Position in the queue: that of the first record about the same item.
    serial: u64,
    record: Record,
    source: Source,
    is_pushed: bool,
}

/// The way in which a record came, as far as it matters for the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival<Source> {
    pub(crate) source: Source,
    /// Whether nobody asked for the record. Otherwise a comparison brought it.
    pub(crate) is_pushed: bool,
}

/// A cost that may be reached at once, and the parts of it that are given back per millisecond.
#[derive(Clone, Copy, Debug)]
struct Limit {
    most: u64,
    back: u64,
}

impl Limit {
    /// Returns the limit of all records of a signer that has this number of records in the set.
    fn of_signer(held: usize) -> Self {
        let held = u64::try_from(held).unwrap_or(u64::MAX);
        let most = AT_ONCE.saturating_add(held.saturating_mul(TIMES_HELD)).saturating_mul(PARTS);
        Self { most, back: BACK.saturating_add(held.saturating_mul(BACK_FOR_EACH)) }
    }
}

/// The cost of recent records.
#[derive(Debug, Default)]
struct Spent {
    /// Cost that remains at the time `since`.
    cost: u64,
    since: Duration,
}

impl Spent {
    /// Returns the time after which the limit allows another record.
    fn wait(&mut self, limit: Limit, elapsed: Duration) -> Duration {
        let passed = u64::try_from(elapsed.saturating_sub(self.since).as_millis()).unwrap_or(u64::MAX);
        // The remaining fraction of a millisecond counts the next time.
        self.since += Duration::from_millis(passed);
        self.cost = self.cost.saturating_sub(limit.back.saturating_mul(passed));
        Duration::from_millis((self.cost + PARTS).saturating_sub(limit.most).div_ceil(limit.back))
    }
}

/// The recent records of one signer: their cost, and the records that wait.
#[derive(Debug)]
struct Signer<Source> {
    spent: Spent,
    /// The cost of records that were pushed.
    spent_on_pushed: Spent,
    /// The cost of unknown items that were pushed, within the reserve.
    spent_of_reserve: Spent,
    waiting: BTreeMap<Item, Waiting<Source>>,
    /// Time at which the next waiting record may be taken, as computed last.
    next: Duration,
}

/// The limit of all signers within which a record is, if it is within those of its signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    /// It is not pushed news.
    NoOther,
    Reserve,
    NewsOfAll,
}

/// Whether a record is news, as far as it matters for the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// A comparison brought the record.
    Asked,
    /// It was pushed, and replaces a record in the set.
    Known,
    /// It was pushed, and the set has no record of its signer about the item.
    Unknown,
}

impl News {
    fn of(key: &Key, is_pushed: bool, set: &Set) -> Self {
        match is_pushed {
            false => Self::Asked,
            true if set.get(key).is_some() => Self::Known,
            true => Self::Unknown,
        }
    }
}

impl<Source> Signer<Source> {
    fn new() -> Self {
        let (spent, spent_on_pushed, spent_of_reserve) = Default::default();
        Self { spent, spent_on_pushed, spent_of_reserve, waiting: BTreeMap::new(), next: Duration::ZERO }
    }

    /// Takes the cost of one record if the limits allow it. Otherwise notes when they will.
    fn spend(&mut self, held: usize, news: News, elapsed: Duration, of_all: &mut Spent) -> bool {
        let (wait, within) = self.wait(held, news, elapsed, of_all);
        if !wait.is_zero() {
            self.next = elapsed + wait;
            return false;
        }
        self.spent.cost += PARTS;
        self.spent_on_pushed.cost += if news == News::Asked { 0 } else { PARTS };
        match within {
            Within::NoOther => {}
            Within::Reserve => self.spent_of_reserve.cost += PARTS,
            Within::NewsOfAll => of_all.cost += PARTS,
        }
        true
    }

    /// Returns the time after which the limits allow another record.
    fn wait(&mut self, held: usize, news: News, elapsed: Duration, of_all: &mut Spent) -> (Duration, Within) {
        let wait = self.spent.wait(Limit::of_signer(held), elapsed);
        let mut wait_of_pushed = || self.spent_on_pushed.wait(PUSHED, elapsed);
        let wait = match news {
            News::Asked => return (wait, Within::NoOther),
            News::Known => return (wait.max(wait_of_pushed()), Within::NoOther),
            News::Unknown => wait.max(wait_of_pushed()),
        };
        if held > 0 && self.spent_of_reserve.wait(RESERVE, elapsed).is_zero() {
            return (wait, Within::Reserve);
        }
        let wait_for_all = of_all.wait(NEWS_OF_ALL, elapsed);
        let turn = if wait_for_all.is_zero() { Duration::ZERO } else { TURN };
        (wait.max(wait_for_all).max(turn), Within::NewsOfAll)
    }
}

/// The rate limits of all signers, and the records that wait for them. `Source` is the way in which a record came.
#[derive(Debug)]
pub(crate) struct SignerRates<Source> {
    signers: BTreeMap<PeerId, Signer<Source>>,
    /// The cost of unknown items that all signers together pushed beyond their reserves.
    spent_on_news: Spent,
    /// Signers of waiting records, ordered by the time at which the next of these may be taken.
    queue: BTreeSet<(Duration, PeerId)>,
    /// Number of waiting records.
    waiting: usize,
    serial: u64,
}

impl<Source> Default for SignerRates<Source> {
    fn default() -> Self {
        let spent_on_news = Spent::default();
        Self { signers: BTreeMap::new(), spent_on_news, queue: BTreeSet::new(), waiting: 0, serial: 0 }
    }
}

impl<Source: Copy> SignerRates<Source> {
    /// Returns when the next waiting record may be taken.
    pub(crate) fn next_wake(&self) -> Option<Duration> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Returns whether a waiting record outranks this one. Then there is no need to verify the signature.
    pub(crate) fn has_better(&self, statement: &Statement, signature: &Signature) -> bool {
        let waiting = self.signers.get(&signature.signer).and_then(|of| of.waiting.get(statement.item()));
        waiting.is_some_and(|waiting| waiting.record.outranks(statement, signature))
    }

    /// Returns whether a record with this key waits.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.signers.get(&key.signer).is_some_and(|of| of.waiting.contains_key(&key.item))
    }

    /// Removes and returns a waiting record.
    pub(crate) fn take_back(&mut self, key: &Key) -> Option<Record> {
        let waiting = self.signers.get_mut(&key.signer)?.waiting.remove(&key.item)?;
        self.waiting -= 1;
        Some(waiting.record)
    }

    /// Forgets all waiting records.
    pub(crate) fn forget_waiting(&mut self) {
        self.signers.values_mut().for_each(|of| of.waiting.clear());
        self.queue.clear();
        self.waiting = 0;
    }

    /// Returns whether [`Self::take`] would drop a record. Then there is no need to verify the signature.
    pub(crate) fn is_full(
        &mut self,
        key: &Key,
        arrival: Arrival<Source>,
        set: &Set,
        elapsed: Duration,
    ) -> bool {
        let (of, has_space) = (self.signers.get_mut(&key.signer), self.waiting < MAX_WAITING);
        let waiting = of.as_ref().map(|of| &of.waiting);
        if waiting.map_or(has_space, |waiting| {
            has_space && waiting.len() < MAX_WAITING_OF_ONE || waiting.contains_key(&key.item)
        }) {
            return false;
        }
        let (held, news) = (set.held_of(key.signer), News::of(key, arrival.is_pushed, set));
        let (wait, _) = match of {
            Some(of) => of.wait(held, news, elapsed, &mut self.spent_on_news),
            None => Signer::<Source>::new().wait(held, news, elapsed, &mut self.spent_on_news),
        };
        !wait.is_zero()
    }

    /// Takes the cost of a verified record, if the limits of its signer allow that, and returns whether they do.
    /// Otherwise the record waits, if there is space.
    pub(crate) fn take(
        &mut self,
        record: &Record,
        arrival: Arrival<Source>,
        set: &Set,
        elapsed: Duration,
    ) -> bool {
        let signer = record.signer();
        if !self.signers.contains_key(&signer) && self.signers.len() >= MAX_SIGNERS {
            self.forget_one();
        }
        let Arrival { source, is_pushed } = arrival;
        let news = News::of(&Key::from(record), is_pushed, set);
        let of = self.signers.entry(signer).or_insert_with(Signer::new);
        let was_next = of.next;
        let is_allowed = of.spend(set.held_of(signer), news, elapsed, &mut self.spent_on_news);
        if is_allowed {
            // An earlier record about the same item need not wait any more.
            self.waiting -= usize::from(of.waiting.remove(record.item()).is_some());
        } else if let Some(waiting) = of.waiting.get_mut(record.item()) {
            (waiting.record, waiting.source, waiting.is_pushed) = (record.clone(), source, is_pushed);
        } else if of.waiting.len() < MAX_WAITING_OF_ONE && self.waiting < MAX_WAITING {
            self.serial += 1;
            let waiting = Waiting { serial: self.serial, record: record.clone(), source, is_pushed };
            of.waiting.insert(record.item().clone(), waiting);
            self.waiting += 1;
        }
        let (next, is_queued) = (of.next, !of.waiting.is_empty());
        self.requeue(signer, was_next, is_queued.then_some(next));
        is_allowed
    }

    /// Returns the next waiting record that the limits of its signer allow by now. The items of one signer come in the
    /// order in which they began to wait.
    pub(crate) fn due(&mut self, set: &Set, elapsed: Duration) -> Option<(Record, Source)> {
        loop {
            let (at, signer) = *self.queue.first().filter(|(at, _)| *at <= elapsed)?;
            let Some(of) = self.signers.get_mut(&signer) else {
                self.queue.pop_first();
                continue;
            };
            let oldest = of.waiting.values().min_by_key(|waiting| waiting.serial);
            let oldest = oldest.map(|waiting| (Key::from(&waiting.record), waiting.is_pushed));
            let (held, of_all) = (set.held_of(signer), &mut self.spent_on_news);
            let is_allowed = oldest.as_ref().is_some_and(|(key, is_pushed)| {
                of.spend(held, News::of(key, *is_pushed, set), elapsed, of_all)
            });
            let taken = oldest.filter(|_| is_allowed).and_then(|(key, _)| of.waiting.remove(&key.item));
            let (next, is_queued) = (of.next, !of.waiting.is_empty());
            self.requeue(signer, at, is_queued.then_some(next));
            if let Some(Waiting { record, source, .. }) = taken {
                self.waiting -= 1;
                return Some((record, source));
            }
        }
    }

    fn requeue(&mut self, signer: PeerId, from: Duration, to: Option<Duration>) {
        self.queue.remove(&(from, signer));
        self.queue.extend(to.map(|to| (to, signer)));
    }

    /// Removes the signer with the lowest cost among those that have no waiting record.
    fn forget_one(&mut self) {
        let idle = self.signers.iter().filter(|(_, of)| of.waiting.is_empty());
        if let Some((&least, _)) = idle.min_by_key(|(_, of)| (of.spent.cost, of.spent.since)) {
            self.signers.remove(&least);
        }
    }
}

#[cfg(test)]
mod tests;
