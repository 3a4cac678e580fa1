use super::*;
use crate::{Data, Keypair, Kind, Pattern, Validity};

const NOW: Time = Time(1_800_000_000);

fn key(seed: u8) -> Keypair {
    Keypair::from_seed([seed; 32])
}

fn item(bucket: &str, data: &str) -> Item {
    Item { bucket: bucket.parse().unwrap(), data: Data::new(data).unwrap() }
}

fn record(seed: u8, sequence: u64, kind: Kind, item: &Item, from: Time, seconds: u64) -> Record {
    kept(seed, sequence, kind, item, from, seconds, End::default())
}

fn kept(seed: u8, sequence: u64, kind: Kind, item: &Item, from: Time, seconds: u64, keep: End) -> Record {
    let statement = Statement::new(kind, item.clone(), Validity::starting(from, seconds)).unwrap();
    Record::sign(statement, &key(seed), sequence, keep)
}

fn admit(set: &mut Set, record: &Record, now: Time) -> Result<bool, Refusal> {
    let admission = set.admit(record.statement().clone(), *record.signature(), now)?;
    Ok(matches!(admission, Admission::New { .. }))
}

#[test]
fn an_item_is_there_while_proposed_and_not_dismissed() {
    let file = item("share/files", "cid");
    let mut set = Set::default();
    assert_eq!(admit(&mut set, &record(1, 1, Kind::Propose, &file, NOW, 100), NOW), Ok(true));
    assert_eq!(set.item(&file, NOW).unwrap().proposals[0].signer(), key(1).peer_id());
    assert!(set.item(&file, NOW.plus(100)).is_none());
    assert_eq!(admit(&mut set, &record(2, 1, Kind::Dismiss, &file, NOW.plus(10), 20), NOW), Ok(true));
    let there: Vec<bool> = [0, 10, 29, 30].map(|s| set.item(&file, NOW.plus(s)).is_some()).into();
    assert_eq!(there, [true, false, false, true]);
}

#[test]
fn a_later_record_replaces_an_earlier_one_whatever_their_order() {
    let file = item("share/files", "cid");
    let first = record(1, 1, Kind::Propose, &file, NOW, 100);
    let second = record(1, 2, Kind::Dismiss, &file, NOW, 100);
    for order in [[&first, &second], [&second, &first]] {
        let mut set = Set::default();
        for record in order {
            admit(&mut set, record, NOW).unwrap();
        }
        assert!(set.item(&file, NOW).is_none());
        assert_eq!(set.len(), 1);
        assert_eq!(set.latest_sequence(key(1).peer_id()), 2);
    }
}

#[test]
fn what_was_replaced_does_not_come_back_while_it_could_be_valid() {
    let file = item("share/files", "cid");
    let long = record(1, 1, Kind::Propose, &file, NOW, 1000);
    let mut set = Set::default();
    admit(&mut set, &long, NOW).unwrap();
    admit(&mut set, &kept(1, 2, Kind::Dismiss, &file, NOW, 10, long.keep()), NOW).unwrap();
    let later = NOW.plus(500);
    assert!(set.advance(Moment::certain(later)).is_empty());
    assert_eq!(admit(&mut set, &long, later), Ok(false));
    assert!(set.item(&file, later).is_none());
    assert_eq!(set.advance(Moment::certain(NOW.plus(1000))).len(), 1);
    assert_eq!(admit(&mut set, &long, NOW.plus(1000)), Err(Refusal::Expired));
    assert!(set.is_empty() && set.items.all().next().is_none() && set.signers.is_empty());
    assert!(set.pools.values().all(BTreeSet::is_empty), "nothing is remembered of it");
}

#[test]
fn who_forgets_how_long_his_record_lasts_is_held_to_it() {
    let file = item("share/files", "cid");
    let (long, short) =
        (record(1, 1, Kind::Propose, &file, NOW, 1000), record(1, 2, Kind::Propose, &file, NOW, 10));
    for order in [[&long, &short], [&short, &long]] {
        let mut set = Set::default();
        for record in order {
            admit(&mut set, record, NOW).unwrap();
        }
        assert_eq!(set.records().collect::<Vec<_>>(), [&long]);
    }
}

#[test]
fn buckets_are_read_in_order_and_apart() {
    let mut set = Set::default();
    for (sequence, (bucket, data)) in
        [("share/files", "b"), ("share/files", "a"), ("share/safe", "a"), ("share", "x")].iter().enumerate()
    {
        let record = record(1, sequence as u64 + 1, Kind::Propose, &item(bucket, data), NOW, 10);
        admit(&mut set, &record, NOW).unwrap();
    }
    let bucket = "share/files".parse().unwrap();
    let data: Vec<&str> = set.bucket(&bucket, NOW).map(|view| view.item.data.as_str()).collect();
    assert_eq!(data, ["a", "b"]);
    assert_eq!(set.matching(&Pattern::new("/share/*").unwrap(), NOW).count(), 3);
}

#[test]
fn who_is_not_spoken_of_any_more_is_a_stranger_again() {
    let root = key(1).peer_id();
    let policy = crate::SwarmFile::new("class", [root].into()).unwrap().policy();
    let limits = Limits { member: 4, stranger: 2, strangers: 2, lifetime: 1000, ahead: 1000 };
    let mut set = Set::new(policy, limits);
    let grant = item("trusted", &key(2).peer_id().to_string());
    let grant = kept(1, 1, Kind::Propose, &grant, NOW, 10, End::at(NOW.plus(20)));
    assert_eq!(admit(&mut set, &grant, NOW), Ok(true));
    for sequence in 1..=4 {
        let file = item("share/files", &format!("cid{sequence}"));
        assert_eq!(admit(&mut set, &record(2, sequence, Kind::Propose, &file, NOW, 100), NOW), Ok(true));
    }
    let for_ever = Statement::new(Kind::Propose, item("uploads/cid", "there"), Validity::ALWAYS).unwrap();
    let for_ever = Record::sign(for_ever, &key(2), 9, End::default());
    assert_eq!(admit(&mut set, &for_ever, NOW), Ok(true));
    // Its role ends, but that it had one is remembered for a while.
    assert_eq!(set.advance(Moment::certain(NOW.plus(15))), []);
    assert_eq!(set.role(key(2).peer_id(), NOW.plus(15)), None);
    let dropped = set.advance(Moment::certain(NOW.plus(20)));
    assert_eq!(dropped.len(), 4, "the grant, and what a stranger may not have: {dropped:?}");
    assert!(dropped.contains(&Key::from(&for_ever)), "open ends are for roles");
    let kept: Vec<u64> = set.records().map(|record| record.signature().sequence).collect();
    assert_eq!(kept, [3, 4]);
}

#[test]
fn what_only_a_role_may_say_does_not_come_back_without_it() {
    let for_ever = Statement::new(Kind::Propose, item("uploads/cid", "there"), Validity::ALWAYS).unwrap();
    let for_ever = Record::sign(for_ever, &key(2), 9, End::default());
    let fine = record(2, 1, Kind::Propose, &item("share/files", "cid"), NOW, 100);
    // As when the robot has left its swarm.
    let mut open = Set::default();
    let dropped = open.restore([for_ever.clone(), fine.clone()], Moment::certain(NOW));
    assert_eq!(dropped, [Key::from(&for_ever)]);
    assert_eq!(open.records().collect::<Vec<_>>(), [&fine]);
}
