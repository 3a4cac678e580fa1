//! The index of shared files: the state of each file at a given time, computed from the set.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::buckets::{self, Station};
use crate::info::Description;
use dcache::{Key, Kind, PeerId, Record, Set, Time, View};
use ipfs::Cid;
use std::collections::BTreeMap;

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
    /// Whether a peer with a role that verified or keeps the file signed the description.
    pub is_described_by_role: bool,
    /// End of the description's validity; `None` when it has no end, or there is no description.
    pub described_until: Option<Time>,
}

impl SharedFile {
    fn new(cid: Cid) -> Self {
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
    complete(files, set, now)
}

/// Returns those of the files `cids` that are in one of the four buckets at `now`. The cost does not depend on the
/// number of other files.
pub(crate) fn index_of<'a>(
    set: &Set,
    cids: impl IntoIterator<Item = &'a Cid>,
    now: Time,
) -> BTreeMap<Cid, SharedFile> {
    let mut files = BTreeMap::new();
    for cid in cids {
        for station in Station::ALL {
            if let Some(view) = set.item(&station.item(cid), now) {
                let file = files.entry(*cid).or_insert_with(|| SharedFile::new(*cid));
                arrive(file, station, signers(&view));
            }
        }
    }
    complete(files, set, now)
}

/// Adds the descriptions to the files, and the discards by their uploaders.
fn complete(mut files: BTreeMap<Cid, SharedFile>, set: &Set, now: Time) -> BTreeMap<Cid, SharedFile> {
    for file in files.values_mut() {
        describe(file, set, now);
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

/// Chooses the description of a file. First comes one that its own uploader signed, then one by a peer that verified or
/// keeps the file, then the one with the most signers. In a swarm with roles the first two are swapped, since only
/// roles can state there that a file is good.
fn describe(file: &mut SharedFile, set: &Set, now: Time) {
    let bucket = buckets::info(&file.cid);
    let has_roles = !set.policy().roots().is_empty();
    let read = |view: View<'_>| {
        let description = Description::from_data(&view.item.data).ok()?;
        let all = signers(&view);
        let is_by_uploader = all.contains_key(&description.uploader);
        let signers: Signers = all.into_iter().filter(|(peer, _)| file.is_involved(set, *peer)).collect();
        let vouches = signers.keys().any(|peer| file.has_looked(*peer));
        let words = if has_roles { (vouches, is_by_uploader) } else { (is_by_uploader, vouches) };
        let until = signers.values().copied().max_by_key(|until| until.unwrap_or(Time(u64::MAX)))?;
        Some(((words, signers.len()), (is_by_uploader, has_roles && vouches), description, until))
    };
    let best = set.bucket(&bucket, now).filter_map(read).max_by_key(|(rank, ..)| *rank);
    if let Some((_, by, description, until)) = best {
        (file.is_described_by_uploader, file.is_described_by_role) = by;
        file.description = Some(description);
        file.described_until = until;
    }
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
    /// if other peers keep the file.
    fn heed_uploader(&mut self, set: &Set, now: Time) {
        let known = self.description.as_ref().filter(|_| self.is_described_by_uploader);
        let Some(uploader) = known.map(|known| known.uploader) else { return };
        let key = Key { item: Station::Discard.item(&self.cid), signer: uploader };
        let holds = |record: &&Record| record.kind() == Kind::Propose && record.validity().contains(now);
        if let Some(record) = set.get(&key).filter(holds) {
            self.state = State::Discarded;
            self.discarders.insert(uploader, record.validity().until());
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use dcache::{Item, Keypair, Statement, Validity};

    pub(crate) const NOW: Time = Time(1_800_000_000);

    pub(crate) fn cid() -> Cid {
        buckets::parse("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku").unwrap()
    }

    pub(crate) fn peer(seed: u8) -> PeerId {
        Keypair::from_seed([seed; 32]).peer_id()
    }

    pub(crate) fn say(set: &mut Set, seed: u8, kind: Kind, item: Item, seconds: u64) {
        let sequence = set.latest_sequence(peer(seed)) + 1;
        let statement = Statement::new(kind, item, Validity::starting(NOW, seconds)).unwrap();
        let record =
            Record::sign(statement, &Keypair::from_seed([seed; 32]), sequence, dcache::End::default());
        set.admit_verified(record, NOW).unwrap();
    }

    pub(crate) fn description(seed: u8, filename: &str) -> Description {
        Description { filename: filename.to_owned(), size: 5, changed: NOW, uploader: peer(seed) }
    }

    fn describe_as(set: &mut Set, signer: u8, description: &Description) {
        let item = Item { bucket: buckets::info(&cid()), data: description.to_data().unwrap() };
        say(set, signer, Kind::Propose, item, 100);
    }

    #[test]
    fn a_file_moves_from_station_to_station() {
        let mut set = Set::default();
        let state = |set: &Set| index(set, NOW).get(&cid()).map(|file| file.state);
        assert_eq!(state(&set), None);
        say(&mut set, 1, Kind::Propose, Station::Files.item(&cid()), 100);
        assert_eq!(state(&set), Some(State::Shared));
        say(&mut set, 2, Kind::Propose, Station::Verified.item(&cid()), 100);
        say(&mut set, 2, Kind::Dismiss, Station::Files.item(&cid()), 100);
        assert_eq!(state(&set), Some(State::Verified));
        say(&mut set, 3, Kind::Propose, Station::Safe.item(&cid()), 100);
        say(&mut set, 4, Kind::Propose, Station::Safe.item(&cid()), 200);
        say(&mut set, 5, Kind::Propose, Station::Discard.item(&cid()), 200);
        let file = &index(&set, NOW)[&cid()];
        assert_eq!(file.state, State::Safe);
        assert_eq!(file.holders.keys().copied().collect::<Vec<_>>().len(), 2);
        assert!(file.proposers.is_empty());
    }

    /// Makes peer `seed` share the file.
    fn share(set: &mut Set, seed: u8) {
        say(set, seed, Kind::Propose, Station::Files.item(&cid()), 100);
    }

    #[test]
    fn the_description_by_the_uploader_comes_first() {
        let mut set = Set::default();
        share(&mut set, 1);
        let lie = description(1, "lie.bag");
        for liar in [7, 8, 9] {
            share(&mut set, liar);
            describe_as(&mut set, liar, &lie);
        }
        let file = &index(&set, NOW)[&cid()];
        assert_eq!((file.description.as_ref(), file.is_described_by_uploader), (Some(&lie), false));
        describe_as(&mut set, 1, &description(1, "truth.bag"));
        let file = &index(&set, NOW)[&cid()];
        assert_eq!(
            (file.description.as_ref(), file.is_described_by_uploader),
            (Some(&description(1, "truth.bag")), true)
        );
    }

    #[test]
    fn a_peer_that_neither_shares_nor_keeps_a_file_does_not_describe_it() {
        let mut set = Set::default();
        share(&mut set, 1);
        let lie = Description { size: 1, ..description(8, "lie.bag") };
        describe_as(&mut set, 8, &lie);
        describe_as(&mut set, 9, &lie);
        assert_eq!(index(&set, NOW)[&cid()].description, None);
        let truth = description(1, "truth.bag");
        describe_as(&mut set, 1, &truth);
        let told = |set: &Set| index(set, NOW)[&cid()].description.clone();
        assert_eq!(told(&set), Some(truth.clone()));
        // The uploader withdraws its proposal once others keep the file.
        say(&mut set, 2, Kind::Propose, Station::Safe.item(&cid()), 100);
        say(&mut set, 1, Kind::Dismiss, Station::Files.item(&cid()), 100);
        assert_eq!(told(&set), Some(truth));
    }

    #[test]
    fn in_a_swarm_with_roles_the_description_by_a_role_precedes_those_of_strangers() {
        let policy = dcache::Policy::new([peer(2)].into(), Vec::new(), std::num::NonZeroU8::MIN);
        let mut set = Set::new(policy, dcache::Limits::default());
        share(&mut set, 1);
        say(&mut set, 2, Kind::Propose, Station::Safe.item(&cid()), 100);
        let (truth, lie) = (description(1, "truth.bag"), description(8, "lie.bag"));
        describe_as(&mut set, 1, &truth);
        for liar in [7, 8, 9] {
            share(&mut set, liar);
            describe_as(&mut set, liar, &lie);
        }
        describe_as(&mut set, 2, &truth);
        let file = &index(&set, NOW)[&cid()];
        assert_eq!((file.description.as_ref(), file.is_described_by_uploader), (Some(&truth), true));
    }

    #[test]
    fn a_text_that_is_not_a_cid_is_not_a_file() {
        let mut set = Set::default();
        let mut item = Station::Files.item(&cid());
        item.data = dcache::Data::new("hello").unwrap();
        say(&mut set, 1, Kind::Propose, item, 100);
        assert!(index(&set, NOW).is_empty());
    }
}
