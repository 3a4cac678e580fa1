//! Queries: which items are in their buckets, and which peers hold which roles, at a given time.

use super::{Key, Set};
use crate::authority::{Authority, Tally};
use crate::buckets;
use crate::set::index::ItemRecords;
use crate::{BucketPath, Item, Kind, NotAllowed, Pattern, PeerId, Record, Role, Rule, SignedTime, Time, Who};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// An item that is in its bucket at the queried time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View<'a> {
    /// Item in its bucket.
    pub item: &'a Item,
    /// The accepted proposals that hold at that time, sorted by signer.
    pub proposals: Vec<&'a Record>,
}

/// The set and the roles at a given time, which decide whether records count.
struct Reading<'a> {
    set: &'a Set,
    authority: Cow<'a, Authority>,
    time: Time,
}

impl Set {
    fn at(&self, time: Time) -> Reading<'_> {
        Reading { set: self, authority: self.authority_at(time), time }
    }

    /// Returns the items of one bucket at a given time, in the order of their data.
    pub fn bucket(&self, bucket: &BucketPath, time: Time) -> impl Iterator<Item = View<'_>> + use<'_> {
        let (reading, rule) = (self.at(time), self.policy.rule(bucket));
        self.items.of(bucket.clone()).filter_map(move |records| reading.view(records, rule))
    }

    /// Returns the items of all matching buckets at a given time, in the order of bucket and data.
    pub fn matching<'a>(&'a self, pattern: &'a Pattern, time: Time) -> impl Iterator<Item = View<'a>> {
        let reading = self.at(time);
        self.places(std::slice::from_ref(pattern))
            .filter_map(move |(records, rule)| reading.view(records, rule))
    }

    /// Returns the item with its accepted proposals, if it is in its bucket at the given time.
    pub fn item(&self, item: &Item, time: Time) -> Option<View<'_>> {
        let records = self.items.get(item)?;
        self.at(time).view(records, self.policy.rule(&item.bucket))
    }

    /// Returns every record, in the order of bucket, data and signer.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.items.all().flat_map(ItemRecords::all)
    }

    /// Returns all records about an item, whether they count or not, sorted by signer.
    pub fn records_about(&self, item: &Item) -> &[Record] {
        self.items.get(item).map_or(&[], ItemRecords::all)
    }

    /// Returns the records about all items in matching buckets. Other buckets are not searched.
    fn places<'a>(&'a self, patterns: &'a [Pattern]) -> impl Iterator<Item = (&'a ItemRecords, &'a Rule)> {
        self.items.chosen(|bucket| {
            let is_match = patterns.iter().any(|pattern| pattern.matches(bucket));
            is_match.then(|| self.policy.rule(bucket))
        })
    }

    /// Returns the highest sequence number of the records of a signer, or zero if there are none.
    pub fn latest_sequence(&self, signer: PeerId) -> u64 {
        let records = self.groups(signer).flat_map(|(_, records)| records);
        records.map(|ranked| ranked.0.signature().sequence).max().unwrap_or(0)
    }

    /// Checks whether a statement of `signer` would count at `time`. A signer may always take back its own statement.
    ///
    /// # Errors
    /// If the statement would not count, returns an error that names the signers whose statement would count.
    pub fn may(&self, kind: Kind, item: &Item, signer: PeerId, time: Time) -> Result<(), NotAllowed> {
        let (reading, rule) = (self.at(time), self.policy.rule(&item.bucket));
        let proposed = |key: &Key| self.get(key).is_some_and(|record| record.kind() == Kind::Propose);
        let is_denied = reading.authority.is_denied(signer);
        let takes_back =
            || !is_denied && kind == Kind::Dismiss && proposed(&Key { item: item.clone(), signer });
        if reading.counts(rule.requirement(kind).who, item, signer) || takes_back() {
            return Ok(());
        }
        Err(NotAllowed {
            kind,
            bucket: item.bucket.clone(),
            who: rule.requirement(kind).who,
            signer,
            role: self.role(signer, time),
            has_roots: !self.policy.roots().is_empty(),
            is_denied,
        })
    }

    /// Returns the strongest role that `peer` holds at `time`.
    pub fn role(&self, peer: PeerId, time: Time) -> Option<Role> {
        let reading = self.at(time);
        let given = reading.authority.role(peer);
        given.or_else(|| reading.is_present(peer).then_some(Role::Peer))
    }

    /// Returns whether a peer with a stronger role denies `peer` at `time`. No statement of a denied peer counts.
    pub fn is_denied(&self, peer: PeerId, time: Time) -> bool {
        self.authority_at(time).is_denied(peer)
    }

    /// Returns the peers that are given exactly this role at `time`. A peer with a stronger role is included only if it
    /// was also given this role.
    pub fn holders(&self, role: Role, time: Time) -> BTreeSet<PeerId> {
        let reading = self.at(time);
        if role != Role::Peer {
            return reading.authority.holders(role).collect();
        }
        let present = self.bucket(&buckets::PEER.path(), time);
        present.filter_map(|view| view.item.data.as_str().parse().ok()).collect()
    }

    /// Returns, for each peer with a role except `me`, the time of its last statement that it is present. The time is
    /// that of the peer's own clock, and the peer signed it. A peer that did not know the time is left out, because
    /// others told it that time, perhaps strangers.
    pub fn signed_times(&self, me: PeerId, time: Time) -> BTreeMap<PeerId, SignedTime> {
        let authority = self.authority_at(time);
        let peers = [Role::Trusted, Role::Admin, Role::Root]
            .into_iter()
            .flat_map(|role| authority.holders(role).map(move |peer| (peer, role)));
        let said = |(peer, role)| {
            let record = self.get(&Key { item: presence(peer), signer: peer })?;
            if record.validity().is_doubted(buckets::PEER.lifetime()) {
                return None;
            }
            // The validity begins earlier than the time of signing, so that time is computed from the end.
            let said = record.validity().until()?.0.saturating_sub(buckets::PEER.lifetime());
            Some((peer, SignedTime { time: Time(said), is_admin: role >= Role::Admin }))
        };
        peers.filter(|(peer, _)| *peer != me).filter_map(said).collect()
    }

    /// Returns the next time after `time` at which a role, or a record in a matching bucket, begins or ceases to hold.
    /// A decider that reads these buckets must be woken then, because no new record arrives.
    pub fn next_edge(&self, patterns: &[Pattern], time: Time) -> Option<Time> {
        let edge_of_records = || {
            let records = self.places(patterns).flat_map(|(records, _)| records.all());
            let edges = records.flat_map(|record| [record.validity().from(), record.validity().until()]);
            edges.flatten().filter(|edge| *edge > time).min()
        };
        // Without a pattern, the buckets need not be searched.
        let own = if patterns.is_empty() { None } else { edge_of_records() };
        // At that time roles change, and with them the records that count.
        let roles = self.authority_at(time).until();
        own.into_iter().chain(roles).min()
    }
}

/// Returns the item by which a peer states that it is present.
fn presence(peer: PeerId) -> Item {
    Item { bucket: buckets::PEER.path(), data: peer.into() }
}

impl Reading<'_> {
    fn view<'a>(&self, records: &'a ItemRecords, rule: &Rule) -> Option<View<'a>> {
        let item = records.item();
        let mut tally = Tally::default();
        let mut proposals = Vec::new();
        for record in records.all() {
            let (kind, validity) = (record.kind(), record.validity());
            if !validity.contains(self.time)
                || !self.counts(rule.requirement(kind).who, item, record.signer())
            {
                continue;
            }
            // A record with an open end counts only while its signer holds a role. Otherwise the record is kept but
            // does not count.
            if !self.set.is_for_a_while(validity) && self.authority.role(record.signer()).is_none() {
                continue;
            }
            tally.count(kind);
            if kind == Kind::Propose {
                proposals.push(record);
            }
        }
        tally.stands(rule).then_some(View { item, proposals })
    }

    fn counts(&self, who: Who, item: &Item, signer: PeerId) -> bool {
        self.authority.may(who, item, signer) || who == Who::Role(Role::Peer) && self.is_present(signer)
    }

    /// Returns whether a peer states that it is present, and no admin denies it.
    fn is_present(&self, peer: PeerId) -> bool {
        let item = presence(peer);
        let rule = self.set.policy.rule(&item.bucket);
        self.set.items.get(&item).is_some_and(|records| self.view(records, rule).is_some())
    }
}
