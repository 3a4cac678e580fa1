//! The index of shared files: the state of each file at a given time, computed from the set.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::buckets::{self, Station};
use crate::catalog::known::{Catalogs, Counting};
use crate::info::Description;
use dcache::{Data, Key, Kind, PeerId, Record, Role, Set, Time, View};
use ipfs::Cid;
use std::collections::{BTreeMap, BTreeSet};

/// State of a shared file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// A peer proposed the file as a log. No other peer has verified it yet.
    Shared,
    /// Another peer fetched the file and found it good.
    Verified,
    /// At least one peer states that it keeps the file.
    Safe,
    /// The file was found bad, or was removed from the swarm by a user.
    Discarded,
}

impl State {
    /// Returns the name of the state, for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Verified => "verified",
            Self::Safe => "safe",
            Self::Discarded => "discarded",
        }
    }
}

/// The peers that propose a file at a station, with the ends of their statements; `None` for no end.
pub type Signers = BTreeMap<PeerId, Option<Time>>;

/// A shared file, with the valid statements about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedFile {
    /// CID of the IPFS directory with the file and its info file.
    pub cid: Cid,
    /// State of the file.
    pub state: State,
    /// Peers that propose the file as a log.
    pub proposers: Signers,
    /// Peers that found the file good.
    pub verifiers: Signers,
    /// Peers that keep the file.
    pub holders: Signers,
    /// Peers that discard the file. This changes its state only while no peer keeps it; a discard by the uploader
    /// always does.
    pub discarders: Signers,
    /// Best known description of the file. Only peers that share, verify or keep the file can describe it.
    pub description: Option<Description>,
    /// Whether the uploader itself signed the description.
    pub is_described_by_uploader: bool,
    /// Whether another peer, with the same right to be believed, claims to be the uploader or shares the file as well.
    /// Then only the content shows the true uploader.
    pub is_contested: bool,
    /// The uploader that discarded the file, with the state of the file without its discard.
    withdrawn_by: Option<(PeerId, State)>,
    /// Whether a peer with a role that verified or keeps the file signed the description.
    pub is_described_by_role: bool,
    /// End of the description's validity; `None` when it has no end, or there is no description.
    pub described_until: Option<Time>,
}

impl SharedFile {
    pub(crate) fn new(cid: Cid) -> Self {
        let signers = Signers::new;
        Self {
            cid,
            state: State::Shared,
            proposers: signers(),
            verifiers: signers(),
            holders: signers(),
            discarders: signers(),
            description: None,
            is_described_by_uploader: false,
            is_contested: false,
            withdrawn_by: None,
            is_described_by_role: false,
            described_until: None,
        }
    }

    /// Returns the peers that most likely hold the file.
    pub fn likely_holders(&self) -> impl Iterator<Item = PeerId> {
        self.holders.keys().chain(self.verifiers.keys()).chain(self.proposers.keys()).copied()
    }
}

/// Returns all files that are in one of the four buckets at `now`, by CID.
pub fn index(set: &Set, now: Time) -> BTreeMap<Cid, SharedFile> {
    let mut files = BTreeMap::new();
    for station in Station::ALL {
        let bucket = station.bucket();
        for view in set.bucket(&bucket, now) {
            if let Some(cid) = buckets::parse(view.item.data.as_str()) {
                let file = files.entry(cid).or_insert_with(|| SharedFile::new(cid));
                arrive(file, station, signers(&view));
            }
        }
    }
    complete(files, (set, None), now)
}

/// Returns those of the files `cids` that are in one of the four buckets at `now`. The cost does not depend on the
/// number of other files.
pub fn index_of<'a>(
    set: &Set,
    cids: impl IntoIterator<Item = &'a Cid>,
    now: Time,
) -> BTreeMap<Cid, SharedFile> {
    index_of_with(set, (&Catalogs::default(), None), cids, now)
}

/// Returns all files that are in one of the four buckets or in a catalogue at `now`, by CID.
pub fn index_with(set: &Set, catalogs: &Catalogs, now: Time) -> BTreeMap<Cid, SharedFile> {
    if catalogs.is_empty() {
        return index(set, now);
    }
    let items = Station::ALL.into_iter().flat_map(|station| set.bucket(&station.bucket(), now));
    let in_buckets = items.filter_map(|view| buckets::parse(view.item.data.as_str()));
    let cids: BTreeSet<Cid> = in_buckets.chain(catalogs.cids().copied()).collect();
    index_of_with(set, (catalogs, None), &cids, now)
}

/// Returns those of the files `cids` that are in one of the four buckets, or in a catalogue of another robot than
/// `except`, at `now`. The cost does not depend on the number of other files.
pub fn index_of_with<'a>(
    set: &Set,
    (catalogs, except): (&Catalogs, Option<PeerId>),
    cids: impl IntoIterator<Item = &'a Cid>,
    now: Time,
) -> BTreeMap<Cid, SharedFile> {
    index_counting(set, &Counting::new(set, catalogs, except, now), cids, now)
}

/// As [`index_of_with`], with the catalogues that count at `now`.
pub fn index_counting<'a>(
    set: &Set,
    counting: &Counting<'_>,
    cids: impl IntoIterator<Item = &'a Cid>,
    now: Time,
) -> BTreeMap<Cid, SharedFile> {
    let mut files = BTreeMap::new();
    for cid in cids {
        for station in Station::ALL {
            let item = station.item(cid);
            let mut signers = set.item(&item, now).as_ref().map(signers).unwrap_or_default();
            match station {
                Station::Files => counting.add_sharers(cid, &item, &mut signers),
                Station::Safe => counting.add_holders(cid, &item, &mut signers),
                Station::Verified | Station::Discard => {}
            }
            if !signers.is_empty() {
                let file = files.entry(*cid).or_insert_with(|| SharedFile::new(*cid));
                arrive(file, station, signers);
            }
        }
    }
    complete(files, (set, Some(counting)), now)
}

/// Adds the descriptions to the files, and the discards by their uploaders.
fn complete(
    mut files: BTreeMap<Cid, SharedFile>,
    (set, counting): (&Set, Option<&Counting<'_>>),
    now: Time,
) -> BTreeMap<Cid, SharedFile> {
    for file in files.values_mut() {
        describe(file, (set, counting), now);
        file.heed_uploader(set, now);
    }
    files
}

fn signers(view: &View<'_>) -> Signers {
    view.proposals.iter().map(|record| (record.signer(), record.validity().until())).collect()
}

fn arrive(file: &mut SharedFile, station: Station, signers: Signers) {
    // A file that a peer keeps stays safe, even when another peer discards it.
    let is_kept = file.state == State::Safe;
    if station == Station::Discard {
        file.discarders.clone_from(&signers);
    }
    match station {
        Station::Files => file.proposers = signers,
        Station::Verified => (file.state, file.verifiers) = (State::Verified, signers),
        Station::Safe => (file.state, file.holders) = (State::Safe, signers),
        Station::Discard if is_kept => {}
        Station::Discard => file.state = State::Discarded,
    }
}

/// Maximum number of descriptions of one file that are read of each signer. An honest signer states one, and a second one
/// for a moment when it corrects the first.
const MAX_DESCRIPTIONS: usize = 4;

/// Chooses the description of a file. First comes one that its own uploader signed, then one by a peer that verified or
/// keeps the file. In a swarm with roles the first two are swapped, since only roles can state there that a file is
/// good. Then come uploaders and signers with a role. The number of signers without a role does not count, because one
/// host can have any number of keys.
fn describe(file: &mut SharedFile, (set, counting): (&Set, Option<&Counting<'_>>), now: Time) {
    let bucket = buckets::info(&file.cid);
    let has_roles = !set.policy().roots().is_empty();
    let has_role = |peer: &PeerId| has_roles && set.role(*peer, now) >= Some(Role::Trusted);
    let (mut claimants, mut read_of) = (BTreeSet::new(), BTreeMap::<PeerId, usize>::new());
    let read = |(data, mut signers): (&Data, Signers)| {
        signers.retain(|peer, _| file.is_involved(set, *peer));
        let mut is_read = false;
        for signer in signers.keys() {
            let read = read_of.entry(*signer).or_default();
            *read += 1;
            is_read |= *read <= MAX_DESCRIPTIONS;
        }
        let description = is_read.then(|| Description::from_data(data).ok()).flatten()?;
        let until = signers.values().copied().max_by_key(|until| until.unwrap_or(Time(u64::MAX)))?;
        let is_by_uploader = signers.contains_key(&description.uploader);
        if is_by_uploader {
            claimants.insert(description.uploader);
        }
        let vouches = signers.keys().any(|peer| file.has_looked(*peer));
        let words = if has_roles { (vouches, is_by_uploader) } else { (is_by_uploader, vouches) };
        let of_roles = signers.keys().filter(|peer| has_role(peer)).count();
        let rank = (words, is_by_uploader && has_role(&description.uploader), of_roles);
        Some((rank, (is_by_uploader, has_roles && vouches), description, until))
    };
    let stated = set.bucket(&bucket, now).map(|view| (&view.item.data, signers(&view)));
    let listed = counting.map(|counting| counting.infos(&file.cid)).unwrap_or_default();
    let best = stated.chain(listed).filter_map(read).max_by_key(|(rank, ..)| *rank);
    if let Some((_, by, description, until)) = best {
        (file.is_described_by_uploader, file.is_described_by_role) = by;
        let sharers = set.records_about(&Station::Files.item(&file.cid)).iter().map(Record::signer);
        let sharers = sharers.chain(file.proposers.keys().copied());
        let is_believed = has_role(&description.uploader);
        let is_rival = |peer: PeerId| peer != description.uploader && (!is_believed || has_role(&peer));
        file.is_contested = claimants.into_iter().chain(sharers).any(is_rival);
        file.description = Some(description);
        file.described_until = until;
    }
}

/// Returns whether `peer` describes the file as its own.
pub(crate) fn describes_as_own(set: &Set, cid: &Cid, peer: PeerId, now: Time) -> bool {
    set.bucket(&buckets::info(cid), now).any(|view| {
        let is_own = || Description::from_data(&view.item.data).is_ok_and(|known| known.uploader == peer);
        view.proposals.iter().any(|record| record.signer() == peer) && is_own()
    })
}

impl SharedFile {
    /// Returns whether a peer states that it verified or keeps the file.
    pub(crate) fn has_looked(&self, peer: PeerId) -> bool {
        self.verifiers.contains_key(&peer) || self.holders.contains_key(&peer)
    }

    /// Returns whether a peer makes a statement about the file other than a description. An uploader that withdrew its
    /// proposal, because other peers keep the file by now, still counts.
    fn is_involved(&self, set: &Set, peer: PeerId) -> bool {
        let shared = || set.get(&Key { item: Station::Files.item(&self.cid), signer: peer }).is_some();
        // In a swarm with roles, only roles discard files. The description lets users see the names of discarded files.
        let has_discarded = || !set.policy().roots().is_empty() && self.discarders.contains_key(&peer);
        self.has_looked(peer) || self.proposers.contains_key(&peer) || shared() || has_discarded()
    }

    /// Marks the file as discarded when its uploader discards it. A discard by the uploader is valid in every swarm, even
    /// if other peers keep the file. It has no effect here while the uploader is contested: holders know the true
    /// uploader from the content, and other nodes learn it by fetching the file.
    fn heed_uploader(&mut self, set: &Set, now: Time) {
        let is_certain = self.is_described_by_uploader && !self.is_contested;
        let known = self.description.as_ref().filter(|_| is_certain);
        let Some(uploader) = known.map(|known| known.uploader) else { return };
        let key = Key { item: Station::Discard.item(&self.cid), signer: uploader };
        let holds = |record: &&Record| record.kind() == Kind::Propose && record.validity().contains(now);
        if let Some(record) = set.get(&key).filter(holds) {
            self.withdrawn_by = Some((uploader, self.state));
            self.state = State::Discarded;
            self.discarders.insert(uploader, record.validity().until());
        }
    }

    /// Returns the state of the file for a node that knows from the content who the uploader is. A discard by another
    /// peer that only claims to be the uploader does not count.
    pub(crate) fn state_with(&self, uploader: PeerId) -> State {
        match self.withdrawn_by {
            Some((claimed, state)) if claimed != uploader => state,
            _ => self.state,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
