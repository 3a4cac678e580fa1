//! Updates of the set when roles change, or when the time becomes known or unknown.

use super::refusal::MEMBER_AHEAD;
use super::{Group, Key, Limits, Ranked, Refusal, Set};
use crate::authority::{Authority, RecordSource};
use crate::buckets::{self, Lifetime};
use crate::record::keep;
use crate::{BucketPath, End, Moment, PeerId, Record, Signature, Statement, Time, Who};
use std::borrow::Cow;
use std::collections::BTreeSet;

impl RecordSource for Set {
    fn records_of<'a>(&'a self, signer: PeerId, bucket: &'a BucketPath) -> impl Iterator<Item = &'a Record> {
        let groups =
            self.groups_of(bucket).into_iter().filter_map(move |group| self.signers.get(&(signer, group)));
        let records = groups.flatten().map(|ranked| &ranked.0);
        records.filter(move |record| record.item().bucket == *bucket)
    }
}

/// Standing of a signer in the swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A peer with a stronger role denies the signer.
    Denied,
    /// A peer with authority has made a statement about the signer in the bucket of a role.
    Member,
    /// No peer with authority has made a statement about the signer.
    Stranger,
}

impl Set {
    /// Returns the standing of a signer at `now`.
    pub(super) fn standing(&self, signer: PeerId, now: Time) -> Standing {
        let authority = self.authority_at(now);
        match (authority.is_denied(signer), authority.is_member(signer)) {
            (true, _) => Standing::Denied,
            (false, true) => Standing::Member,
            (false, false) => Standing::Stranger,
        }
    }

    /// Refuses a member's statement about itself if it lasts longer than a service would state it, or if it ends more
    /// than [`MEMBER_AHEAD`] in the future. Either the member's clock is wrong, or the member lies about the time.
    pub(super) fn check_times_of_member(
        &self,
        statement: &Statement,
        signature: &Signature,
        now: Time,
    ) -> Result<(), Refusal> {
        let bucket = &statement.item().bucket;
        let who = self.policy.rule(bucket).requirement(statement.kind()).who;
        let is_service = matches!(buckets::family(bucket).lifetime, Lifetime::For(_));
        if !is_service || !matches!(who, Who::Owner | Who::Subject) {
            return Ok(());
        }
        if !self.is_for_a_while(statement.validity()) {
            return Err(Refusal::Lifetime);
        }
        let ahead = self.limits.ahead.max(MEMBER_AHEAD);
        if keep(statement, signature) > End::at(now.plus(ahead)) { Err(Refusal::Ahead) } else { Ok(()) }
    }

    /// Returns the holders of all roles at `time`. Uses a cached value if it is valid then.
    pub(super) fn authority_at(&self, time: Time) -> Cow<'_, Authority> {
        if self.authority.holds_at(time) {
            return Cow::Borrowed(&self.authority);
        }
        let other = self.other_authority.get_or_init(|| Box::new(self.compute(time)));
        if other.holds_at(time) { Cow::Borrowed(other) } else { Cow::Owned(self.compute(time)) }
    }

    /// Forgets the roles at another time, if the record with this key may change them.
    pub(super) fn forget_other_authority(&mut self, key: &Key) {
        let depends = |other: &Authority| other.depends_on(key.signer, &key.item);
        if self.other_authority.get().is_some_and(|other| depends(other)) {
            self.other_authority.take();
        }
    }

    /// Determines again which peer holds which role, if this may have changed since the last time. Returns the keys of
    /// the dropped records. Unlike [`Set::advance`], it drops no expired records, and is quick when nothing changed.
    pub fn update_roles(&mut self, now: Moment) -> Vec<Key> {
        self.judge(now)
    }

    fn compute(&self, time: Time) -> Authority {
        Authority::compute(&self.policy, self, time, self.before_doubt.as_ref())
    }

    /// Notes whether the time is known, and updates the roles. Returns the keys of the dropped records.
    pub(super) fn judge(&mut self, now: Moment) -> Vec<Key> {
        if self.before_doubt.is_some() == now.is_certain {
            self.before_doubt = None;
            if !now.is_certain {
                self.before_doubt = Some(self.compute(now.time));
            }
            return self.refresh(now.time);
        }
        if self.authority.holds_at(now.time) { Vec::new() } else { self.refresh(now.time) }
    }

    /// Computes the roles again, and repeats this until the dropped records change no role any more.
    pub(super) fn refresh(&mut self, time: Time) -> Vec<Key> {
        let mut dropped = Vec::new();
        loop {
            let authority = self.compute(time);
            self.other_authority.take();
            let former = std::mem::replace(&mut self.authority, authority);
            let members: Vec<PeerId> =
                self.authority.members().difference(former.members()).copied().collect();
            members.into_iter().for_each(|peer| self.becomes_member(peer));
            let strangers: Vec<PeerId> =
                former.members().difference(self.authority.members()).copied().collect();
            let denied: Vec<PeerId> = self.authority.denied().difference(former.denied()).copied().collect();
            if strangers.is_empty() && denied.is_empty() {
                return dropped;
            }
            dropped.extend(strangers.into_iter().flat_map(|peer| self.becomes_stranger(peer)));
            dropped.extend(denied.into_iter().flat_map(|peer| self.silence(peer)));
        }
    }

    pub(super) fn groups(&self, signer: PeerId) -> impl Iterator<Item = (Group, &BTreeSet<Ranked>)> {
        let groups = self.signers.range((signer, Group::MIN)..=(signer, Group::MAX));
        groups.map(|((_, group), records)| (*group, records))
    }

    fn becomes_member(&mut self, peer: PeerId) {
        let groups = self.signers.range((peer, Group::MIN)..=(peer, Group::MAX));
        for ((_, group), records) in groups {
            if let Some(pool) = self.pools.get_mut(group) {
                for ranked in records {
                    pool.remove(ranked);
                }
            }
        }
    }

    fn becomes_stranger(&mut self, peer: PeerId) -> Vec<Key> {
        let mut dropped = self.drop_unbounded(peer);
        let groups: Vec<(Group, BTreeSet<Ranked>)> =
            self.groups(peer).map(|(group, records)| (group, records.clone())).collect();
        for (group, records) in groups {
            self.pools.entry(group).or_default().extend(records);
            dropped.extend(self.trim(peer, group));
        }
        dropped
    }

    /// Drops all records of a denied peer. When the denial ends, the peer makes its statements again. Repair brings
    /// back dropped records from nodes that still have them.
    fn silence(&mut self, peer: PeerId) -> Vec<Key> {
        let of_peer = self.groups(peer).flat_map(|(_, records)| records);
        let all: Vec<Key> = of_peer.map(|ranked| Key::from(&ranked.0)).collect();
        for key in &all {
            self.take(key);
        }
        all
    }

    /// Drops the records of `peer` whose validity requires a role.
    pub(super) fn drop_unbounded(&mut self, peer: PeerId) -> Vec<Key> {
        let is_bounded = |record: &Record| self.is_bounded(record.statement(), record.signature());
        let of_peer = self.groups(peer).flat_map(|(_, records)| records).map(|ranked| &ranked.0);
        let unbounded: Vec<Key> = of_peer.filter(|record| !is_bounded(record)).map(Key::from).collect();
        for key in &unbounded {
            self.take(key);
        }
        unbounded
    }

    /// Returns the limits of the set.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}
