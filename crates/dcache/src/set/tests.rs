use super::*;
use crate::{Data, Keypair, Validity};
use proptest::prelude::*;

const NOW: Time = Time(1_800_000_000);

fn key(seed: u8) -> Keypair {
    Keypair::from_seed([seed; 32])
}

fn item(bucket: &str, data: &str) -> Item {
    Item { bucket: bucket.parse().unwrap(), data: Data::new(data).unwrap() }
}

fn record(seed: u8, sequence: u64, kind: Kind, item: &Item, from: Time, seconds: u64) -> Record {
    let statement = Statement::new(kind, item.clone(), Validity::starting(from, seconds)).unwrap();
    Record::sign(statement.into(), &key(seed), sequence)
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
fn a_later_word_replaces_an_earlier_one_whatever_their_order() {
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
    admit(&mut set, &record(1, 2, Kind::Dismiss, &file, NOW, 10), NOW).unwrap();
    let later = NOW.plus(500);
    assert!(set.expire(later).is_empty());
    assert_eq!(admit(&mut set, &long, later), Ok(false));
    assert!(set.item(&file, later).is_none());
    assert_eq!(set.expire(NOW.plus(1000)).len(), 1);
    assert!(set.is_empty() && set.by_signer.is_empty() && set.by_end.is_empty());
}

#[test]
fn each_refusal_has_its_reason_and_changes_nothing() {
    let mut set = Set::new(Policy::default(), Limits { per_signer: 2, total: 3, lifetime: 1000 });
    let owner = key(1).peer_id();
    let private = item(&format!("pri/{owner}/info/hostname"), "duckie");
    let refusals = [
        (record(2, 1, Kind::Propose, &private, NOW, 10), Refusal::NotOwner),
        (record(1, 1, Kind::Propose, &private, NOW, 10), Refusal::Expired),
        (record(1, 1, Kind::Propose, &private, NOW, 1001), Refusal::Lifetime),
    ];
    for (record, refusal) in refusals {
        let now = if refusal == Refusal::Expired { NOW.plus(10) } else { NOW };
        assert_eq!(admit(&mut set, &record, now), Err(refusal));
    }
    let honest = record(1, 1, Kind::Propose, &private, NOW, 10);
    let forged = key(2).sign(1, honest.statement().payload());
    let forged = Signature { signer: owner, ..forged };
    assert_eq!(set.admit(honest.statement().clone(), forged, NOW), Err(Refusal::Forged));
    assert!(set.is_empty());
}

#[test]
fn open_ends_are_for_roles_only() {
    let statement = Statement::new(Kind::Propose, item("share/files", "cid"), Validity::ALWAYS).unwrap();
    let record = Record::sign(statement.into(), &key(1), 1);
    assert_eq!(admit(&mut Set::default(), &record, NOW), Err(Refusal::Lifetime));
}

#[test]
fn of_one_signer_the_newest_stay_and_a_full_set_takes_no_more() {
    let limits = Limits { per_signer: 2, total: 3, lifetime: 1000 };
    let mut set = Set::new(Policy::default(), limits);
    let files: Vec<Item> = (0..5).map(|n| item("share/files", &format!("cid{n}"))).collect();
    for sequence in [2, 3, 4] {
        let file = &files[sequence as usize];
        assert_eq!(admit(&mut set, &record(1, sequence, Kind::Propose, file, NOW, 10), NOW), Ok(true));
    }
    assert!(set.item(&files[2], NOW).is_none(), "the oldest left");
    let older = record(1, 1, Kind::Propose, &files[1], NOW, 10);
    assert_eq!(admit(&mut set, &older, NOW), Err(Refusal::Quota));
    assert_eq!(admit(&mut set, &record(2, 1, Kind::Propose, &files[0], NOW, 10), NOW), Ok(true));
    let fourth = record(3, 1, Kind::Propose, &files[0], NOW, 10);
    assert_eq!(admit(&mut set, &fourth, NOW), Err(Refusal::Full));
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
    assert_eq!(set.live(&[Pattern::new("*").unwrap()], NOW).count(), 4);
    assert_eq!(set.live(&[Pattern::new("*").unwrap()], NOW.plus(10)).count(), 0);
}

#[test]
fn a_restored_record_keeps_its_time() {
    let file = item("share/files", "cid");
    let mut set = Set::default();
    admit(&mut set, &record(1, 1, Kind::Propose, &file, NOW, 1000), NOW).unwrap();
    let short = record(1, 2, Kind::Propose, &file, NOW, 10);
    admit(&mut set, &short, NOW).unwrap();
    let at = Key { item: file, signer: key(1).peer_id() };
    let forget = set.forget_time(&at);
    assert_eq!(forget, Some(NOW.plus(1000)));
    let mut again = Set::default();
    assert!(again.restore(short.clone(), forget, NOW.plus(20)));
    assert_eq!(again.forget_time(&at), forget);
    assert!(!Set::default().restore(short, forget, NOW.plus(1000)));
}

/// A record of a small world, in which items, signers and sequence numbers often meet.
fn any_record() -> impl Strategy<Value = Record> {
    let kind = prop_oneof![3 => Just(Kind::Propose), 1 => Just(Kind::Dismiss)];
    (1u8..4, 1u64..6, kind, 0u8..3, 0u64..50, 1u64..100).prop_map(
        |(seed, sequence, kind, name, from, length)| {
            record(seed, sequence, kind, &item("share/files", &format!("cid{name}")), NOW.plus(from), length)
        },
    )
}

fn merged(records: &[Record]) -> Vec<Record> {
    let mut set = Set::default();
    for record in records {
        admit(&mut set, record, NOW).unwrap();
    }
    set.records().cloned().collect()
}

proptest! {
    #[test]
    fn the_order_and_number_of_arrivals_do_not_matter(
        (records, shuffled) in prop::collection::vec(any_record(), 0..20)
            .prop_flat_map(|records| (Just(records.clone()), Just([records.clone(), records].concat()).prop_shuffle()))
    ) {
        prop_assert_eq!(merged(&records), merged(&shuffled));
    }

    #[test]
    fn agrees_with_the_definition(records in prop::collection::vec(any_record(), 0..20), seconds in 0u64..150) {
        let mut set = Set::default();
        records.iter().for_each(|record| { admit(&mut set, record, NOW).unwrap(); });
        let time = NOW.plus(seconds);
        for name in 0..3 {
            let file = item("share/files", &format!("cid{name}"));
            let of_item = || records.iter().filter(|record| *record.item() == file);
            let is_latest = |record: &&Record| {
                !of_item().any(|other| other.signer() == record.signer() && other.order() > record.order())
            };
            let holds = |kind| {
                of_item().filter(is_latest).any(|record| record.kind() == kind && record.validity().contains(time))
            };
            let expected = holds(Kind::Propose) && !holds(Kind::Dismiss);
            prop_assert_eq!(set.item(&file, time).is_some(), expected);
        }
    }
}
