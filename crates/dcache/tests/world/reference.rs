//! A naive reference implementation: a list of all records that ever arrived, to which the rules are applied literally.
//! It shares only the record type with the set.

use super::{Answer, BEGIN, PEERS, ROOTS, items, peer};
use dcache::{Item, Kind, Limits, PeerId, Record, Role, Time};
use std::collections::BTreeSet;

/// Key by which two records of one signer are compared. The set keeps the greater record.
fn rank(record: &Record) -> impl Ord + use<> {
    let keep = record.keep();
    let signature = *record.signature();
    (keep, signature.sequence, record.statement().clone(), signature.keep, signature.bytes)
}

/// Name of the group of large items, which all belong to one row in this world.
const LARGE: &str = "large";

/// Returns the quota of a row.
fn room(row: &str, limit: usize) -> usize {
    if row == LARGE { limit.div_ceil(8) } else { limit }
}

/// Returns the row of the policy for an item.
fn row(item: &Item) -> &'static str {
    let path = item.bucket.as_str();
    if path.len() + item.data.as_str().len() > 512 {
        return LARGE;
    }
    let known = ["share/verified", "share/", "diaries", "admin", "trusted", "peer"];
    known.into_iter().find(|prefix| path.starts_with(prefix)).unwrap_or("other")
}

/// Returns the greatest `most` of `records`.
fn greatest(records: &[Record], most: usize) -> Vec<Record> {
    let greater = |record: &Record| records.iter().filter(|other| rank(other) > rank(record)).count();
    records.iter().filter(|record| greater(record) < most).cloned().collect()
}

/// All records that ever arrived, and those that a set must hold at a given time.
pub(crate) struct Reference {
    limits: Limits,
    held: Vec<Record>,
    now: Time,
}

impl Reference {
    pub(crate) fn new(seen: &[Record], limits: Limits, now: Time) -> Self {
        let alive: Vec<Record> = seen.iter().filter(|record| !record.keep().is_over(now)).cloned().collect();
        let is_own = |record: &&Record| match row(record.item()) {
            // No statement ever counts in these buckets.
            "other" => false,
            // A peer may propose only itself, and only with an end, even if it has a role. Only admins may make
            // statements about other peers here, to deny them.
            "peer" => {
                let is_its_own = record.item().data.as_str() == record.signer().to_string();
                record.kind() == Kind::Dismiss || is_its_own && record.validity().seconds().is_some()
            }
            _ => true,
        };
        let alive: Vec<Record> = alive.iter().filter(is_own).cloned().collect();
        // Only roots deny peers in this world, and without an end.
        let denied: BTreeSet<String> = alive
            .iter()
            .filter(|record| row(record.item()) == "peer" && record.kind() == Kind::Dismiss)
            .filter(|record| record.item().data.as_str() != record.signer().to_string())
            .map(|record| record.item().data.as_str().to_owned())
            .collect();
        let counts = |record: &&Record| !denied.contains(&record.signer().to_string());
        let alive: Vec<Record> = alive.iter().filter(counts).cloned().collect();
        let same =
            |one: &Record, other: &Record| one.item() == other.item() && one.signer() == other.signer();
        let beaten =
            |record: &Record| alive.iter().any(|other| same(record, other) && rank(other) > rank(record));
        let mut latest: Vec<Record> = Vec::new();
        for record in alive.iter().filter(|record| !beaten(record)) {
            if !latest.contains(record) {
                latest.push(record.clone());
            }
        }
        let mut reference = Self { limits, held: Vec::new(), now };
        // First all peers get the quota of members, so that the records that make members are not dropped.
        reference.held = reference.within_quota(&latest, &(0..PEERS).map(peer).collect());
        let members = reference.members(now);
        reference.held = reference.within_quota(&latest, &members);
        reference.held = reference.without_crowd(&members);
        reference
    }

    fn within_quota(&self, records: &[Record], members: &BTreeSet<PeerId>) -> Vec<Record> {
        let mut kept = Vec::new();
        for number in 0..PEERS {
            let quota =
                if members.contains(&peer(number)) { self.limits.member } else { self.limits.stranger };
            let own: Vec<Record> =
                records.iter().filter(|record| record.signer() == peer(number)).cloned().collect();
            let rows: BTreeSet<&str> = own.iter().map(|record| row(record.item())).collect();
            for wanted in rows {
                let group: Vec<Record> =
                    own.iter().filter(|record| row(record.item()) == wanted).cloned().collect();
                kept.extend(greatest(&group, room(wanted, quota)));
            }
        }
        kept
    }

    fn without_crowd(&self, members: &BTreeSet<PeerId>) -> Vec<Record> {
        let (mut kept, strangers): (Vec<Record>, Vec<Record>) =
            self.held.iter().cloned().partition(|record| members.contains(&record.signer()));
        let rows: BTreeSet<&str> = strangers.iter().map(|record| row(record.item())).collect();
        for wanted in rows {
            let pool: Vec<Record> =
                strangers.iter().filter(|record| row(record.item()) == wanted).cloned().collect();
            kept.extend(greatest(&pool, room(wanted, self.limits.strangers)));
        }
        kept
    }

    /// Returns all records that must be held, in order.
    pub(crate) fn records(&self) -> Vec<Record> {
        let mut records = self.held.clone();
        records.sort_by_key(|record| (record.item().clone(), record.signer()));
        records
    }

    fn roots() -> BTreeSet<PeerId> {
        (0..ROOTS).map(peer).collect()
    }

    fn signers(&self, item: &Item, kind: Kind, time: Time, whose: &dyn Fn(PeerId) -> bool) -> Vec<PeerId> {
        let says = |record: &&Record| {
            record.item() == item
                && record.kind() == kind
                && record.validity().contains(time)
                && whose(record.signer())
        };
        let mut signers: Vec<PeerId> = self.held.iter().filter(says).map(Record::signer).collect();
        signers.sort_unstable();
        signers
    }

    fn given(
        &self,
        role: &str,
        time: Time,
        whose: &dyn Fn(PeerId) -> bool,
        proposals: usize,
        dismissals: usize,
    ) -> BTreeSet<PeerId> {
        let all = (0..PEERS).map(peer);
        let stands = |holder: &PeerId| {
            let data = dcache::Data::new(&holder.to_string()).expect("short");
            let item = Item { bucket: role.parse().expect("a path"), data };
            self.signers(&item, Kind::Propose, time, whose).len() >= proposals
                && self.signers(&item, Kind::Dismiss, time, whose).len() < dismissals
        };
        all.filter(stands).collect()
    }

    fn admins(&self, time: Time) -> BTreeSet<PeerId> {
        self.given("admin", time, &|peer| Self::roots().contains(&peer), 2, 1)
    }

    fn rule(&self, time: Time) -> BTreeSet<PeerId> {
        &Self::roots() | &self.admins(time)
    }

    fn trusted(&self, time: Time) -> BTreeSet<PeerId> {
        let rule = self.rule(time);
        self.given("trusted", time, &|peer| rule.contains(&peer), 1, 1)
    }

    /// Returns the roots, and every peer about which an entitled peer has made a statement in the bucket of a role.
    fn members(&self, time: Time) -> BTreeSet<PeerId> {
        let rule = self.rule(time);
        let speaks = |record: &&Record| match record.item().bucket.as_str() {
            "admin" => Self::roots().contains(&record.signer()),
            "trusted" => rule.contains(&record.signer()),
            _ => false,
        };
        let named =
            self.held.iter().filter(speaks).filter_map(|record| record.item().data.as_str().parse().ok());
        named.chain(Self::roots()).collect()
    }

    fn role(&self, peer: PeerId, time: Time) -> Option<Role> {
        if Self::roots().contains(&peer) {
            return Some(Role::Root);
        }
        let rule = self.rule(time);
        let data = dcache::Data::new(&peer.to_string()).expect("short");
        let item = Item { bucket: "peer".parse().expect("a path"), data };
        // A denied peer has no role, whatever role it was given.
        if !self
            .signers(&item, Kind::Dismiss, time, &|signer| signer != peer && rule.contains(&signer))
            .is_empty()
        {
            return None;
        }
        if self.admins(time).contains(&peer) {
            return Some(Role::Admin);
        }
        if self.trusted(time).contains(&peer) {
            return Some(Role::Trusted);
        }
        let denied = !self.signers(&item, Kind::Dismiss, time, &|signer| rule.contains(&signer)).is_empty();
        let says = !self.signers(&item, Kind::Propose, time, &|signer| signer == peer).is_empty();
        (says && !denied).then_some(Role::Peer)
    }

    fn view(&self, item: &Item, time: Time) -> Option<Vec<PeerId>> {
        let has = |least: Role| move |peer: PeerId| self.role(peer, time).is_some_and(|role| role >= least);
        let subject = |peer: PeerId| item.data.as_str() == peer.to_string();
        let root = |peer: PeerId| Self::roots().contains(&peer);
        type Whose<'a> = Box<dyn Fn(PeerId) -> bool + 'a>;
        let (propose, least, dismiss): (Whose<'_>, usize, Whose<'_>) = match item.bucket.as_str() {
            "share/verified" => (Box::new(has(Role::Trusted)), 2, Box::new(has(Role::Trusted))),
            "share/files" => (Box::new(|_| true), 1, Box::new(has(Role::Trusted))),
            "diaries" => (Box::new(has(Role::Peer)), 1, Box::new(has(Role::Admin))),
            "admin" => (Box::new(root), 2, Box::new(root)),
            "trusted" => (Box::new(has(Role::Admin)), 1, Box::new(has(Role::Admin))),
            "peer" => (Box::new(subject), 1, Box::new(has(Role::Admin))),
            _ => return None,
        };
        let proposers = self.signers(item, Kind::Propose, time, &propose);
        let dismissers = self.signers(item, Kind::Dismiss, time, &dismiss);
        // Withdrawing an admin's role takes a single dismissal: the threshold applies only to giving it.
        (proposers.len() >= least && dismissers.is_empty()).then_some(proposers)
    }

    /// Returns the answers to all queries, at the same times as a replica.
    pub(crate) fn answers(&self) -> Vec<Answer> {
        [0, 1, 7, 30, 90, 200].map(|later| self.answer(self.now.plus(later))).into()
    }

    fn answer(&self, time: Time) -> Answer {
        assert!(time >= BEGIN);
        let mut all: Vec<(Item, Vec<PeerId>)> = items()
            .into_iter()
            .filter_map(|item| self.view(&item, time).map(|signers| (item, signers)))
            .collect();
        all.sort();
        Answer { time, items: all, roles: (0..PEERS).map(|number| self.role(peer(number), time)).collect() }
    }
}
