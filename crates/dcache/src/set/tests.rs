use super::*;
use crate::{Data, Keypair, Kind, Pattern, Role, Validity};

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
fn an_item_is_in_its_bucket_while_proposed_and_not_dismissed() {
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
fn a_later_record_replaces_an_earlier_one_in_any_order_of_arrival() {
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
fn a_replaced_record_does_not_come_back_while_it_could_be_valid() {
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
    assert!(set.pools.values().all(BTreeSet::is_empty), "nothing of the record is left");
}

#[test]
fn a_longer_valid_record_precedes_a_newer_one_of_a_signer_that_lost_it() {
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
fn the_items_of_each_bucket_are_read_in_order() {
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
fn a_member_becomes_a_stranger_when_no_record_names_it_any_more() {
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
    // The role ends, but the record that gave it is remembered for a while.
    assert_eq!(set.advance(Moment::certain(NOW.plus(15))), []);
    assert_eq!(set.role(key(2).peer_id(), NOW.plus(15)), None);
    let dropped = set.advance(Moment::certain(NOW.plus(20)));
    assert_eq!(dropped.len(), 4, "the grant, and the records whose validity requires a role: {dropped:?}");
    assert!(dropped.contains(&Key::from(&for_ever)), "a validity without an end requires a role");
    let kept: Vec<u64> = set.records().map(|record| record.signature().sequence).collect();
    assert_eq!(kept, [3, 4]);
}

#[test]
fn a_record_that_requires_a_role_is_not_restored_without_the_role() {
    let for_ever = Statement::new(Kind::Propose, item("uploads/cid", "there"), Validity::ALWAYS).unwrap();
    let for_ever = Record::sign(for_ever, &key(2), 9, End::default());
    let fine = record(2, 1, Kind::Propose, &item("share/files", "cid"), NOW, 100);
    // A robot that has left its swarm restores its saved records into the set of the open swarm, which has no roles.
    let mut open = Set::default();
    let dropped = open.restore([for_ever.clone(), fine.clone()], Moment::certain(NOW));
    assert_eq!(dropped, [Key::from(&for_ever)]);
    assert_eq!(open.records().collect::<Vec<_>>(), [&fine]);
}

/// Returns a set of a swarm in which peer 1 is root, peer 2 is admin, and peer 3 is trusted.
fn rooted() -> Set {
    let policy = crate::SwarmFile::new("class", [key(1).peer_id()].into()).unwrap().policy();
    let mut set = Set::new(policy, Limits::default());
    for (sequence, bucket, seed) in [(1, "admin", 2), (2, "trusted", 3)] {
        let grant = item(bucket, &key(seed).peer_id().to_string());
        assert_eq!(admit(&mut set, &record(1, sequence, Kind::Propose, &grant, NOW, 1000), NOW), Ok(true));
    }
    set
}

fn denial(signer: u8, sequence: u64, denied: u8, seconds: u64) -> Record {
    let presence = item("peer", &key(denied).peer_id().to_string());
    record(signer, sequence, Kind::Dismiss, &presence, NOW, seconds)
}

/// Returns three records in different buckets, signed by the peer with this key seed.
fn words(seed: u8) -> Vec<Record> {
    let me = key(seed).peer_id();
    let items =
        [item("peer", &me.to_string()), item(&format!("pri/{me}/info/x"), "y"), item("share/files", "cid")];
    items
        .iter()
        .zip(1..)
        .map(|(item, sequence)| record(seed, sequence, Kind::Propose, item, NOW, 500))
        .collect()
}

#[test]
fn a_stronger_role_denies_a_peer_in_every_bucket() {
    for (denier, denied, counts) in
        [(1, 9, true), (2, 9, true), (3, 9, false), (9, 3, false), (2, 3, true), (1, 2, true), (2, 1, false)]
    {
        let mut set = rooted();
        let before = set.len();
        for record in words(denied) {
            assert_eq!(admit(&mut set, &record, NOW), Ok(true));
        }
        assert_eq!(admit(&mut set, &denial(denier, 100, denied, 100), NOW), Ok(true));
        let held = words(denied).iter().filter(|record| set.get(&Key::from(*record)).is_some()).count();
        let refused =
            words(denied).iter().filter(|one| admit(&mut set, one, NOW) == Err(Refusal::Denied)).count();
        assert_eq!((held, refused), if counts { (0, 3) } else { (3, 0) }, "{denier} denies {denied}");
        let file = item("share/files", "cid");
        assert_eq!(set.item(&file, NOW).is_some(), !counts);
        let may = set.may(Kind::Propose, &file, key(denied).peer_id(), NOW);
        assert_eq!(may.map_err(|refused| refused.is_denied), if counts { Err(true) } else { Ok(()) });
        assert!(set.len() >= before);
    }
}

#[test]
fn after_a_denial_ends_a_peer_can_make_its_statements_again() {
    let mut set = rooted();
    assert_eq!(admit(&mut set, &denial(2, 100, 9, 100), NOW), Ok(true));
    assert_eq!(admit(&mut set, &words(9)[2], NOW), Err(Refusal::Denied));
    let over = NOW.plus(100);
    assert_eq!(set.next_edge(&[], NOW), Some(over), "the end of the denial is an edge");
    set.advance(Moment::certain(over));
    assert_eq!(admit(&mut set, &words(9)[2], over), Ok(true));
}

#[test]
fn a_denied_peer_gives_no_role_and_holds_none() {
    let mut set = rooted();
    let grant = item("trusted", &key(4).peer_id().to_string());
    assert_eq!(admit(&mut set, &record(2, 1, Kind::Propose, &grant, NOW, 500), NOW), Ok(true));
    let roles = |set: &Set| [2, 3, 4].map(|seed| set.role(key(seed).peer_id(), NOW));
    assert_eq!(roles(&set), [Some(Role::Admin), Some(Role::Trusted), Some(Role::Trusted)]);
    assert_eq!(admit(&mut set, &denial(1, 3, 2, 100), NOW), Ok(true));
    assert_eq!(roles(&set), [None, Some(Role::Trusted), None]);
    // Two admins cannot deny each other.
    let mut set = rooted();
    let second = item("admin", &key(5).peer_id().to_string());
    assert_eq!(admit(&mut set, &record(1, 3, Kind::Propose, &second, NOW, 500), NOW), Ok(true));
    assert_eq!(admit(&mut set, &denial(2, 1, 5, 100), NOW), Ok(true));
    assert_eq!(set.role(key(5).peer_id(), NOW), Some(Role::Admin));
}

/// Returns the records of a peer in the buckets of roles and denials. Their validities end one second apart.
fn of_roles(seed: u8, many: u64) -> Vec<Record> {
    let records = (1..=many).map(|number| {
        let bucket = if number % 2 == 0 { "trusted" } else { "peer" };
        let kind = if number % 2 == 0 { Kind::Propose } else { Kind::Dismiss };
        let other = Keypair::from_seed([(number % 250) as u8; 32]).peer_id().to_string();
        record(seed, 10 + number, kind, &item(bucket, &other), NOW, number)
    });
    records.collect()
}

#[test]
fn an_admin_whose_role_was_taken_away_cannot_make_the_roles_change() {
    let mut set = rooted();
    let admin = item("admin", &key(2).peer_id().to_string());
    assert_eq!(admit(&mut set, &record(1, 9, Kind::Dismiss, &admin, NOW, 1000), NOW), Ok(true));
    let (edge, members) = (set.next_edge(&[], NOW), set.authority.members().clone());
    for record in of_roles(2, 200) {
        assert_eq!(admit(&mut set, &record, NOW), Ok(true));
        assert!(
            !set.authority.depends_on(record.signer(), record.item()),
            "the roles are not computed again"
        );
    }
    assert_eq!(set.next_edge(&[], NOW), edge);
    assert_eq!(set.authority.members(), &members);
    assert!(set.authority_at(NOW.plus(999)) == std::borrow::Cow::Borrowed(&set.authority));
    // The earlier statements count again when the dismissal of the role ends.
    let again = NOW.plus(100);
    assert_eq!(
        admit(&mut set, &kept(1, 20, Kind::Propose, &admin, NOW, 2000, End::at(NOW.plus(2000))), again),
        Ok(true)
    );
    let trusted = of_roles(2, 200).into_iter().filter(|record| record.kind() == Kind::Propose);
    let trusted = trusted.filter(|record| record.validity().contains(again));
    for record in trusted {
        let peer = record.item().data.as_str().parse().unwrap();
        let is_denied = set.authority.is_denied(peer);
        assert!(set.role(peer, again).is_some() || is_denied);
    }
}

#[test]
fn roles_at_a_time_of_which_the_set_was_not_told_are_computed_once() {
    let mut set = rooted();
    for record in of_roles(2, 20) {
        let _ = admit(&mut set, &record, NOW);
    }
    let later = NOW.plus(10);
    assert!(set.other_authority.get().is_none());
    set.role(key(3).peer_id(), later);
    assert!(matches!(set.authority_at(later), std::borrow::Cow::Borrowed(_)));
    let grant = item("trusted", &key(77).peer_id().to_string());
    assert_eq!(set.role(key(77).peer_id(), later), None);
    assert_eq!(admit(&mut set, &record(2, 99, Kind::Propose, &grant, NOW, 500), NOW), Ok(true));
    assert_eq!(
        set.role(key(77).peer_id(), later),
        Some(Role::Trusted),
        "a record that matters is not overlooked"
    );
    set.update_roles(Moment::certain(later));
    assert!(set.authority.holds_at(later) && set.other_authority.get().is_none());
}

#[test]
fn a_grant_of_another_swarm_with_the_same_root_means_nothing() {
    let swarm = |byte| {
        let binding = crate::Binding { id: crate::SwarmId::from_bytes([byte; 16]), from: Time::default() };
        crate::SwarmFile::new("class", [key(1).peer_id()].into()).unwrap().with_binding(binding).policy()
    };
    let grant = Statement::new(
        Kind::Propose,
        item("admin", &key(2).peer_id().to_string()),
        Validity::starting(NOW, 500),
    )
    .unwrap();
    let signed = Record::sign_for(&swarm(7), grant.clone(), &key(1), 1, End::default());
    for (policy, expected) in
        [(swarm(7), Ok(true)), (swarm(8), Err(Refusal::Forged)), (Policy::default(), Err(Refusal::Powerless))]
    {
        let mut set = Set::new(policy, Limits::default());
        assert_eq!(admit(&mut set, &signed, NOW), expected);
        assert_eq!(set.role(key(2).peer_id(), NOW).is_some(), expected.is_ok());
    }
    let open = Record::sign(grant, &key(1), 1, End::default());
    let mut set = Set::new(swarm(7), Limits::default());
    assert_eq!(admit(&mut set, &open, NOW), Err(Refusal::Forged));
}
