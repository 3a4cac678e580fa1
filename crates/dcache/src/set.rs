//! The set: for each item and signer one record, within quotas, until it is over. A CRDT.
//!
//! What a set holds at a time is a function of the records that it saw, not of their order, their number, or what was
//! over or over a quota when they came. Three rules make that so, each with the same total order, the *rank* (see
//! [`Record::rank`]: the record to be remembered longer is the greater):
//!
//! 1. of one signer's records about one item the greatest stays;
//! 2. of one signer's records in one quota group (the buckets of one row of the policy, large items apart from the others)
//!    the greatest so many stay;
//! 3. of the records of all strangers together in one quota group the greatest so many stay.
//!
//! Whatever is dropped has enough greater ones as witnesses. A witness is remembered at least as long as what it speaks
//! against, and when it is itself dropped, then for a greater one that takes its place. So no later arrival and no
//! passing of time ever brings the question up again. (Counting *the newest* instead would not do: a short record would
//! displace a long one and be over before it, and the long one would be missing where it came first and be there where
//! it came last. For an honest signer, whose records of one sort live equally long, the greatest are the newest.)
//!
//! Strangers are those of whom nobody with authority has ever spoken. That somebody is one no more shows only when the
//! record that says so comes; what was dropped before is not there then, and comes back from others by repair. No
//! bounded store can do without that: one that knew nothing of roles would treat all keys alike, and whoever makes ten
//! thousand of them would drive out everybody else. Nor is anything held of those who are denied, until that ends.

mod index;
mod inventory;
mod membership;
mod powerless;
mod quota;
mod read;
mod refusal;
mod room;
mod search;
mod verify;

use crate::authority::Authority;
use crate::keys::Keys;
use crate::record::{keep, rank};
use crate::{End, Item, Moment, PeerId, Policy, Record, Signature, Statement, Time, Validity};
use index::{Items, Ranked};
use inventory::Inventory;
pub use inventory::{BOUND_GRID, Fingerprint};
use membership::Standing;
use quota::Group;
pub use read::View;
pub use refusal::{Limits, Refusal};
pub use room::Room;
pub use search::Search;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Where a record stands in the set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What it is about.
    pub item: Item,
    /// Who signed it.
    pub signer: PeerId,
}

impl From<&Record> for Key {
    fn from(record: &Record) -> Self {
        Self { item: record.item().clone(), signer: record.signer() }
    }
}

/// What became of a record that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is new and in the set now.
    New {
        /// The record.
        record: Record,
        /// Records that left for it, or because of what it says about roles.
        evicted: Vec<Key>,
    },
    /// It was there already, or a greater record of its signer is.
    Known,
}

/// All records that this node holds. See the module's documentation.
#[derive(Clone, Debug)]
pub struct Set {
    policy: Policy,
    limits: Limits,
    items: Items,
    /// The records of each signer, by rank.
    signers: BTreeMap<(PeerId, Group), BTreeSet<Ranked>>,
    /// The records of strangers, by rank.
    pools: BTreeMap<Group, BTreeSet<Ranked>>,
    authority: Authority,
    /// While the time is not known: who had which role before.
    before_doubt: Option<Authority>,
    keys: Keys,
    inventory: Inventory,
}

impl Default for Set {
    fn default() -> Self {
        Self::new(Policy::default(), Limits::default())
    }
}

impl Set {
    /// An empty set.
    pub fn new(policy: Policy, limits: Limits) -> Self {
        let authority = Authority::of_roots(&policy);
        let (items, signers, pools) = (Items::default(), BTreeMap::new(), BTreeMap::new());
        Self {
            policy,
            limits,
            items,
            signers,
            pools,
            authority,
            before_doubt: None,
            keys: Keys::default(),
            inventory: Inventory::default(),
        }
    }

    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.inventory.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Who may say what.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Takes in what a channel brought, if [`Set::verify`] finds nothing against it.
    ///
    /// # Errors
    /// When the record is refused, with the reason; the set is unchanged then.
    pub fn admit(
        &mut self,
        statement: Statement,
        signature: Signature,
        now: Time,
    ) -> Result<Admission, Refusal> {
        let record = self.verify(statement, signature, now)?;
        Ok(record.map_or(Admission::Known, |record| self.insert(record, now)))
    }

    /// Takes in a record whose signature was verified before, such as this node's own.
    ///
    /// # Errors
    /// When it is refused for another reason than its signature; the set is unchanged then.
    pub fn admit_verified(&mut self, record: Record, now: Time) -> Result<Admission, Refusal> {
        if self.is_known(record.statement(), record.signature()) {
            return Ok(Admission::Known);
        }
        self.check(record.statement(), record.signature(), now)?;
        Ok(self.insert(record, now))
    }

    /// Whether [`Set::admit_verified`] would take the record; `false` when a greater record of its signer is there.
    ///
    /// # Errors
    /// When it would refuse it, with the reason.
    pub fn would_take(&self, record: &Record, now: Time) -> Result<bool, Refusal> {
        let (statement, signature) = parts(record);
        self.check(statement, signature, now)?;
        Ok(!self.is_known(statement, signature))
    }

    /// Puts back what was on this node's disk, in any order; returns where those stood that are not to be there any
    /// more.
    pub fn restore(&mut self, records: impl IntoIterator<Item = Record>, now: Moment) -> Vec<Key> {
        let mut dropped = Vec::new();
        for record in records {
            if self.is_powerless(record.kind(), record.item(), record.signer()) {
                dropped.push(Key::from(&record));
            } else if !self.is_known(record.statement(), record.signature()) {
                self.put(record);
            }
        }
        // Only now is it known who is a member.
        dropped.extend(self.refresh(now.time));
        dropped.extend(self.trim_all());
        dropped.extend(self.refresh(now.time));
        dropped.extend(self.advance(now));
        dropped
    }

    /// Brings the set to a moment: forgets what is over, and looks anew at who holds which role. Returns where those
    /// stood that left.
    pub fn advance(&mut self, now: Moment) -> Vec<Key> {
        let mut dropped = self.judge(now);
        let mut over = self.forget(now.settled);
        if now.is_certain {
            over.extend(self.forget_far_ahead(now.time));
        }
        let mattered = |key: &Key| self.authority.depends_on(key.signer, &key.item);
        if over.iter().any(mattered) {
            dropped.extend(self.refresh(now.time));
        }
        dropped.extend(over);
        dropped
    }

    /// The record at `key`.
    pub fn get(&self, key: &Key) -> Option<&Record> {
        self.held(&key.item, key.signer)
    }

    fn held(&self, item: &Item, signer: PeerId) -> Option<&Record> {
        self.items.get(item)?.of(signer)
    }

    fn is_known(&self, statement: &Statement, signature: &Signature) -> bool {
        self.held(statement.item(), signature.signer)
            .is_some_and(|held| rank((statement, signature), parts(held)) != Ordering::Greater)
    }

    /// Everything that can be judged without the signature.
    fn check(&self, statement: &Statement, signature: &Signature, now: Time) -> Result<(), Refusal> {
        let signer = signature.signer;
        if self.policy.is_foreign(statement.kind(), statement.item(), signer) {
            return Err(Refusal::NotOwner);
        }
        if self.is_powerless(statement.kind(), statement.item(), signer) {
            return Err(Refusal::Powerless);
        }
        if keep(statement, signature).is_over(now) {
            return Err(Refusal::Expired);
        }
        match self.standing(signer, now) {
            Standing::Denied => return Err(Refusal::Denied),
            Standing::Member => self.check_times_of_member(statement, signature, now)?,
            Standing::Stranger => self.check_times(statement, signature, now)?,
        }
        self.check_room(statement, signature)
    }

    fn check_times(&self, statement: &Statement, signature: &Signature, now: Time) -> Result<(), Refusal> {
        if !self.is_bounded(statement, signature) {
            return Err(Refusal::Lifetime);
        }
        if keep(statement, signature) > End::at(now.plus(self.limits.ahead)) {
            return Err(Refusal::Ahead);
        }
        Ok(())
    }

    /// Whether a record may come from somebody without a role.
    fn is_bounded(&self, statement: &Statement, signature: &Signature) -> bool {
        if !self.is_for_a_while(statement.validity()) {
            return false;
        }
        let (from, keep) = (statement.validity().from(), keep(statement, signature).time());
        // What is taken back may have been about a time to come, so it may have to be kept for longer than it holds.
        let is_kept_briefly =
            matches!((from, keep), (Some(from), Some(keep)) if keep.since(from) <= self.limits.ahead);
        is_kept_briefly || self.limits == Limits::NONE
    }

    /// Whether a validity is such as somebody without a role may give: with two ends, not too far apart.
    fn is_for_a_while(&self, validity: &Validity) -> bool {
        let seconds = validity.seconds();
        seconds.is_some_and(|seconds| seconds <= self.limits.lifetime) || self.limits == Limits::NONE
    }

    fn check_room(&self, statement: &Statement, signature: &Signature) -> Result<(), Refusal> {
        let signer = signature.signer;
        if self.held(statement.item(), signer).is_some() {
            // It takes the place of a lesser one.
            return Ok(());
        }
        let group = self.group(statement.item());
        let is_too_low = |records: Option<&BTreeSet<Ranked>>, room: usize| {
            records.filter(|records| records.len() >= room).is_some_and(|records| {
                let lowest = records.first();
                lowest.is_none_or(|lowest| rank((statement, signature), parts(&lowest.0)) == Ordering::Less)
            })
        };
        if is_too_low(self.signers.get(&(signer, group)), self.quota(signer, group)) {
            return Err(Refusal::Quota);
        }
        let is_stranger = !self.authority.is_member(signer);
        if is_stranger && is_too_low(self.pools.get(&group), self.quota_of_strangers(group)) {
            return Err(Refusal::Crowded);
        }
        Ok(())
    }

    fn insert(&mut self, record: Record, now: Time) -> Admission {
        let group = self.group(record.item());
        let record = self.put(record);
        let mut evicted = self.trim(record.signer(), group);
        let matters = |key: &Key| self.authority.depends_on(key.signer, &key.item);
        if matters(&Key::from(&record)) || evicted.iter().any(matters) {
            evicted.extend(self.refresh(now));
        }
        Admission::New { record, evicted }
    }

    /// Puts a record in, in place of its signer's former one about the item.
    fn put(&mut self, mut record: Record) -> Record {
        self.take(&Key::from(&record));
        // Thousands of records stand in one bucket: they share the text of its path.
        if let Some(neighbour) = self.items.first_from(&record.item().bucket) {
            record.share_bucket(&neighbour.bucket);
        }
        let key = Key::from(&record);
        let group = self.group(&key.item);
        if !self.authority.is_member(key.signer) {
            self.pools.entry(group).or_default().insert(Ranked(record.clone()));
        }
        self.signers.entry((key.signer, group)).or_default().insert(Ranked(record.clone()));
        self.items.put(record.clone());
        self.inventory.put(record.clone());
        record
    }

    fn take(&mut self, key: &Key) -> Option<Record> {
        let record = self.items.take(&key.item, key.signer)?;
        let (group, ranked) = (self.group(&key.item), Ranked(record.clone()));
        if let Some(of_signer) = self.signers.get_mut(&(key.signer, group)) {
            of_signer.remove(&ranked);
            if of_signer.is_empty() {
                self.signers.remove(&(key.signer, group));
            }
        }
        if let Some(pool) = self.pools.get_mut(&group) {
            pool.remove(&ranked);
        }
        self.inventory.take(&record);
        Some(record)
    }

    /// Drops the lowest records of a signer, and of all strangers, until the quotas of a group hold.
    fn trim(&mut self, signer: PeerId, group: Group) -> Vec<Key> {
        let (quota, of_strangers) = (self.quota(signer, group), self.quota_of_strangers(group));
        let mut dropped = Vec::new();
        while let Some(lowest) = lowest_beyond(self.signers.get(&(signer, group)), quota) {
            self.take(&lowest);
            dropped.push(lowest);
        }
        while let Some(lowest) = lowest_beyond(self.pools.get(&group), of_strangers) {
            self.take(&lowest);
            dropped.push(lowest);
        }
        dropped
    }

    /// Drops what strangers may not have, and what is beyond quotas, of everybody.
    fn trim_all(&mut self) -> Vec<Key> {
        let groups: Vec<(PeerId, Group)> = self.signers.keys().copied().collect();
        let signers: BTreeSet<PeerId> = groups.iter().map(|(signer, _)| *signer).collect();
        let is_stranger = |signer: &PeerId| !self.authority.is_member(*signer);
        let strangers: Vec<PeerId> = signers.into_iter().filter(is_stranger).collect();
        let mut dropped: Vec<Key> =
            strangers.into_iter().flat_map(|peer| self.drop_unbounded(peer)).collect();
        dropped.extend(groups.into_iter().flat_map(|(signer, group)| self.trim(signer, group)));
        dropped
    }

    /// Drops what no stranger could say now, because it ends too far ahead: it was taken while this node's clock, or its
    /// speaker's, was far ahead. It would stand above everything else until then.
    fn forget_far_ahead(&mut self, now: Time) -> Vec<Key> {
        let most = End::at(now.plus(self.limits.ahead));
        let is_far = |ranked: &&Ranked| ranked.0.keep() > most;
        let far = |pool: &BTreeSet<Ranked>| -> Vec<Key> {
            pool.iter().rev().take_while(is_far).map(|ranked| Key::from(&ranked.0)).collect()
        };
        let far: Vec<Key> = self.pools.values().flat_map(far).collect();
        for key in &far {
            self.take(key);
        }
        far
    }

    /// Drops what need not be remembered any more.
    fn forget(&mut self, now: Time) -> Vec<Key> {
        let is_over = |ranked: &&Ranked| ranked.0.keep().is_over(now);
        let all = |records: &BTreeSet<Ranked>| -> Vec<Key> {
            records.iter().take_while(is_over).map(|ranked| Key::from(&ranked.0)).collect()
        };
        let of_strangers = self.pools.values().flat_map(all);
        let groups = |member: &PeerId| self.signers.range((*member, Group::MIN)..=(*member, Group::MAX));
        let of_members =
            self.authority.members().iter().flat_map(groups).flat_map(|(_, records)| all(records));
        let over: Vec<Key> = of_strangers.chain(of_members).collect();
        for key in &over {
            self.take(key);
        }
        over
    }
}

fn parts(record: &Record) -> (&Statement, &Signature) {
    (record.statement(), record.signature())
}

/// The lowest of more than `room` records.
fn lowest_beyond(records: Option<&BTreeSet<Ranked>>, room: usize) -> Option<Key> {
    let records = records.filter(|records| records.len() > room)?;
    records.first().map(|lowest| Key::from(&lowest.0))
}

#[cfg(test)]
mod tests;
