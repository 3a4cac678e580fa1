use super::*;
use dcache::{Item, Key, Keypair, Moment, Statement, Statements, Validity};

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
    let record = Record::sign(statement, &Keypair::from_seed([seed; 32]), sequence, dcache::End::default());
    set.admit_verified(record, NOW).unwrap();
}

/// Signs the statements of a peer that change something, and admits them. Returns their number.
pub(crate) fn publish(set: &mut Set, seed: u8, mut statements: Statements, now: Time) -> usize {
    statements.keep_worthwhile(set, peer(seed), Moment::certain(now));
    let signable = statements.into_signable().unwrap();
    let number = signable.len();
    for statement in signable {
        let key = Key { item: statement.item().clone(), signer: peer(seed) };
        let former = set.get(&key).map(Record::keep).unwrap_or_default();
        let sequence = set.latest_sequence(peer(seed)) + 1;
        let record = Record::sign(statement, &Keypair::from_seed([seed; 32]), sequence, former);
        set.admit_verified(record, now).unwrap();
    }
    number
}

pub(crate) fn description(seed: u8, filename: &str) -> Description {
    Description {
        filename: filename.to_owned(),
        path: None,
        size: 5,
        changed: NOW,
        uploader: peer(seed),
        recording: None,
    }
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

/// Returns the item by which peer `seed` states that it is present.
pub(crate) fn presence(seed: u8) -> Item {
    Item { bucket: dcache::buckets::PEER.path(), data: peer(seed).into() }
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

/// Makes strangers claim, with all statements that they can make, to be the uploader of the file, and discard it.
pub(crate) fn claim_and_discard(set: &mut Set, seeds: &[u8]) {
    for seed in seeds {
        share(set, *seed);
        say(set, *seed, Kind::Propose, Station::Safe.item(&cid()), 100);
        describe_as(set, *seed, &description(seeds[0], "~junk.txt"));
        say(set, *seed, Kind::Propose, Station::Discard.item(&cid()), 100);
    }
}

#[test]
fn a_stranger_that_claims_to_be_the_uploader_cannot_discard_a_file() {
    for is_kept in [false, true] {
        let mut set = Set::default();
        share(&mut set, 1);
        describe_as(&mut set, 1, &description(1, "good.bag"));
        if is_kept {
            say(&mut set, 2, Kind::Propose, Station::Safe.item(&cid()), 100);
            say(&mut set, 1, Kind::Dismiss, Station::Files.item(&cid()), 100);
        }
        claim_and_discard(&mut set, &[7, 8, 9]);
        let file = &index(&set, NOW)[&cid()];
        assert!(file.is_contested);
        assert_eq!(file.state, State::Safe, "{is_kept}");
    }
}

#[test]
fn few_descriptions_of_one_file_are_read_of_each_signer() {
    let mut set = Set::default();
    for seed in [1, 7] {
        share(&mut set, seed);
    }
    for number in 0..100 {
        describe_as(&mut set, 7, &Description { size: number, ..description(7, "~many.bag") });
    }
    describe_as(&mut set, 1, &description(1, "good.bag"));
    let file = &index(&set, NOW)[&cid()];
    assert!(file.is_contested, "the descriptions of other signers are read");
    let read = file.description.as_ref().unwrap();
    assert!(read.uploader == peer(1) || read.size < 100);
}

#[test]
fn an_uploader_with_a_role_precedes_strangers_that_claim_to_be_the_uploader() {
    let policy = dcache::Policy::new([peer(1)].into(), Vec::new(), std::num::NonZeroU8::MIN);
    let mut set = Set::new(policy, dcache::Limits::default());
    share(&mut set, 1);
    describe_as(&mut set, 1, &description(1, "good.bag"));
    claim_and_discard(&mut set, &[7, 8, 9]);
    // Every stranger can state that it is present, so this gives no precedence.
    say(&mut set, 7, Kind::Propose, presence(7), 100);
    let file = &index(&set, NOW)[&cid()];
    assert_eq!(file.description, Some(description(1, "good.bag")));
    assert_eq!((file.is_contested, file.state), (false, State::Shared));
    // The true uploader can still discard its file.
    say(&mut set, 1, Kind::Propose, Station::Discard.item(&cid()), 100);
    assert_eq!(index(&set, NOW)[&cid()].state, State::Discarded);
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
