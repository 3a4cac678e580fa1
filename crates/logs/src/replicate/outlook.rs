//! Chooses the files that one decision considers.
//!
//! A few strangers can list 60,000 files. A decision about all of them would stop the node for seconds, although only
//! two or three files are fetched at a time. So a decision considers all files of this node itself, and a bounded
//! number of other files. The signers take turns, so that nobody can displace the files of another signer by listing
//! more. When a file is kept, discarded or was tried in vain, the next one takes its place.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Replication;
use crate::buckets::{self, Station};
use crate::catalog::known::Counting;
use crate::index::{SharedFile, index_counting};
use crate::versions::Replaced;
use dcache::{Digest, Kind, PeerId, Record, Role, Set, Time};
use ipfs::Cid;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of files of members, and of strangers, that one decision considers in addition to the node's own
/// files. A decision about one file takes about 10 microseconds, and meanwhile the node answers nobody. At most three
/// files are fetched at a time, so these are enough.
pub(super) const MAX_FILES: Quota = Quota { members: 512, strangers: 256 };
/// Maximum number of files of catalogues that one decision considers in addition.
const MAX_CATALOGUED: usize = 256;
/// Maximum number of records, as a multiple of the number of files, that one decision examines to find these files.
const EXAMINED: usize = 4;
/// Interval, in seconds, at which a node considers other signers if there are more signers than files. It is longer
/// than most fetches.
const TURN: u64 = 1800;
/// Stations at which a peer states that it has the file.
pub(super) const HELD_AT: [Station; 3] = [Station::Files, Station::Verified, Station::Safe];

/// Numbers of files by the standing of the signer that lists them.
pub(super) struct Quota {
    pub(super) members: usize,
    pub(super) strangers: usize,
}

impl Replication {
    /// Returns the files that this decision considers, and the time at which one of them may change without a new
    /// record.
    pub(super) fn outlook(&self, set: &Set, now: Time) -> (BTreeMap<Cid, SharedFile>, Option<Time>) {
        let mut cids = self.concerned(set);
        let others = candidates(set, self.me, &cids, now);
        cids.extend(others);
        let counting = Counting::new(set, &self.catalogs, Some(self.me), now);
        let listed = counting.choose(&|cid| cids.contains(cid), MAX_CATALOGUED);
        cids.extend(listed);
        let edges = cids.iter().filter_map(|cid| edge(set, cid, now)).chain(set.next_edge(&[], now)).min();
        let files = index_counting(set, &counting, &cids, now);
        let edges = edges.into_iter().chain(counting.edge());
        let described = files.values().filter_map(|file| file.described_until).filter(|until| *until > now);
        let edge = edges.chain(described).min();
        (files, edge)
    }

    /// Returns the files of this node: those that it keeps, kept, wants, or makes statements about.
    fn concerned(&self, set: &Set) -> BTreeSet<Cid> {
        let sets = [&self.lost, &self.changing, &self.tried, &self.copies.wanted];
        let mut cids: BTreeSet<Cid> = sets.into_iter().flatten().copied().collect();
        cids.extend(self.kept.keys().chain(self.let_go.keys()).chain(self.bad.keys()));
        for (cid, replaced) in &self.replaced {
            cids.insert(*cid);
            if let Replaced::By(Some(by), _) = replaced {
                cids.insert(*by);
            }
        }
        let buckets = Station::ALL.map(Station::bucket);
        for group in groups(set, &Station::ALL) {
            let own = set.records_beside(self.me, &group.bucket());
            cids.extend(own.filter(|record| buckets.contains(&record.item().bucket)).filter_map(file_of));
        }
        cids
    }
}

/// Returns stations that stand for the quota groups of `stations`. In the open swarm all stations are one group.
fn groups(set: &Set, stations: &[Station]) -> Vec<Station> {
    if set.policy().roots().is_empty() { vec![Station::Files] } else { stations.to_vec() }
}

fn file_of(record: &Record) -> Option<Cid> {
    buckets::parse(record.item().data.as_str())
}

/// Returns the next time at which a record about a file at one of the stations begins or ceases to hold.
fn edge(set: &Set, cid: &Cid, now: Time) -> Option<Time> {
    let items = Station::ALL.map(|station| station.item(cid));
    let records = items.iter().flat_map(|item| set.records_about(item));
    let edges = records.flat_map(|record| [record.validity().from(), record.validity().until()]);
    edges.flatten().filter(|edge| *edge > now).min()
}

/// Returns files that other peers list and that are not in `known`.
fn candidates(set: &Set, me: PeerId, known: &BTreeSet<Cid>, now: Time) -> BTreeSet<Cid> {
    let known: BTreeSet<String> = known.iter().map(Cid::to_string).collect();
    let lists = ListsToRead { has_me: false, is_known: &|cid| known.contains(cid), examined: EXAMINED };
    choose(set, me, &lists, &|record| is_listed(set, record, now), now)
}

/// Returns files that peers list, also this node, and that `is_meant` accepts. The number of files is bounded, and so is
/// the number of records that are examined: `examined` is a multiple of the number of files.
pub fn choose_files(
    set: &Set,
    me: PeerId,
    (examined, is_meant): (usize, &dyn Fn(&Cid) -> bool),
    now: Time,
) -> BTreeSet<Cid> {
    let lists = ListsToRead { has_me: true, is_known: &|_| false, examined };
    let is_listed =
        |record: &Record| file_of(record).is_some_and(|cid| is_meant(&cid)) && is_listed(set, record, now);
    choose(set, me, &lists, &is_listed, now)
}

/// The lists of files that a choice reads.
struct ListsToRead<'a> {
    /// Whether the list of this node itself is read.
    has_me: bool,
    /// Returns whether a file is considered in any case. Such files are left out.
    is_known: &'a dyn Fn(&str) -> bool,
    /// Maximum number of records, as a multiple of the number of files, that are examined.
    examined: usize,
}

fn choose(
    set: &Set,
    me: PeerId,
    lists: &ListsToRead<'_>,
    is_listed: &dyn Fn(&Record) -> bool,
    now: Time,
) -> BTreeSet<Cid> {
    let roles = [Role::Root, Role::Admin, Role::Trusted];
    let with_role: BTreeSet<PeerId> = roles.into_iter().flat_map(|role| set.holders(role, now)).collect();
    let (mut members, mut strangers) = (Vec::new(), Vec::new());
    for group in groups(set, &HELD_AT) {
        let signers = set.signers_beside(&group.bucket()).filter(|signer| lists.has_me || *signer != me);
        for signer in signers {
            let turns = if with_role.contains(&signer) { &mut members } else { &mut strangers };
            turns.push((signer, group));
        }
    }
    let mut chosen = BTreeSet::new();
    for (mut signers, most) in [(members, MAX_FILES.members), (strangers, MAX_FILES.strangers)] {
        if signers.len() > most {
            signers.sort_unstable();
            let start = start(me, now) % signers.len();
            signers.rotate_left(start);
            signers.truncate(most);
        }
        let listed =
            signers.into_iter().map(|(signer, group)| listed_by(set, (signer, group), lists.is_known, now));
        take_turns(listed.collect(), (most, lists.examined), is_listed, &mut chosen);
    }
    chosen
}

/// Returns a number that differs from node to node, and changes with time.
pub(crate) fn start(me: PeerId, now: Time) -> usize {
    let digest = Digest::of(format!("{} {me}", now.0 / TURN).as_bytes());
    digest.as_bytes().iter().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)))
}

/// Returns the valid proposals of a signer at the stations of a group, about files that are not known. The records
/// that are remembered longest come first: usually the newest.
fn listed_by<'a>(
    set: &'a Set,
    (signer, group): (PeerId, Station),
    is_known: &'a dyn Fn(&str) -> bool,
    now: Time,
) -> impl Iterator<Item = &'a Record> {
    let buckets = HELD_AT.map(Station::bucket);
    let holds = move |record: &&Record| {
        record.kind() == Kind::Propose
            && buckets.contains(&record.item().bucket)
            && record.validity().contains(now)
            && !is_known(record.item().data.as_str())
    };
    set.records_beside(signer, &group.bucket()).rev().filter(holds)
}

/// Adds files to `chosen` until it has `most` more. In each round, one record of each signer is examined.
fn take_turns<'a>(
    mut signers: Vec<impl Iterator<Item = &'a Record>>,
    (most, times): (usize, usize),
    is_listed: &dyn Fn(&Record) -> bool,
    chosen: &mut BTreeSet<Cid>,
) {
    let (most, mut examined) = (chosen.len() + most, 0);
    while !signers.is_empty() && chosen.len() < most && examined < most * times {
        signers.retain_mut(|records| {
            let Some(record) = records.next() else { return false };
            examined += 1;
            if chosen.len() < most && is_listed(record) {
                chosen.extend(file_of(record));
            }
            true
        });
    }
}

/// Returns whether the file of a proposal is in its bucket, and either not discarded or kept by a peer.
fn is_listed(set: &Set, record: &Record, now: Time) -> bool {
    let at = |station: Station| {
        let item = dcache::Item { bucket: station.bucket(), data: record.item().data.clone() };
        set.item(&item, now).is_some()
    };
    set.item(record.item(), now).is_some() && (!at(Station::Discard) || at(Station::Safe))
}
