//! Rate limits for the records of each signer, by whichever channels they arrive. They limit the work of keeping,
//! storing and forwarding the records.
//!
//! Each admitted record costs its signer one unit. At once, a signer may send a multiple of the number of its records
//! in the set. In the long run, it may renew each of them every few minutes. So a signer may send as many records as
//! its quota allows, change all of them at once, and renew them as often as any service does. It may not repeat the
//! same statements without end. Records beyond the limit wait, only the latest one for each item, and are admitted when
//! the limit allows. So the latest record about an item arrives in the end.
//!
//! News about items that this node does not know has a lower limit as well. Otherwise a key that nobody has heard of
//! could push its whole quota at once, and keep all robots of a class busy for many seconds. Records that find no
//! space to wait are brought by the next comparison. A comparison has its own pace, so this limit does not apply to it.

use dcache::{Item, Key, PeerId, Record, Set, Signature, Statement};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Number of records that a signer may send at once in addition to [`TIMES_HELD`] times its records in the set.
const AT_ONCE: u64 = 256;
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
/// Number of unknown items that a signer may push at once. A robot that starts states about ten.
const NEW_AT_ONCE: u64 = 64;
/// Parts that a signer gets back per millisecond for unknown items: 64 items per second.
const NEW_BACK: u64 = 64 * PARTS / 1000;
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
    /// Whether the record was pushed as news. Otherwise a comparison brought it.
    pub(crate) is_pushed: bool,
}

/// The recent records of one signer: their cost, and the records that wait.
#[derive(Debug)]
struct Signer<Source> {
    /// Cost that remains at the time `since`.
    cost: u64,
    /// The part of it that is due to unknown items.
    cost_of_new: u64,
    since: Duration,
    waiting: BTreeMap<Item, Waiting<Source>>,
    /// Time at which the next waiting record may be taken, as computed last.
    next: Duration,
}

/// Returns the maximum cost of a signer, and the cost that it gets back per millisecond.
fn limits(held: usize) -> (u64, u64) {
    let held = u64::try_from(held).unwrap_or(u64::MAX);
    let most = AT_ONCE.saturating_add(held.saturating_mul(TIMES_HELD)).saturating_mul(PARTS);
    (most, BACK.saturating_add(held.saturating_mul(BACK_FOR_EACH)))
}

impl<Source> Signer<Source> {
    fn new(elapsed: Duration) -> Self {
        Self { cost: 0, cost_of_new: 0, since: elapsed, waiting: BTreeMap::new(), next: Duration::ZERO }
    }

    /// Takes the cost of one record if the limits allow it. Otherwise notes when they will.
    fn spend(&mut self, held: usize, is_new: bool, elapsed: Duration) -> bool {
        let allowed_at = self.allowed_at(held, is_new, elapsed);
        if allowed_at > self.since {
            self.next = allowed_at;
            return false;
        }
        self.cost += PARTS;
        self.cost_of_new += if is_new { PARTS } else { 0 };
        true
    }

    /// Returns the time at which the limits allow another record.
    fn allowed_at(&mut self, held: usize, is_new: bool, elapsed: Duration) -> Duration {
        let (most, back) = limits(held);
        let passed = u64::try_from(elapsed.saturating_sub(self.since).as_millis()).unwrap_or(u64::MAX);
        // The remaining fraction of a millisecond counts the next time.
        self.since += Duration::from_millis(passed);
        self.cost = self.cost.saturating_sub(back.saturating_mul(passed));
        self.cost_of_new = self.cost_of_new.saturating_sub(NEW_BACK.saturating_mul(passed));
        let mut wait = (self.cost + PARTS).saturating_sub(most).div_ceil(back);
        if is_new {
            let beyond = (self.cost_of_new + PARTS).saturating_sub(NEW_AT_ONCE * PARTS);
            wait = wait.max(beyond.div_ceil(NEW_BACK));
        }
        self.since + Duration::from_millis(wait)
    }
}

/// The rate limits of all signers, and the records that wait for them. `Source` is the way in which a record came.
#[derive(Debug)]
pub(crate) struct SignerRates<Source> {
    signers: BTreeMap<PeerId, Signer<Source>>,
    /// Signers of waiting records, ordered by the time at which the next of these may be taken.
    queue: BTreeSet<(Duration, PeerId)>,
    /// Number of waiting records.
    waiting: usize,
    serial: u64,
}

impl<Source> Default for SignerRates<Source> {
    fn default() -> Self {
        Self { signers: BTreeMap::new(), queue: BTreeSet::new(), waiting: 0, serial: 0 }
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

    /// Returns whether [`Self::take`] would drop a record. Then there is no need to verify the signature.
    pub(crate) fn is_full(
        &mut self,
        key: &Key,
        arrival: Arrival<Source>,
        set: &Set,
        elapsed: Duration,
    ) -> bool {
        let Some(of) = self.signers.get_mut(&key.signer) else { return false };
        let has_space = of.waiting.len() < MAX_WAITING_OF_ONE && self.waiting < MAX_WAITING;
        if has_space || of.waiting.contains_key(&key.item) {
            return false;
        }
        let is_new = arrival.is_pushed && set.get(key).is_none();
        of.allowed_at(set.held_of(key.signer), is_new, elapsed) > of.since
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
        let is_new = is_pushed && set.get(&Key::from(record)).is_none();
        let of = self.signers.entry(signer).or_insert_with(|| Signer::new(elapsed));
        let was_next = of.next;
        let is_allowed = of.spend(set.held_of(signer), is_new, elapsed);
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
            let is_allowed = oldest.as_ref().is_some_and(|(key, is_pushed)| {
                of.spend(set.held_of(signer), *is_pushed && set.get(key).is_none(), elapsed)
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
        if let Some((&least, _)) = idle.min_by_key(|(_, of)| (of.cost, of.since)) {
            self.signers.remove(&least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Data, End, Keypair, Kind, Time, Validity};

    const SECOND: Duration = Duration::from_secs(1);
    const NOW: Time = Time(1_800_000_000);

    fn record(signer: u32, data: u64, sequence: u64) -> Record {
        let item =
            Item { bucket: "share/files".parse().unwrap(), data: Data::new(&data.to_string()).unwrap() };
        let statement = Statement::new(Kind::Propose, item, Validity::starting(NOW, 3600)).unwrap();
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&signer.to_be_bytes());
        Record::sign(statement, &Keypair::from_seed(seed), sequence, End::default())
    }

    const PUSHED: Arrival<u8> = Arrival { source: 7, is_pushed: true };
    const COMPARED: Arrival<u8> = Arrival { source: 7, is_pushed: false };

    /// Sends a record to a set through the rate limit, as a comparison does. Returns whether it was admitted at once.
    fn say(rates: &mut SignerRates<u8>, set: &mut Set, record: Record, elapsed: Duration) -> bool {
        let is_taken = rates.take(&record, COMPARED, set, elapsed);
        if is_taken {
            set.admit_verified(record, NOW).unwrap();
        }
        is_taken
    }

    #[test]
    fn a_signer_may_state_its_whole_quota_and_renew_it_twice_at_once() {
        let (mut rates, mut set) = (SignerRates::default(), Set::default());
        for round in 0..3 {
            for data in 0..4096 {
                let record = record(1, data, round * 5000 + data + 1);
                assert!(say(&mut rates, &mut set, record, SECOND), "{round}: {data}");
            }
        }
    }

    #[test]
    fn news_of_a_signer_that_nobody_knows_is_admitted_slowly_and_comparisons_bring_the_rest() {
        let (mut rates, mut set, mut elapsed) = (SignerRates::default(), Set::default(), SECOND);
        let (mut pushed, mut dropped) = (0, 0);
        for data in 0..8000 {
            elapsed += Duration::from_micros(500);
            let record = record(1, data, data + 1);
            if rates.is_full(&Key::from(&record), PUSHED, &set, elapsed) {
                dropped += 1;
            } else if rates.take(&record, PUSHED, &set, elapsed) {
                set.admit_verified(record, NOW).unwrap();
                pushed += 1;
            }
            while let Some((record, _)) = rates.due(&set, elapsed) {
                set.admit_verified(record, NOW).unwrap();
                pushed += 1;
            }
        }
        // 64 at once, and 64 in each of 4 s.
        assert!((310..=330).contains(&pushed), "{pushed}");
        assert!(dropped > 7000, "{dropped}");
        let renewal = record(1, 0, 9000);
        assert!(rates.take(&renewal, PUSHED, &set, elapsed), "known items are not limited");
        for data in 7000..7500 {
            let record = record(1, data, data + 10_000);
            assert!(say(&mut rates, &mut set, record, elapsed), "comparisons are not limited: {data}");
        }
        assert!(say(&mut rates, &mut set, record(2, 0, 1), elapsed), "other signers are not affected");
    }

    #[test]
    fn repeated_records_wait_and_the_latest_arrives() {
        let (mut rates, mut set) = (SignerRates::default(), Set::default());
        let (mut taken, mut elapsed) = (0, SECOND);
        for sequence in 1..=20_000 {
            elapsed += Duration::from_millis(1);
            taken += u64::from(say(&mut rates, &mut set, record(1, sequence % 10, sequence), elapsed));
            while let Some((record, _)) = rates.due(&set, elapsed) {
                set.admit_verified(record, NOW).unwrap();
                taken += 1;
            }
        }
        assert!((280..400).contains(&taken), "{taken}");
        assert!(say(&mut rates, &mut set, record(2, 0, 1), elapsed), "other signers are not affected");
        while let Some(wake) = rates.next_wake() {
            elapsed = elapsed.max(wake);
            if let Some((record, source)) = rates.due(&set, elapsed) {
                assert_eq!(source, 7);
                set.admit_verified(record, NOW).unwrap();
            }
        }
        assert_eq!(set.latest_sequence(record(1, 0, 1).signer()), 20_000);
        assert!(elapsed < SECOND * 40, "{elapsed:?}");
        assert_eq!(rates.waiting, 0);
    }

    #[test]
    fn a_waiting_record_is_better_than_the_same_or_earlier_ones() {
        let (mut rates, mut set) = (SignerRates::default(), Set::default());
        for sequence in 1..=400 {
            say(&mut rates, &mut set, record(1, 0, sequence), SECOND);
        }
        let has_better = |sequence| {
            let record = record(1, 0, sequence);
            rates.has_better(record.statement(), record.signature())
        };
        assert!(has_better(400) && has_better(399) && !has_better(401));
    }

    #[test]
    fn the_state_kept_of_signers_is_bounded() {
        let (mut rates, mut set) = (SignerRates::default(), Set::default());
        for signer in 0..5000 {
            say(&mut rates, &mut set, record(signer, 0, 1), SECOND);
        }
        for sequence in 1..3000 {
            rates.take(&record(9999, sequence, sequence), COMPARED, &set, SECOND);
        }
        assert!(rates.signers.len() <= MAX_SIGNERS && rates.waiting == MAX_WAITING_OF_ONE);
        assert_eq!(rates.queue.len(), 1);
    }
}
