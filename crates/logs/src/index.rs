//! The shared files, as the set has them at a moment.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::buckets::{self, Station};
use crate::info::Description;
use dcache::{Key, Kind, PeerId, Record, Set, Time, View};
use ipfs::Cid;
use std::collections::BTreeMap;

/// How far a file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Somebody declared it to be a log; nobody else has looked at it yet.
    Shared,
    /// Somebody else fetched it and found it good.
    Verified,
    /// It is kept by those who say so.
    Safe,
    /// It was found bad.
    Discarded,
}

impl State {
    /// The word for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Verified => "verified",
            Self::Safe => "safe",
            Self::Discarded => "discarded",
        }
    }
}

/// Who says that a file is at a station, and until when.
pub type Signers = BTreeMap<PeerId, Option<Time>>;

/// A file, from all that is said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedFile {
    /// Its directory: the file and its info file.
    pub cid: Cid,
    /// How far it has come.
    pub state: State,
    /// Who declares it to be a log.
    pub proposers: Signers,
    /// Who found it good.
    pub verifiers: Signers,
    /// Who keeps it.
    pub holders: Signers,
    /// Who says that it is bad, or is to be removed. It is in that state only while nobody is said to keep it.
    pub discarders: Signers,
    /// What it is, as it is best known: only peers that share, verify or keep the file describe it.
    pub description: Option<Description>,
    /// Whether the uploader itself says so; otherwise only others do.
    pub is_described_by_uploader: bool,
    /// Whether a peer with a role that looked at the file says so.
    pub is_described_by_role: bool,
    /// Until when that is said.
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

/// All files that are in one of the four buckets at `now`, by CID.
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
    // A file that is kept stays what it is, whatever somebody thinks of it.
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

/// Of several descriptions the one counts that its own uploader signed, then one by a peer that looked at the file, then the
/// one that most peers state. In a swarm with roles the second comes first: there only roles state that a file is good.
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

    /// Returns whether a peer states anything about the file besides what it is. An uploader that withdrew its proposal,
    /// since others keep the file by now, still does.
    fn is_involved(&self, set: &Set, peer: PeerId) -> bool {
        let shared = || set.get(&Key { item: Station::Files.item(&self.cid), signer: peer }).is_some();
        // With roles, only a role discards; the name of what it discarded is for people to see.
        let has_discarded = || !set.policy().roots().is_empty() && self.discarders.contains_key(&peer);
        self.has_looked(peer) || self.proposers.contains_key(&peer) || shared() || has_discarded()
    }

    /// Notes that the file is discarded when its uploader says so. That is its own word about its own file: it counts in every
    /// swarm and whatever others say.
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
    fn a_file_goes_from_station_to_station() {
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

    /// Has peer `seed` share the file.
    fn share(set: &mut Set, seed: u8) {
        say(set, seed, Kind::Propose, Station::Files.item(&cid()), 100);
    }

    #[test]
    fn its_own_uploader_knows_best_what_it_is() {
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
    fn whoever_neither_shares_nor_keeps_a_file_does_not_describe_it() {
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
    fn in_a_swarm_with_roles_whoever_found_the_file_good_describes_it_and_no_number_of_strangers() {
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
    fn what_is_no_cid_is_no_file() {
        let mut set = Set::default();
        let mut item = Station::Files.item(&cid());
        item.data = dcache::Data::new("hello").unwrap();
        say(&mut set, 1, Kind::Propose, item, 100);
        assert!(index(&set, NOW).is_empty());
    }
}
