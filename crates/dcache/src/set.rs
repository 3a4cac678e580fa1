//! The set: for each item and signer that signer's latest record.
//!
//! What is kept is a function of the records seen, not of their order: between two records of one item and signer
//! the one with the higher [`Record::order`] stays; of one signer's records the newest stay, up to a quota.

use crate::{BucketPath, Digest, Item, Kind, Pattern, PeerId, Policy, Record, Signature, Statement, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where a record stands in the set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What it is about.
    pub item: Item,
    /// Whose word it is.
    pub signer: PeerId,
}

/// How much the set takes.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Records of one signer; of more, the newest stay.
    pub per_signer: usize,
    /// Records in all; once reached, no further one is taken until some expire.
    pub total: usize,
    /// The longest validity, in seconds.
    pub lifetime: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { per_signer: 4096, total: 100_000, lifetime: 31 * 24 * 3600 }
    }
}

/// What became of a record that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is new and in the set now.
    New {
        /// The record.
        record: Record,
        /// Records of the same signer that left because of its quota.
        evicted: Vec<Key>,
    },
    /// It was there already, or a later word of its signer is.
    Known,
}

/// Why a record was not let in. Nothing that is refused is stored or passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// The bucket belongs to another peer.
    #[error("the bucket belongs to another peer than the signer")]
    NotOwner,
    /// Its validity is over.
    #[error("its validity is over")]
    Expired,
    /// Its validity has an open end or is too long.
    #[error("its validity has an open end, or is longer than allowed")]
    Lifetime,
    /// Its signer has many newer records.
    #[error("its signer has said too much since")]
    Quota,
    /// The set is full.
    #[error("the store is full")]
    Full,
    /// The signature does not fit.
    #[error("the signature does not fit")]
    Forged,
}

#[derive(Clone, Debug)]
struct Held {
    record: Record,
    /// When it may be forgotten: once no record that it replaced could be valid any more, or such a one would come
    /// back to life through a peer that was away.
    forget: Option<Time>,
}

/// An item that is in its bucket at the time asked for.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// The item.
    pub item: &'a Item,
    /// The accepted proposals that hold at that time, by signer.
    pub proposals: Vec<&'a Record>,
}

/// All records that this node holds. See the module's documentation.
#[derive(Clone, Debug, Default)]
pub struct Set {
    policy: Policy,
    limits: Limits,
    items: BTreeMap<Item, BTreeMap<PeerId, Held>>,
    by_signer: BTreeMap<PeerId, BTreeMap<(u64, Digest), Item>>,
    by_end: BTreeSet<(Time, Key)>,
    length: usize,
}

impl Set {
    /// An empty set.
    pub fn new(policy: Policy, limits: Limits) -> Self {
        Self { policy, limits, ..Self::default() }
    }

    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Takes in what a channel brought: cheap checks first, the signature last, and not at all for what is known.
    ///
    /// # Errors
    /// When the record is refused, with the reason; the set is unchanged then.
    pub fn admit(
        &mut self,
        statement: Arc<Statement>,
        signature: Signature,
        now: Time,
    ) -> Result<Admission, Refusal> {
        if self.is_known(&statement, &signature) {
            return Ok(Admission::Known);
        }
        self.check(&statement, &signature, now)?;
        let record = Record::verify(statement, signature).map_err(|_| Refusal::Forged)?;
        Ok(self.insert(record, None))
    }

    /// Takes in a record that was verified before: this node's own, or one read back from its disk.
    ///
    /// # Errors
    /// When it is refused for another reason than its signature; the set is unchanged then.
    pub fn admit_verified(&mut self, record: Record, now: Time) -> Result<Admission, Refusal> {
        if self.is_known(record.statement(), record.signature()) {
            return Ok(Admission::Known);
        }
        self.check(record.statement(), record.signature(), now)?;
        Ok(self.insert(record, None))
    }

    /// Puts back what [`Set::forget_time`] said to keep until then; what may be forgotten by `now` is dropped.
    pub fn restore(&mut self, record: Record, forget: Option<Time>, now: Time) -> bool {
        let known = self.is_known(record.statement(), record.signature());
        if known || forget.is_some_and(|forget| forget <= now) {
            return false;
        }
        self.insert(record, forget);
        true
    }

    /// Until when the record at `key` has to be kept; `None` for ever (or when there is none).
    pub fn forget_time(&self, key: &Key) -> Option<Time> {
        self.held(&key.item, key.signer)?.forget
    }

    fn held(&self, item: &Item, signer: PeerId) -> Option<&Held> {
        self.items.get(item)?.get(&signer)
    }

    fn is_known(&self, statement: &Statement, signature: &Signature) -> bool {
        let order = (signature.sequence, *statement.digest());
        self.held(statement.item(), signature.signer).is_some_and(|held| held.record.order() >= order)
    }

    /// Everything that can be judged without the signature.
    fn check(&self, statement: &Statement, signature: &Signature, now: Time) -> Result<(), Refusal> {
        let signer = signature.signer;
        if self.policy.is_foreign(statement.kind(), statement.item(), signer) {
            return Err(Refusal::NotOwner);
        }
        if statement.validity().is_over(now) {
            return Err(Refusal::Expired);
        }
        if statement.validity().seconds().is_none_or(|seconds| seconds > self.limits.lifetime) {
            return Err(Refusal::Lifetime);
        }
        let replaces = self.held(statement.item(), signer).is_some();
        if !replaces {
            self.check_room(signer, (signature.sequence, *statement.digest()))?;
        }
        Ok(())
    }

    fn check_room(&self, signer: PeerId, order: (u64, Digest)) -> Result<(), Refusal> {
        let empty = BTreeMap::new();
        let of_signer = self.by_signer.get(&signer).unwrap_or(&empty);
        if of_signer.len() < self.limits.per_signer {
            return if self.length < self.limits.total { Ok(()) } else { Err(Refusal::Full) };
        }
        let is_older = of_signer.first_key_value().is_some_and(|(oldest, _)| order < *oldest);
        if is_older { Err(Refusal::Quota) } else { Ok(()) }
    }

    fn insert(&mut self, record: Record, forget: Option<Time>) -> Admission {
        let key = Key { item: record.item().clone(), signer: record.signer() };
        let replaced = self.remove(&key);
        let forget = match forget {
            Some(_) => forget,
            None => later_end(record.validity().until(), replaced.as_ref()),
        };
        if let Some(time) = forget {
            self.by_end.insert((time, key.clone()));
        }
        self.by_signer.entry(key.signer).or_default().insert(record.order(), key.item.clone());
        let held = Held { record: record.clone(), forget };
        self.items.entry(key.item.clone()).or_default().insert(key.signer, held);
        self.length += 1;
        Admission::New { record, evicted: self.evict(key.signer) }
    }

    /// Drops a signer's oldest records until its quota holds.
    fn evict(&mut self, signer: PeerId) -> Vec<Key> {
        let mut evicted = Vec::new();
        while let Some(of_signer) = self.by_signer.get(&signer)
            && of_signer.len() > self.limits.per_signer
            && let Some((_, item)) = of_signer.first_key_value()
        {
            let key = Key { item: item.clone(), signer };
            self.remove(&key);
            evicted.push(key);
        }
        evicted
    }

    fn remove(&mut self, key: &Key) -> Option<Held> {
        let of_item = self.items.get_mut(&key.item)?;
        let held = of_item.remove(&key.signer)?;
        if of_item.is_empty() {
            self.items.remove(&key.item);
        }
        if let Some(of_signer) = self.by_signer.get_mut(&key.signer) {
            of_signer.remove(&held.record.order());
            if of_signer.is_empty() {
                self.by_signer.remove(&key.signer);
            }
        }
        if let Some(time) = held.forget {
            self.by_end.remove(&(time, key.clone()));
        }
        self.length -= 1;
        Some(held)
    }

    /// Forgets what can be valid nowhere any more; returns where it stood.
    pub fn expire(&mut self, now: Time) -> Vec<Key> {
        let mut expired = Vec::new();
        while let Some((time, key)) = self.by_end.first().cloned()
            && time <= now
        {
            self.remove(&key);
            expired.push(key);
        }
        expired
    }

    /// The items of one bucket at a time, in the order of their data.
    pub fn bucket<'a>(&'a self, bucket: &'a BucketPath, now: Time) -> impl Iterator<Item = View<'a>> {
        // The empty data sorts before every other.
        let first = Item { bucket: bucket.clone(), data: crate::Data::default() };
        let of_bucket = self.items.range(first..).take_while(move |(item, _)| item.bucket == *bucket);
        of_bucket.filter_map(move |(item, held)| self.view(item, held, now))
    }

    /// The items of all buckets that match, at a time, in the order of bucket and data.
    pub fn matching<'a>(&'a self, pattern: &'a Pattern, now: Time) -> impl Iterator<Item = View<'a>> {
        let matching = self.items.iter().filter(|(item, _)| pattern.matches(&item.bucket));
        matching.filter_map(move |(item, held)| self.view(item, held, now))
    }

    /// Whether an item is in its bucket at a time, and who says so.
    pub fn item(&self, item: &Item, now: Time) -> Option<View<'_>> {
        let (item, held) = self.items.get_key_value(item)?;
        self.view(item, held, now)
    }

    fn view<'a>(&self, item: &'a Item, held: &'a BTreeMap<PeerId, Held>, now: Time) -> Option<View<'a>> {
        let counts = |record: &&Record| {
            record.validity().contains(now) && self.policy.accepts(record.kind(), item, record.signer())
        };
        let counting = || held.values().map(|held| &held.record).filter(counts);
        if counting().any(|record| record.kind() == Kind::Dismiss) {
            return None;
        }
        let proposals: Vec<&Record> = counting().collect();
        (!proposals.is_empty()).then_some(View { item, proposals })
    }

    /// Every record that is not over at `now` and whose bucket matches one of the patterns: what a `req` asks for.
    pub fn live<'a>(&'a self, patterns: &'a [Pattern], now: Time) -> impl Iterator<Item = &'a Record> {
        let matches = |item: &Item| patterns.iter().any(|pattern| pattern.matches(&item.bucket));
        let matching = self.items.iter().filter(move |(item, _)| matches(item));
        let records = matching.flat_map(|(_, held)| held.values().map(|held| &held.record));
        records.filter(move |record| !record.validity().is_over(now))
    }

    /// Every record, in a fixed order.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.items.values().flat_map(|held| held.values().map(|held| &held.record))
    }

    /// The record at `key`.
    pub fn get(&self, key: &Key) -> Option<&Record> {
        self.held(&key.item, key.signer).map(|held| &held.record)
    }

    /// The highest sequence number seen of a signer; zero when none is held.
    pub fn latest_sequence(&self, signer: PeerId) -> u64 {
        let latest = self.by_signer.get(&signer).and_then(|words| words.last_key_value());
        latest.map_or(0, |((sequence, _), _)| *sequence)
    }
}

/// The later of a new record's end and the time until which the one that it replaces had to be kept.
fn later_end(end: Option<Time>, replaced: Option<&Held>) -> Option<Time> {
    match replaced {
        Some(held) => Some(end?.max(held.forget?)),
        None => end,
    }
}

#[cfg(test)]
mod tests;
