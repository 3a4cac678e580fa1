//! The catalogues that this node has read, merged by file, and the statements in them that count now.
//!
//! A line of a catalogue counts as much as a record of the same robot. `shares` counts as one in `share/files`, `keeps` as
//! one in `share/safe`, `info` as one in `share/info/CID`, and `receipt` as one in `uploads/CID`. It is valid as long as the
//! record that names the catalogue.
//!
//! - A robot's own later record about a file has precedence over the line in its catalogue. So a robot can withdraw a
//!   file without a new version of its catalogue.
//! - A dismissal that counts for the records of an item also counts for the lines. There is one exception: a robot dismisses
//!   its own file in `share/files` while the file is in a later bucket, and its line counts again when the file is there no
//!   more.
//! - An uploader that shares a file keeps it as well. As with records, it is listed among the holders once another robot
//!   keeps the file.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::format::{CatalogEntries, CatalogEntry};
use super::stated::Valid;
use crate::buckets::Station;
use crate::index::Signers;
use crate::info::Description;
use crate::receipts::Receipt;
use dcache::{BucketPath, Data, Item, Key, Kind, PeerId, Record, Set, Time, buckets};
use ipfs::Cid;
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

/// Maximum size, in bytes, of the lines of all catalogues in memory. The lines of 30 robots with 20,000 files in three copies,
/// and of a robot that uploaded them, need about half of it. While a catalogue changes, a node needs twice as much.
const MAX_MEMORY: usize = 80 << 20;
/// Size of a line in memory, in bytes, without its description and its receipt.
const LINE_MEMORY: usize = 512;

/// Returns the size, in bytes, of entries in memory.
pub(super) fn memory_of(entries: &CatalogEntries) -> usize {
    let place = |receipt: &Arc<Receipt>| receipt.place.len();
    let text = |entry: &CatalogEntry| {
        entry.info.as_ref().map_or(0, |info| info.as_str().len()) + entry.receipt.as_ref().map_or(0, place)
    };
    least_memory_of(entries.len()) + entries.values().map(text).sum::<usize>()
}

/// Returns the least size, in bytes, of this number of lines in memory.
pub(super) fn least_memory_of(lines: usize) -> usize {
    lines * LINE_MEMORY
}

/// A version of a robot's catalogue that this node has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogVersion {
    /// Root of the catalogue in IPFS.
    pub root: Cid,
    /// Sequence number of the record that named it.
    pub sequence: u64,
}

/// The line of one robot about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) robot: PeerId,
    pub(super) shares: bool,
    pub(super) keeps: bool,
    pub(super) info: Option<Data>,
    pub(super) receipt: Option<Arc<Receipt>>,
}

impl Claim {
    /// Returns whether the robot has the file. Otherwise it only uploaded it.
    fn is_held(&self) -> bool {
        self.shares || self.keeps
    }
}

/// Precedence of a catalogue when not all of them fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precedence {
    /// The robot has no role in a swarm with roles.
    Stranger,
    /// The robot has a role, or the swarm has no roles.
    Member,
    /// The catalogue is that of this node.
    Own,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listed {
    version: CatalogVersion,
    precedence: Precedence,
    /// Size of the lines in memory, in bytes.
    memory: usize,
}

/// The lines of all catalogues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Lines {
    files: BTreeMap<Cid, Vec<Claim>>,
    /// The files that each robot has, those with the fewest robots first.
    rarest: BTreeMap<PeerId, Vec<Cid>>,
}

/// The catalogues of robots, merged by file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogs {
    robots: BTreeMap<PeerId, Listed>,
    lines: Arc<Lines>,
}

/// Error for a catalogue that does not fit beside the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all catalogues together need more than {} MiB of memory", MAX_MEMORY >> 20)]
pub struct CatalogsFull;

impl Catalogs {
    /// Returns the catalogues with this version of a robot's catalogue in place of the former one. If not all of them fit,
    /// others are left out: those of lower precedence, and then those that are larger than this one, each time the
    /// largest first. So robots with large catalogues cannot keep out those with small ones. The cost is proportional to
    /// the lines of all catalogues.
    ///
    /// # Errors
    /// When the catalogue does not fit.
    pub fn with(
        &self,
        robot: PeerId,
        version: CatalogVersion,
        precedence: Precedence,
        entries: CatalogEntries,
    ) -> Result<Self, CatalogsFull> {
        let mut left_out = self.left_out(robot, precedence, memory_of(&entries))?;
        left_out.insert(robot);
        let mut catalogs = self.clone();
        catalogs.remove(&left_out);
        catalogs.add(robot, version, precedence, entries);
        catalogs.lines_mut().sort();
        Ok(catalogs)
    }

    /// Returns the robots whose catalogues are left out for a catalogue of this size in memory.
    ///
    /// # Errors
    /// When the catalogue does not fit.
    pub(crate) fn left_out(
        &self,
        robot: PeerId,
        precedence: Precedence,
        memory: usize,
    ) -> Result<BTreeSet<PeerId>, CatalogsFull> {
        let others = || self.robots.iter().filter(|(other, _)| **other != robot);
        let mut total = memory + others().map(|(_, listed)| listed.memory).sum::<usize>();
        let yields = |listed: &Listed| match listed.precedence.cmp(&precedence) {
            Ordering::Less => true,
            Ordering::Equal => listed.memory > memory,
            Ordering::Greater => false,
        };
        let mut yielding: Vec<_> = others()
            .filter(|(_, listed)| yields(listed))
            .map(|(other, listed)| (listed.precedence, Reverse(listed.memory), *other))
            .collect();
        yielding.sort_unstable();
        let mut left_out = BTreeSet::new();
        for (_, Reverse(freed), other) in yielding {
            if total <= MAX_MEMORY {
                break;
            }
            total -= freed;
            left_out.insert(other);
        }
        if total <= MAX_MEMORY { Ok(left_out) } else { Err(CatalogsFull) }
    }

    fn lines_mut(&mut self) -> &mut Lines {
        Arc::make_mut(&mut self.lines)
    }

    fn add(
        &mut self,
        robot: PeerId,
        version: CatalogVersion,
        precedence: Precedence,
        entries: CatalogEntries,
    ) {
        self.robots.insert(robot, Listed { version, precedence, memory: memory_of(&entries) });
        self.lines_mut().add(robot, entries);
    }

    /// Returns the catalogues without that of a robot.
    #[must_use]
    pub fn without(&self, robot: PeerId) -> Self {
        let mut catalogs = self.clone();
        catalogs.remove(&BTreeSet::from([robot]));
        catalogs.lines_mut().sort();
        catalogs
    }

    /// Returns the precedence of a robot's catalogue.
    pub(crate) fn precedence(&self, robot: PeerId) -> Option<Precedence> {
        self.robots.get(&robot).map(|listed| listed.precedence)
    }

    /// Notes that a later record names the version that was read.
    #[must_use]
    pub fn renewed(&self, robot: PeerId, version: CatalogVersion, precedence: Precedence) -> Self {
        let mut catalogs = self.clone();
        if let Some(listed) = catalogs.robots.get_mut(&robot) {
            *listed = Listed { version, precedence, ..*listed };
        }
        catalogs
    }

    fn remove(&mut self, robots: &BTreeSet<PeerId>) {
        let before = self.robots.len();
        self.robots.retain(|robot, _| !robots.contains(robot));
        if self.robots.len() != before {
            self.lines_mut().remove(robots);
        }
    }

    /// Returns whether no catalogue was read.
    pub fn is_empty(&self) -> bool {
        self.robots.is_empty()
    }

    /// Returns the versions that were read, by robot.
    pub fn versions(&self) -> impl Iterator<Item = (PeerId, CatalogVersion)> {
        self.robots.iter().map(|(robot, listed)| (*robot, listed.version))
    }

    /// Returns the version of a robot's catalogue that was read.
    pub fn version(&self, robot: PeerId) -> Option<CatalogVersion> {
        self.robots.get(&robot).map(|listed| listed.version)
    }

    /// Returns all files that are in a catalogue.
    pub fn cids(&self) -> impl Iterator<Item = &Cid> {
        self.lines.files.keys()
    }

    /// Returns the files that one robot has by its catalogue, those with the fewest robots first.
    pub(crate) fn rarest(&self, robot: PeerId) -> &[Cid] {
        self.lines.rarest.get(&robot).map_or(&[], Vec::as_slice)
    }

    /// Returns the robots that have a file by their catalogues, whether this counts now or not.
    pub fn robots_of(&self, cid: &Cid) -> impl Iterator<Item = PeerId> {
        let claims = self.lines.files.get(cid).into_iter().flatten();
        claims.filter(|claim| claim.is_held()).map(|claim| claim.robot)
    }

    /// Returns the number of files in all catalogues.
    pub(super) fn number_of_files(&self) -> usize {
        self.lines.files.len()
    }

    /// Returns the lines about the files after `after`, in the order of their CIDs.
    pub(super) fn after(&self, after: Option<Cid>) -> impl Iterator<Item = (&Cid, &[Claim])> {
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.lines.files.range((begin, Bound::Unbounded)).map(|(cid, claims)| (cid, claims.as_slice()))
    }

    /// Makes catalogues of the entries of several robots.
    pub(super) fn of(robots: BTreeMap<PeerId, (CatalogVersion, CatalogEntries)>) -> Self {
        let mut catalogs = Self::default();
        for (robot, (version, entries)) in robots {
            catalogs.add(robot, version, Precedence::Member, entries);
        }
        catalogs.lines_mut().sort();
        catalogs
    }
}

impl Lines {
    fn add(&mut self, robot: PeerId, entries: CatalogEntries) {
        for (cid, entry) in entries {
            let claims = self.files.entry(cid).or_default();
            // A description that several robots state is in memory once.
            let known = claims.iter().filter_map(|claim| claim.info.as_ref());
            let same = known.into_iter().find(|info| Some(*info) == entry.info.as_ref()).cloned();
            let info = same.or(entry.info);
            let place = claims.partition_point(|claim| claim.robot < robot);
            let CatalogEntry { shares, keeps, receipt, .. } = entry;
            // Most files are in few catalogues, so no places are kept for more.
            claims.reserve_exact(1);
            claims.insert(place, Claim { robot, shares, keeps, info, receipt });
        }
    }

    fn remove(&mut self, robots: &BTreeSet<PeerId>) {
        self.files.retain(|_, claims| {
            claims.retain(|claim| !robots.contains(&claim.robot));
            !claims.is_empty()
        });
    }

    fn sort(&mut self) {
        let mut rarest: BTreeMap<PeerId, Vec<(usize, Cid)>> = BTreeMap::new();
        for (cid, claims) in &self.files {
            let held = || claims.iter().filter(|claim| claim.is_held());
            let robots = held().count();
            for claim in held() {
                rarest.entry(claim.robot).or_default().push((robots, *cid));
            }
        }
        let sorted = |(robot, mut files): (PeerId, Vec<(usize, Cid)>)| {
            files.sort_unstable();
            (robot, files.into_iter().map(|(_, cid)| cid).collect())
        };
        self.rarest = rarest.into_iter().map(sorted).collect();
    }
}

/// A robot whose catalogue counts now.
#[derive(Clone, Copy, Debug)]
struct Counted {
    sequence: u64,
    until: Option<Time>,
    may_share: bool,
    may_keep: bool,
    may_state_receipts: bool,
}

/// The statements in catalogues that count at a given time, beside the records of that time.
#[derive(Debug)]
pub struct Counting<'a> {
    set: &'a Set,
    catalogs: &'a Catalogs,
    now: Time,
    robots: BTreeMap<PeerId, Counted>,
    has_roles: bool,
}

impl<'a> Counting<'a> {
    /// Finds the robots whose catalogues count, except one.
    pub fn new(set: &'a Set, catalogs: &'a Catalogs, except: Option<PeerId>, now: Time) -> Self {
        let may_in = |robot: PeerId, bucket: BucketPath| {
            let any = Item { bucket, data: Data::default() };
            set.may(Kind::Propose, &any, robot, now).is_ok()
        };
        let may = |robot: PeerId, station: Station| may_in(robot, station.bucket());
        let may_upload = |robot| buckets::UPLOADS.of("any").is_ok_and(|bucket| may_in(robot, bucket));
        let counted = |(robot, version): (PeerId, CatalogVersion)| {
            let stated = Valid::of(set, robot, now)?;
            // A version whose successor could not be fetched yet counts as long as the robot names any version.
            let is_same = stated.catalog.root == version.root;
            let sequence = if is_same { stated.sequence } else { version.sequence };
            let (may_share, may_keep) = (may(robot, Station::Files), may(robot, Station::Safe));
            let (until, may_state_receipts) = (stated.until, may_upload(robot));
            Some((robot, Counted { sequence, until, may_share, may_keep, may_state_receipts }))
        };
        let others = catalogs.versions().filter(|(robot, _)| except != Some(*robot));
        let robots = others.filter_map(counted).collect();
        Self { set, catalogs, now, robots, has_roles: !set.policy().roots().is_empty() }
    }

    /// Returns the set.
    pub(crate) fn set(&self) -> &'a Set {
        self.set
    }

    /// Returns the time at which the statements count.
    pub(crate) fn now(&self) -> Time {
        self.now
    }

    /// Returns the catalogues.
    pub(super) fn catalogs(&self) -> &'a Catalogs {
        self.catalogs
    }

    /// Returns the time at which the first of the catalogues ceases to count.
    pub(crate) fn edge(&self) -> Option<Time> {
        self.robots.values().filter_map(|counted| counted.until).min()
    }

    fn claims(&self, cid: &Cid) -> impl Iterator<Item = (&'a Claim, Counted)> {
        let claims = self.catalogs.lines.files.get(cid).into_iter().flatten();
        claims.filter_map(|claim| Some((claim, *self.robots.get(&claim.robot)?)))
    }

    /// Returns whether a robot has a file by its catalogue.
    pub fn is_listed(&self, cid: &Cid) -> bool {
        let shares = |claim: &Claim, counted: &Counted| claim.shares && counted.may_share;
        let keeps = |claim: &Claim, counted: &Counted| claim.keeps && counted.may_keep;
        self.claims(cid).any(|(claim, counted)| shares(claim, &counted) || keeps(claim, &counted))
    }

    /// Returns the robot that shared a file, as the lines about it say: the first one that shares it, or else the one that a
    /// robot names which keeps it.
    pub(super) fn claimed_uploader(&self, cid: &Cid) -> Option<PeerId> {
        let mut sharers = self.claims(cid).filter(|(claim, counted)| claim.shares && counted.may_share);
        if let Some((claim, _)) = sharers.next() {
            return Some(claim.robot);
        }
        let mut keepers = self.claims(cid).filter(|(claim, counted)| claim.keeps && counted.may_keep);
        let info = keepers.find_map(|(claim, _)| claim.info.as_ref())?;
        Some(Description::from_data(info).ok()?.uploader)
    }

    /// Returns the receipts of a file in catalogues that count, with the robot that states each.
    pub(crate) fn receipts(&self, cid: &Cid) -> impl Iterator<Item = (&Receipt, PeerId)> {
        let counts = move |(claim, counted): (&'a Claim, Counted)| {
            let receipt = claim.receipt.as_deref().filter(|_| counted.may_state_receipts)?;
            let mut signers = Signers::new();
            self.add(&receipt.item(cid)?, std::iter::once((claim, counted)), &mut signers);
            (!signers.is_empty()).then_some((receipt, claim.robot))
        };
        self.claims(cid).filter_map(counts)
    }

    /// Adds the robots whose catalogues share a file to those that propose it in `share/files`. `item` is the item of the
    /// file there.
    pub(crate) fn add_sharers(&self, cid: &Cid, item: &Item, signers: &mut Signers) {
        let sharers = self.claims(cid).filter(|(claim, counted)| claim.shares && counted.may_share);
        self.add(item, sharers, signers);
    }

    /// Adds the robots whose catalogues keep a file to those that propose it in `share/safe`, and then those that share
    /// the file. `item` is the item of the file there.
    pub(crate) fn add_holders(&self, cid: &Cid, item: &Item, signers: &mut Signers) {
        if self.is_discarded(cid) {
            return;
        }
        let keepers = self.claims(cid).filter(|(claim, counted)| claim.keeps && counted.may_keep);
        self.add(item, keepers, signers);
        let sharers = self.claims(cid).filter(|(claim, counted)| claim.shares && counted.may_keep);
        let sharers: Vec<_> = sharers.collect();
        let is_kept = signers.keys().any(|holder| !sharers.iter().any(|(claim, _)| claim.robot == *holder));
        if is_kept {
            self.add(item, sharers.into_iter(), signers);
        }
    }

    /// Returns whether a role discards the file. A discard by a role has precedence over a line, since the role cannot
    /// dismiss a line as it dismisses a record.
    fn is_discarded(&self, cid: &Cid) -> bool {
        self.has_roles
            && self.catalogs.lines.files.contains_key(cid)
            && self.set.item(&Station::Discard.item(cid), self.now).is_some()
    }

    fn add<'c>(
        &self,
        item: &Item,
        claims: impl Iterator<Item = (&'c Claim, Counted)>,
        signers: &mut Signers,
    ) {
        let mut claims = claims.peekable();
        if claims.peek().is_none() {
            return;
        }
        let (dismissers, is_first) = (self.dismissers(item), item.bucket == Station::Files.bucket());
        for (claim, counted) in claims {
            // A robot dismisses its own file in the first bucket while the file is in a later one. When nobody else keeps
            // the file any more, the line counts again.
            let is_move = |signer: PeerId| is_first && signer == claim.robot;
            let key = Key { item: item.clone(), signer: claim.robot };
            let is_outdated = self.set.get(&key).is_some_and(|own| {
                let moves = own.kind() == Kind::Dismiss && is_move(claim.robot);
                own.signature().sequence > counted.sequence && !moves
            });
            if !is_outdated && dismissers.iter().all(|signer| is_move(*signer)) {
                let until = signers.entry(claim.robot).or_insert(counted.until);
                *until = until.zip(counted.until).map(|(one, other)| one.max(other));
            }
        }
    }

    /// Returns the peers whose dismissals of an item count now.
    fn dismissers(&self, item: &Item) -> Vec<PeerId> {
        let counts = |record: &&Record| {
            record.kind() == Kind::Dismiss
                && record.validity().contains(self.now)
                && self.set.may(Kind::Dismiss, item, record.signer(), self.now).is_ok()
        };
        self.set.records_about(item).iter().filter(counts).map(Record::signer).collect()
    }

    /// Returns the descriptions of a file in catalogues, with the robots that state each.
    pub(crate) fn infos(&self, cid: &Cid) -> BTreeMap<&Data, Signers> {
        let mut infos: BTreeMap<&Data, Signers> = BTreeMap::new();
        for (claim, counted) in self.claims(cid) {
            if let Some(info) = claim.info.as_ref().filter(|_| counted.may_share) {
                infos.entry(info).or_default().insert(claim.robot, counted.until);
            }
        }
        infos
    }

    /// Returns files of catalogues that `is_known` does not accept, at most `most`. The robots take turns, and the files
    /// with the fewest robots come first.
    pub(crate) fn choose(&self, is_known: &dyn Fn(&Cid) -> bool, most: usize) -> BTreeSet<Cid> {
        let lists = self.robots.keys().map(|robot| self.catalogs.rarest(*robot).iter());
        let mut lists: Vec<_> = lists.collect();
        let (mut chosen, mut examined) = (BTreeSet::new(), 0);
        while !lists.is_empty() && chosen.len() < most && examined < most * EXAMINED {
            lists.retain_mut(|files| {
                let Some(cid) = files.next() else { return false };
                examined += 1;
                if chosen.len() < most && !is_known(cid) {
                    chosen.insert(*cid);
                }
                true
            });
        }
        chosen
    }
}

/// Maximum number of lines, as a multiple of the number of files, that one choice examines.
const EXAMINED: usize = 8;

#[cfg(test)]
mod tests {
    use super::super::format::tests::{entry, numbered};
    use super::super::stated::{StatedCatalog, tests::state};
    use super::*;
    use crate::buckets::LIFETIME;
    use crate::index::tests::{NOW, peer, say};
    use crate::index::{SharedFile, State, index_of_with};
    use dcache::Policy;
    use std::num::NonZeroU8;

    fn stated(number: u32) -> StatedCatalog {
        StatedCatalog { root: numbered(number), files: 1, bytes: 9 }
    }

    /// Makes a robot name its catalogue, and returns the version.
    fn publish(set: &mut Set, seed: u8, number: u32) -> CatalogVersion {
        state(set, seed, Some(stated(number)), NOW);
        CatalogVersion { root: numbered(number), sequence: Valid::of(set, peer(seed), NOW).unwrap().sequence }
    }

    fn shared(number: u32) -> CatalogEntries {
        [(numbered(number), entry(number))].into()
    }

    fn kept(number: u32) -> CatalogEntries {
        let entry = CatalogEntry { shares: false, keeps: true, ..entry(number) };
        [(numbered(number), entry)].into()
    }

    fn file(set: &Set, catalogs: &Catalogs, now: Time) -> Option<SharedFile> {
        index_of_with(set, (catalogs, None), [&numbered(7)], now).remove(&numbered(7))
    }

    /// Returns a set and catalogues in which robot 1 shares file 7, and robot 2 keeps it.
    fn shared_and_kept() -> (Set, Catalogs) {
        let mut set = Set::default();
        let [one, two] = [1, 2].map(|seed| publish(&mut set, seed, 100 + u32::from(seed)));
        let catalogs = Catalogs::default().with(peer(1), one, Precedence::Member, shared(7)).unwrap();
        (set, catalogs.with(peer(2), two, Precedence::Member, kept(7)).unwrap())
    }

    #[test]
    fn a_file_in_a_catalogue_is_listed_like_one_in_records() {
        let mut set = Set::default();
        let one = publish(&mut set, 1, 101);
        let catalogs = Catalogs::default().with(peer(1), one, Precedence::Member, shared(7)).unwrap();
        let listed = file(&set, &catalogs, NOW).unwrap();
        assert_eq!((listed.state, listed.proposers.len()), (State::Shared, 1));
        assert_eq!(listed.description.unwrap().filename, "run7.bag");
        assert!(listed.is_described_by_uploader && !listed.is_contested);
        let (set, catalogs) = shared_and_kept();
        let listed = file(&set, &catalogs, NOW).unwrap();
        assert_eq!(listed.state, State::Safe);
        assert_eq!(listed.holders.into_keys().collect::<BTreeSet<_>>(), BTreeSet::from([peer(1), peer(2)]));
        let me = index_of_with(&set, (&catalogs, Some(peer(2))), [&numbered(7)], NOW);
        assert_eq!(me[&numbered(7)].state, State::Shared, "the catalogue of one robot is not considered");
    }

    #[test]
    fn a_catalogue_counts_as_long_as_a_record_of_its_robot_names_one() {
        let (mut set, catalogs) = shared_and_kept();
        let end = NOW.plus(super::super::stated::LIFETIME);
        assert!(file(&set, &catalogs, end.plus(1)).is_none());
        state(&mut set, 1, Some(stated(200)), NOW);
        assert!(
            file(&set, &catalogs, NOW).unwrap().holders.contains_key(&peer(1)),
            "the next version is not read yet"
        );
        state(&mut set, 1, None, NOW);
        assert!(!file(&set, &catalogs, NOW).unwrap().holders.contains_key(&peer(1)));
        let without = catalogs.without(peer(2));
        assert!(file(&set, &without, NOW).is_none());
    }

    #[test]
    fn a_later_record_of_the_robot_precedes_its_catalogue() {
        let (mut set, catalogs) = shared_and_kept();
        let safe = Station::Safe.item(&numbered(7));
        say(&mut set, 2, Kind::Propose, safe.clone(), LIFETIME);
        let former = dcache::Statement::new(Kind::Propose, safe, dcache::Validity::over(NOW)).unwrap();
        let sequence = set.latest_sequence(peer(2)) + 1;
        let keep = set.get(&Key { item: former.item().clone(), signer: peer(2) }).unwrap().keep();
        let record = Record::sign(former, &dcache::Keypair::from_seed([2; 32]), sequence, keep);
        set.admit_verified(record, NOW).unwrap();
        let listed = file(&set, &catalogs, NOW).unwrap();
        assert_eq!((listed.state, listed.holders.len()), (State::Shared, 0), "it let go of the file");
        let next = publish(&mut set, 2, 300);
        let catalogs = catalogs.with(peer(2), next, Precedence::Member, kept(7)).unwrap();
        assert_eq!(
            file(&set, &catalogs, NOW).unwrap().state,
            State::Safe,
            "its next catalogue lists the file again"
        );
    }

    #[test]
    fn a_withdrawal_by_the_uploader_counts_for_catalogues() {
        let (mut set, catalogs) = shared_and_kept();
        say(&mut set, 1, Kind::Dismiss, Station::Safe.item(&numbered(7)), LIFETIME);
        assert!(file(&set, &catalogs, NOW).unwrap().holders.is_empty());
    }

    #[test]
    fn a_file_that_nobody_keeps_any_more_is_shared_by_the_catalogue_of_its_uploader() {
        let roots = BTreeSet::from([peer(1)]);
        let with_roles = Set::new(Policy::new(roots, Vec::new(), NonZeroU8::MIN), dcache::Limits::default());
        for mut set in [Set::default(), with_roles] {
            let one = publish(&mut set, 1, 101);
            let catalogs = Catalogs::default().with(peer(1), one, Precedence::Member, shared(7)).unwrap();
            let files = Station::Files.item(&numbered(7));
            say(&mut set, 1, Kind::Dismiss, files.clone(), LIFETIME);
            let listed = file(&set, &catalogs, NOW).unwrap();
            assert_eq!((listed.state, listed.proposers.len()), (State::Shared, 1));
            let mut over = dcache::Statements::new();
            over.propose(files, dcache::Validity::over(NOW));
            assert_eq!(crate::index::tests::publish(&mut set, 1, over, NOW), 1);
            assert!(file(&set, &catalogs, NOW).is_none(), "it took back the file");
        }
    }

    #[test]
    fn a_robot_without_a_role_shares_but_does_not_keep_in_a_swarm_with_roles() {
        let roots = BTreeSet::from([peer(9)]);
        let mut set = Set::new(Policy::new(roots, Vec::new(), NonZeroU8::MIN), dcache::Limits::default());
        let [one, two] = [1, 2].map(|seed| publish(&mut set, seed, 100 + u32::from(seed)));
        let catalogs = Catalogs::default().with(peer(1), one, Precedence::Member, shared(7)).unwrap();
        let catalogs = catalogs.with(peer(2), two, Precedence::Member, kept(7)).unwrap();
        let listed = file(&set, &catalogs, NOW).unwrap();
        assert_eq!((listed.state, listed.proposers.len(), listed.holders.len()), (State::Shared, 1, 0));
        say(&mut set, 9, Kind::Propose, Station::Discard.item(&numbered(7)), LIFETIME);
        assert_eq!(file(&set, &catalogs, NOW).unwrap().state, State::Discarded);
    }

    #[test]
    fn the_files_of_the_fewest_robots_are_chosen_first() {
        let (mut set, catalogs) = shared_and_kept();
        let three = publish(&mut set, 3, 103);
        let many: CatalogEntries = (0..20).map(|number| (numbered(number), entry(number))).collect();
        let catalogs = catalogs.with(peer(3), three, Precedence::Member, many).unwrap();
        let counting = Counting::new(&set, &catalogs, Some(peer(2)), NOW);
        let chosen = counting.choose(&|_| false, 19);
        assert_eq!(chosen.len(), 19);
        let of_three = Counting::new(&set, &catalogs.without(peer(1)), None, NOW).choose(&|_| false, 1).len();
        assert_eq!(of_three, 1);
        assert_eq!(*catalogs.rarest(peer(3)).last().unwrap(), numbered(7), "three robots list it");
        assert!(counting.choose(&|cid| *cid != numbered(7), 5).contains(&numbered(7)));
    }

    /// Returns entries for this number of files.
    fn many(files: u32) -> CatalogEntries {
        let entry = CatalogEntry { shares: true, ..Default::default() };
        (0..files).map(|number| (numbered(number), entry.clone())).collect()
    }

    #[test]
    fn too_many_lines_are_refused() {
        let version = CatalogVersion { root: numbered(1), sequence: 1 };
        let with = |catalogs: &Catalogs, seed, files| {
            catalogs.with(peer(seed), version, Precedence::Member, many(files))
        };
        let catalogs = with(&with(&Catalogs::default(), 1, 60_000).unwrap(), 2, 60_000).unwrap();
        assert_eq!(with(&catalogs, 3, 60_000), Err(CatalogsFull));
        assert!(with(&catalogs, 2, 60_000).is_ok(), "a new version replaces the former one");
    }

    #[test]
    fn long_descriptions_count_as_well() {
        let version = CatalogVersion { root: numbered(1), sequence: 1 };
        let info = Some(Data::new(&"x".repeat(1000)).unwrap());
        let long = |entry: CatalogEntry| CatalogEntry { info: info.clone(), ..entry };
        let entries = |files| many(files).into_iter().map(|(cid, entry)| (cid, long(entry))).collect();
        let with = |files| Catalogs::default().with(peer(1), version, Precedence::Member, entries(files));
        assert!(with(50_000).is_ok());
        assert_eq!(with(60_000), Err(CatalogsFull));
    }

    #[test]
    fn a_small_catalogue_replaces_the_largest_one_and_a_member_any_stranger() {
        use Precedence::{Member, Own, Stranger};
        let version = CatalogVersion { root: numbered(1), sequence: 1 };
        let with = |catalogs: Catalogs, (seed, precedence, files)| {
            catalogs.with(peer(seed), version, precedence, many(files)).unwrap()
        };
        let full = [(1, Stranger, 26_000), (2, Member, 65_000), (3, Own, 65_000)];
        let catalogs = full.into_iter().fold(Catalogs::default(), with);
        let robots =
            |catalogs: &Catalogs| catalogs.versions().map(|(robot, _)| robot).collect::<BTreeSet<_>>();
        let expect = |seeds: &[u8]| seeds.iter().copied().map(peer).collect::<BTreeSet<_>>();
        assert_eq!(catalogs.with(peer(4), version, Stranger, many(26_000)), Err(CatalogsFull));
        assert_eq!(robots(&with(catalogs.clone(), (4, Stranger, 25_999))), expect(&[2, 3, 4]));
        assert_eq!(robots(&with(catalogs.clone(), (4, Member, 33_000))), expect(&[2, 3, 4]));
        let without_two = with(catalogs.clone(), (4, Member, 64_999));
        assert_eq!(robots(&without_two), expect(&[3, 4]));
        assert_eq!(
            without_two,
            with(Catalogs::default(), full[2]).with(peer(4), version, Member, many(64_999)).unwrap()
        );
        assert_eq!(catalogs.with(peer(4), version, Member, many(65_000)), Err(CatalogsFull));
        let renewed = catalogs.renewed(peer(1), version, Member);
        assert_eq!(
            renewed.with(peer(4), version, Member, many(26_000)),
            Ok(with(with(with(Catalogs::default(), (1, Member, 26_000)), full[2]), (4, Member, 26_000)))
        );
    }
}
