//! The set of records. It holds one record for each item and signer, within quotas, until the record expires. It is a
//! conflict-free replicated data type (CRDT).
//!
//! The content of a set at a given time is a function of the records that it received. It does not depend on the order
//! in which they arrived, nor on repeated arrivals. It also does not depend on whether a record had expired, or was
//! over a quota, when it arrived. Three rules ensure this. All three use the same total order, the *rank* (see
//! [`Record::rank`]): the record that must be remembered longer is the greater one.
//!
//! 1. Of one signer's records about one item, the set keeps the greatest.
//! 2. Of one signer's records in one quota group, the set keeps the greatest, up to the signer's quota. A quota group
//!    is the buckets of one row of the policy, with large items apart from the others.
//! 3. Of the records of all strangers together in one quota group, the set keeps the greatest, up to the strangers'
//!    quota.
//!
//! For every dropped record, the set holds the greater records that justify the drop: its witnesses. A witness is
//! remembered at least as long as the records that it displaced. If a witness is itself dropped, a greater record takes
//! its place. So neither a later arrival nor the passing of time can reverse the decision.
//!
//! Keeping *the newest* records instead would break this property. A record with an early end would displace a record
//! with a late end, and expire first. The record with the late end would then be missing on nodes where it came first,
//! and present on nodes where it came last. An honest signer gives records of one kind the same lifetime, so its
//! greatest records are also its newest.
//!
//! A stranger is a signer about whom no peer with authority has made a statement. A signer stops being a stranger when
//! such a statement arrives. Records of the signer that were dropped earlier are then missing, until repair brings them
//! back from other nodes. No bounded store can avoid this: a store without knowledge of roles would treat all keys
//! alike, and an attacker with ten thousand keys would displace all other signers. The set also holds no records of a
//! denied signer until the denial ends.

mod index;
mod inventory;
mod key;
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
use crate::{
    End, Item, Moment, PeerId, Policy, Record, Signature, Statement, Time, Validity, VerifiedRecords,
};
use index::{Items, Ranked};
use inventory::Inventory;
pub use inventory::{BOUND_GRID, Fingerprint};
pub use key::Key;
use membership::Standing;
use quota::Group;
pub use read::View;
pub use refusal::{Limits, Refusal};
pub use room::Room;
pub use search::Search;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// Result of admitting a record that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The record is new and now in the set.
    New {
        /// Record as it is in the set.
        record: Record,
        /// Records that were evicted because of a quota, or because the record changed roles.
        evicted: Vec<Key>,
    },
    /// The set already has this record, or a greater record of the same signer about the item.
    Known,
}

/// All records that this node holds. See the module documentation.
#[derive(Clone, Debug)]
pub struct Set {
    policy: Policy,
    limits: Limits,
    items: Items,
    /// Records of each signer, sorted by rank.
    signers: BTreeMap<(PeerId, Group), BTreeSet<Ranked>>,
    /// Records of all strangers, sorted by rank.
    pools: BTreeMap<Group, BTreeSet<Ranked>>,
    authority: Authority,
    /// The roles at another time, which were asked for before [`Set::advance`] was told of this time. So they are
    /// computed once, not for each question.
    other_authority: OnceLock<Box<Authority>>,
    /// The roles at the moment when the time became unknown, which limit all later roles; `None` while the time is
    /// known.
    before_doubt: Option<Authority>,
    keys: Keys,
    /// Records that were verified before by any node of this process; `None` outside of simulations.
    verified: Option<VerifiedRecords>,
    inventory: Inventory,
}

impl Default for Set {
    fn default() -> Self {
        Self::new(Policy::default(), Limits::default())
    }
}

impl Set {
    /// Creates an empty set.
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
            other_authority: OnceLock::new(),
            before_doubt: None,
            keys: Keys::default(),
            verified: None,
            inventory: Inventory::default(),
        }
    }

    /// Returns the number of records in the set.
    pub fn len(&self) -> usize {
        self.inventory.len()
    }

    /// Returns whether the set has no records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the policy: the rules for whose statements count.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Admits a record that arrived on a channel, if [`Set::verify`] accepts it.
    ///
    /// # Errors
    /// Returns the reason if the record is refused. The set is then unchanged.
    pub fn admit(
        &mut self,
        statement: Statement,
        signature: Signature,
        now: Time,
    ) -> Result<Admission, Refusal> {
        let record = self.verify(statement, signature, now)?;
        Ok(record.map_or(Admission::Known, |record| self.insert(record, now)))
    }

    /// Admits a record whose signature is already verified, such as this node's own.
    ///
    /// # Errors
    /// Returns the reason if the record is refused. The set is then unchanged.
    pub fn admit_verified(&mut self, record: Record, now: Time) -> Result<Admission, Refusal> {
        if self.is_known(record.statement(), record.signature()) {
            return Ok(Admission::Known);
        }
        self.check(record.statement(), record.signature(), now)?;
        Ok(self.insert(record, now))
    }

    /// Returns whether [`Set::admit_verified`] would add the record. Returns `false` if the set has a record of the
    /// same signer about the item that is equal or greater.
    ///
    /// # Errors
    /// Returns the reason if the record would be refused.
    pub fn would_take(&self, record: &Record, now: Time) -> Result<bool, Refusal> {
        let (statement, signature) = parts(record);
        self.check(statement, signature, now)?;
        Ok(!self.is_known(statement, signature))
    }

    /// Restores the records from this node's disk, in any order. Returns the keys of the records that the set does not
    /// keep, so that the caller can delete them from the disk.
    pub fn restore(&mut self, records: impl IntoIterator<Item = Record>, now: Moment) -> Vec<Key> {
        let mut dropped = Vec::new();
        for record in records {
            if self.is_powerless(record.kind(), record.item(), record.signer()) {
                dropped.push(Key::from(&record));
            } else if !self.is_known(record.statement(), record.signature()) {
                self.put(record);
            }
        }
        // The members can be determined only when all records are in the set, so the quotas are applied last.
        dropped.extend(self.refresh(now.time));
        dropped.extend(self.trim_all());
        dropped.extend(self.refresh(now.time));
        dropped.extend(self.advance(now));
        dropped
    }

    /// Advances the set to a moment: drops expired records and determines again which peer holds which role. Returns
    /// the keys of the dropped records.
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

    /// Returns the record with this key.
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

    /// Makes all checks that do not need the signature.
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

    /// Returns whether a signer without a role may make this record.
    fn is_bounded(&self, statement: &Statement, signature: &Signature) -> bool {
        if !self.is_for_a_while(statement.validity()) {
            return false;
        }
        let (from, keep) = (statement.validity().from(), keep(statement, signature).time());
        // A withdrawal must be remembered until the end of the record that it replaces. This end may be later than the
        // end of the withdrawal's own validity.
        let is_kept_briefly =
            matches!((from, keep), (Some(from), Some(keep)) if keep.since(from) <= self.limits.ahead);
        is_kept_briefly || self.limits == Limits::NONE
    }

    /// Returns whether a signer without a role may use this validity: both ends are given and they are not too far
    /// apart.
    fn is_for_a_while(&self, validity: &Validity) -> bool {
        let seconds = validity.seconds();
        seconds.is_some_and(|seconds| seconds <= self.limits.lifetime) || self.limits == Limits::NONE
    }

    fn check_room(&self, statement: &Statement, signature: &Signature) -> Result<(), Refusal> {
        let signer = signature.signer;
        if self.held(statement.item(), signer).is_some() {
            // The record replaces a lesser one, so the number of records stays the same.
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

    /// Inserts a record in place of its signer's former record about the item.
    fn put(&mut self, mut record: Record) -> Record {
        self.take(&Key::from(&record));
        // Thousands of records can be in one bucket: they share the text of its path.
        if let Some(neighbour) = self.items.first_from(&record.item().bucket) {
            record.share_bucket(&neighbour.bucket);
        }
        let key = Key::from(&record);
        self.forget_other_authority(&key);
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
        self.forget_other_authority(key);
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

    /// Drops the lowest records of a signer, and of all strangers, until the quotas of a group are met.
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

    /// Drops the records of strangers whose validity requires a role, and the records over the quotas of any signer.
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

    /// Drops the strangers' records that would now be refused because they end too far in the future. Such a record was
    /// admitted while the clock of this node or of the signer was far ahead. It would outrank all others until it ends.
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

    /// Drops the records that need not be remembered any more.
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

/// Returns the key of the lowest record if there are more than `room` records.
fn lowest_beyond(records: Option<&BTreeSet<Ranked>>, room: usize) -> Option<Key> {
    let records = records.filter(|records| records.len() > room)?;
    records.first().map(|lowest| Key::from(&lowest.0))
}

#[cfg(test)]
mod tests;
