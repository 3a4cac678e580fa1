//! Possible attacks, one test each, all with real keys and signatures.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use dcache::{
    Admission, BucketPath, Clock, Data, End, Item, Key, Keypair, Kind, Limits, Moment, NotAllowed, PeerId,
    Policy, Record, Refusal, Role, Set, Signature, Statement, StatementError, SwarmFile, Time, Validity, Who,
};
use std::time::Duration;

const NOW: Time = Time(1_800_000_000);
const DAY: u64 = 24 * 3600;
/// A day in 2040.
const YEAR_2040: Time = Time(2_209_000_000);

const ROOT: u16 = 1;
const ADMIN: u16 = 2;
const TRUSTED: u16 = 3;
const STRANGER: u16 = 9;

fn key(number: u16) -> Keypair {
    let mut seed = [7; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    Keypair::from_seed(seed)
}

fn peer(number: u16) -> PeerId {
    key(number).peer_id()
}

fn policy() -> Policy {
    let text = format!(
        "name = 'class'\nroots = ['{}']\n[[rule]]\nbucket = 'share/verified'\npropose = 'trusted'\n\
         propose_threshold = 2\ndismiss = 'trusted'\n",
        peer(ROOT)
    );
    SwarmFile::parse(&text).unwrap().policy()
}

fn item(bucket: &str, data: &str) -> Item {
    Item { bucket: bucket.parse().unwrap(), data: Data::new(data).unwrap() }
}

fn role(role: Role, number: u16) -> Item {
    item(role.name(), &peer(number).to_string())
}

fn file(name: &str) -> Item {
    item("share/files", name)
}

fn week() -> Validity {
    Validity::starting(NOW, 7 * DAY)
}

fn sign(signer: u16, sequence: u64, kind: Kind, item: Item, validity: Validity) -> Record {
    sign_kept(signer, sequence, kind, item, validity, End::default())
}

fn sign_kept(signer: u16, sequence: u64, kind: Kind, item: Item, validity: Validity, keep: End) -> Record {
    Record::sign(Statement::new(kind, item, validity).unwrap(), &key(signer), sequence, keep)
}

/// Delivers a record as a channel would.
fn bring(set: &mut Set, record: &Record, now: Time) -> Result<bool, Refusal> {
    let admission = set.admit(record.statement().clone(), *record.signature(), now)?;
    Ok(matches!(admission, Admission::New { .. }))
}

/// Returns a swarm with an admin and a trusted peer, both without an end.
fn swarm() -> Set {
    let policy = policy();
    let mut set = Set::new(policy.clone(), Limits::of(&policy));
    let admin = sign(ROOT, 1, Kind::Propose, role(Role::Admin, ADMIN), Validity::ALWAYS);
    let trusted = sign(ADMIN, 1, Kind::Propose, role(Role::Trusted, TRUSTED), Validity::ALWAYS);
    for record in [admin, trusted] {
        assert_eq!(bring(&mut set, &record, NOW), Ok(true));
    }
    set
}

/// Returns whether the set is unchanged.
fn unchanged(set: &Set, before: &Set) -> bool {
    set.records().eq(before.records())
}

#[test]
fn forged() {
    let mut set = swarm();
    let before = set.clone();
    let honest = sign(TRUSTED, 5, Kind::Propose, file("mine"), week());
    let statement = honest.statement();
    let real = *honest.signature();
    let mut flipped = real;
    flipped.bytes[40] ^= 1;
    let by_another =
        Signature { signer: peer(TRUSTED), ..key(STRANGER).sign(5, End::default(), &statement.payload()) };
    let no_key = Signature { signer: PeerId::from_public_key([2; 32]), ..real };
    // Without strict verification, the neutral element as key and signature fits every message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let small_order = Signature { signer: PeerId::from_public_key(neutral), bytes, ..real };
    for forged in [flipped, by_another, no_key, small_order, Signature { sequence: 6, ..real }] {
        assert_eq!(set.admit(statement.clone(), forged, NOW), Err(Refusal::Forged), "{forged:?}");
    }
    assert!(unchanged(&set, &before));
}

#[test]
fn replayed() {
    let mut set = swarm();
    let record = sign(TRUSTED, 5, Kind::Propose, file("a"), Validity::starting(NOW, 100));
    assert_eq!(bring(&mut set, &record, NOW), Ok(true));
    let before = set.clone();
    for _ in 0..100 {
        assert_eq!(bring(&mut set, &record, NOW), Ok(false));
    }
    assert!(unchanged(&set, &before));
    set.advance(Moment::certain(NOW.plus(100)));
    assert_eq!(bring(&mut set, &record, NOW.plus(100)), Err(Refusal::Expired));
}

#[test]
fn moved_to_another_bucket_or_domain() {
    let mut set = swarm();
    let before = set.clone();
    let honest = sign(ADMIN, 5, Kind::Propose, item("share/files", &peer(STRANGER).to_string()), week());
    let moved = Statement::new(Kind::Propose, role(Role::Trusted, STRANGER), week()).unwrap();
    assert_eq!(set.admit(moved, *honest.signature(), NOW), Err(Refusal::Forged));
    let as_dismissal = Statement::new(Kind::Dismiss, honest.item().clone(), week()).unwrap();
    assert_eq!(set.admit(as_dismissal, *honest.signature(), NOW), Err(Refusal::Forged));
    // The same key also signs for other purposes. Such a signature is not valid for a record, and a record signature is
    // not valid for them.
    for keep in [End::NEVER, End::at(NOW.plus(30 * DAY))] {
        let other_domain = Signature { keep, ..*honest.signature() };
        assert_eq!(set.admit(honest.statement().clone(), other_domain, NOW), Err(Refusal::Forged));
    }
    assert!(unchanged(&set, &before));
}

#[test]
fn older_sequence() {
    let mut set = swarm();
    let old = sign(TRUSTED, 5, Kind::Propose, file("a"), week());
    let new = sign(TRUSTED, 6, Kind::Dismiss, file("a"), week());
    assert_eq!(bring(&mut set, &new, NOW), Ok(true));
    assert_eq!(bring(&mut set, &old, NOW), Ok(false));
    assert_eq!(set.item(&file("a"), NOW), None);
    assert_eq!(set.records_about(&file("a")), [new]);
}

#[test]
fn dated_in_the_future() {
    let mut set = swarm();
    let far = Validity::starting(YEAR_2040, 3600);
    assert_eq!(bring(&mut set, &sign(STRANGER, 1, Kind::Propose, file("a"), far), NOW), Err(Refusal::Ahead));
    // A record may start in the future, if it is planned or if the signer's clock is fast. The item is not visible
    // before the start.
    let soon = sign(STRANGER, 2, Kind::Propose, file("b"), Validity::starting(NOW.plus(DAY), 3600));
    assert_eq!(bring(&mut set, &soon, NOW), Ok(true));
    let seen = [0, DAY, DAY + 3600].map(|later| set.item(&file("b"), NOW.plus(later)).is_some());
    assert_eq!(seen, [false, true, false]);
    // A record that was too far ahead is admitted once its time is nearer.
    let later = Time(YEAR_2040.0 - 5 * DAY);
    assert_eq!(bring(&mut set, &sign(STRANGER, 1, Kind::Propose, file("a"), far), later), Ok(true));
    // A record that must be remembered for a long time also occupies a quota for that time.
    let kept = sign_kept(STRANGER, 3, Kind::Propose, file("c"), week(), End::at(YEAR_2040));
    assert_eq!(bring(&mut set, &kept, NOW), Err(Refusal::Lifetime));
    for validity in
        [Validity::ALWAYS, Validity::new(Some(NOW), None).unwrap(), Validity::starting(NOW, 32 * DAY)]
    {
        let record = sign(STRANGER, 4, Kind::Propose, file("d"), validity);
        assert_eq!(
            bring(&mut set, &record, NOW),
            Err(Refusal::Lifetime),
            "open and long ends require a role"
        );
        assert_eq!(
            bring(&mut set, &sign(TRUSTED, 4, Kind::Propose, file("d"), validity), NOW),
            Ok(validity != week())
        );
        set = swarm();
    }
}

#[test]
fn long_over() {
    let mut set = swarm();
    let old = sign(
        ADMIN,
        2,
        Kind::Propose,
        role(Role::Trusted, STRANGER),
        Validity::starting(Time(1_500_000_000), DAY),
    );
    assert_eq!(bring(&mut set, &old, NOW), Err(Refusal::Expired));
    assert_eq!(set.role(peer(STRANGER), NOW), None);
}

#[test]
fn oversized() {
    let payload = |data: &str, bucket: &str| {
        format!(r#"{{"mtype":"propose","bucket":[{bucket}],"data":"{data}","validity":[1,2]}}"#)
    };
    assert!(Statement::parse(&payload(&"x".repeat(1024), "\"a\"")).is_ok());
    assert!(matches!(Statement::parse(&payload(&"x".repeat(1025), "\"a\"")), Err(StatementError::Shape(_))));
    let huge = payload(&"x".repeat(1 << 20), "\"a\"");
    assert_eq!(Statement::parse(&huge), Err(StatementError::Length(huge.len())));
    let path = |names: usize, length: usize| vec![format!("\"{}\"", "n".repeat(length)); names].join(",");
    assert!(Statement::parse(&payload("x", &path(8, 64))).is_ok());
    for (names, length) in [(0, 0), (9, 1), (1, 65), (1, 0)] {
        assert!(Statement::parse(&payload("x", &path(names, length))).is_err(), "{names} names of {length}");
    }
    assert!(Data::new(&"é".repeat(513)).is_err());
}

#[test]
fn deeply_nested() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        for depth in [10, 400, 4000] {
            let payload =
                format!(r#"{{"mtype":"propose","bucket":["a"],"data":{},"validity":[1,2]}}"#, nested(depth));
            assert!(Statement::parse(&payload).is_err());
            assert!(serde_json::from_str::<Signature>(&nested(depth)).is_err());
        }
    }
    for nested in ["[".repeat(30_000), "a.".repeat(30_000), "{a=".repeat(20_000)] {
        assert!(SwarmFile::parse(&format!("name = {nested}")).is_err());
        assert!(SwarmFile::parse(&nested).is_err());
    }
}

#[test]
fn a_role_given_by_a_signer_without_it() {
    let mut set = swarm();
    let given = [
        sign(STRANGER, 1, Kind::Propose, role(Role::Trusted, STRANGER), week()),
        sign(STRANGER, 2, Kind::Propose, role(Role::Admin, STRANGER), week()),
        sign(TRUSTED, 3, Kind::Propose, role(Role::Trusted, STRANGER), week()),
        sign(TRUSTED, 4, Kind::Propose, role(Role::Admin, TRUSTED), week()),
        sign(ADMIN, 5, Kind::Propose, role(Role::Admin, STRANGER), week()),
        sign(STRANGER, 6, Kind::Dismiss, role(Role::Admin, ADMIN), week()),
        sign(TRUSTED, 7, Kind::Dismiss, role(Role::Trusted, TRUSTED), week()),
    ];
    for record in &given {
        assert_eq!(
            bring(&mut set, record, NOW),
            Ok(true),
            "it is kept and forwarded, because its signer may get the role later"
        );
    }
    let never = sign(STRANGER, 8, Kind::Propose, item("root", &peer(STRANGER).to_string()), week());
    assert_eq!(bring(&mut set, &never, NOW), Err(Refusal::Powerless), "only the swarm file names roots");
    let roles = [ROOT, ADMIN, TRUSTED, STRANGER].map(|number| set.role(peer(number), NOW));
    assert_eq!(roles, [Some(Role::Root), Some(Role::Admin), Some(Role::Trusted), None]);
    let refused = set.may(Kind::Propose, &role(Role::Trusted, STRANGER), peer(TRUSTED), NOW).unwrap_err();
    assert!(matches!(refused, NotAllowed { who: Who::Role(Role::Admin), role: Some(Role::Trusted), .. }));
}

#[test]
fn a_role_that_was_taken_away_never_counted() {
    let mut set = swarm();
    let verified = item("share/verified", "cid");
    bring(&mut set, &sign(ADMIN, 2, Kind::Propose, role(Role::Trusted, 4), Validity::ALWAYS), NOW).unwrap();
    for (signer, sequence) in [(TRUSTED, 1), (4, 1)] {
        bring(&mut set, &sign(signer, sequence, Kind::Propose, verified.clone(), week()), NOW).unwrap();
    }
    assert!(set.item(&verified, NOW).is_some());
    // The admin loses its role. All roles that it gave and all statements of their holders stop counting.
    let revocation = sign(ROOT, 2, Kind::Dismiss, role(Role::Admin, ADMIN), Validity::ALWAYS);
    assert_eq!(bring(&mut set, &revocation, NOW), Ok(true));
    assert_eq!(set.role(peer(TRUSTED), NOW), None);
    assert_eq!(set.item(&verified, NOW), None);
    // Once it is admin again, everything counts as before.
    bring(&mut set, &sign(ROOT, 3, Kind::Propose, role(Role::Admin, ADMIN), Validity::ALWAYS), NOW).unwrap();
    for (signer, sequence) in [(TRUSTED, 1), (4, 1)] {
        let _ = bring(&mut set, &sign(signer, sequence, Kind::Propose, verified.clone(), week()), NOW);
    }
    assert!(set.item(&verified, NOW).is_some());
}

#[test]
fn a_threshold_met_by_one_key_twice() {
    let mut set = swarm();
    let verified = item("share/verified", "cid");
    for sequence in 1..5 {
        let longer = Validity::starting(NOW, 7 * DAY + sequence);
        bring(&mut set, &sign(TRUSTED, sequence, Kind::Propose, verified.clone(), longer), NOW).unwrap();
    }
    assert_eq!(set.item(&verified, NOW), None);
    // The record of a stranger does not meet the threshold, nor does that of a second key of a trusted peer.
    for signer in [STRANGER, 10] {
        bring(&mut set, &sign(signer, 1, Kind::Propose, verified.clone(), week()), NOW).unwrap();
    }
    assert_eq!(set.item(&verified, NOW), None);
    // The record of a second signer with the role meets it. Both signed exactly the same payload.
    let payload = Statement::new(Kind::Propose, verified.clone(), Validity::starting(NOW, 8 * DAY)).unwrap();
    for signer in [TRUSTED, ADMIN] {
        let signature = key(signer).sign(50, End::default(), &payload.payload());
        assert!(set.admit(payload.clone(), signature, NOW).is_ok());
    }
    let signers: Vec<PeerId> =
        set.item(&verified, NOW).unwrap().proposals.iter().map(|record| record.signer()).collect();
    let mut expected = [peer(TRUSTED), peer(ADMIN)];
    expected.sort();
    assert_eq!(signers, expected);
}

#[test]
fn a_flood_by_one_key() {
    let mut set = swarm();
    let limits = set.limits().clone();
    bring(&mut set, &sign(TRUSTED, 1, Kind::Propose, file("honest"), week()), NOW).unwrap();
    for sequence in 1..=3000 {
        let name = format!("flood {sequence}");
        let _ = bring(&mut set, &sign(STRANGER, sequence, Kind::Propose, file(&name), week()), NOW);
    }
    let of_flooder = set.records().filter(|record| record.signer() == peer(STRANGER));
    let kept: Vec<u64> = of_flooder.map(|record| record.signature().sequence).collect();
    assert_eq!(kept.len(), limits.stranger, "the latest records of the signer stay");
    assert!(kept.iter().all(|sequence| *sequence > 3000 - limits.stranger as u64));
    assert!(set.item(&file("honest"), NOW).is_some());
    assert_eq!(bring(&mut set, &sign(TRUSTED, 2, Kind::Propose, file("more"), week()), NOW), Ok(true));
    // The flood fills only one quota group. Its signer can still state that it is present.
    let presence =
        sign(STRANGER, 9999, Kind::Propose, role(Role::Peer, STRANGER), Validity::starting(NOW, 600));
    assert_eq!(bring(&mut set, &presence, NOW), Ok(true));
}

#[test]
fn a_flood_by_ten_thousand_keys() {
    let mut set = swarm();
    let before = set.len();
    let honest: Vec<Item> = (0..100).map(|number| file(&format!("honest {number}"))).collect();
    for (sequence, file) in (2..).zip(&honest) {
        let record = sign(TRUSTED, sequence, Kind::Propose, file.clone(), Validity::starting(NOW, 600));
        assert_eq!(bring(&mut set, &record, NOW), Ok(true));
    }
    let keys: Vec<Keypair> = (0..10_000u16).map(|number| key(20_000 + number)).collect();
    for sequence in 1..=3 {
        for keypair in &keys {
            let about = file(&format!("{} {sequence}", keypair.peer_id()));
            let statement = Statement::new(Kind::Propose, about, Validity::starting(NOW, 8 * DAY)).unwrap();
            let record = Record::sign(statement, keypair, sequence, End::default());
            let _ = bring(&mut set, &record, NOW);
        }
    }
    assert_eq!(
        set.len(),
        before + honest.len() + set.limits().strangers,
        "the flood fills exactly the common quota"
    );
    assert!(honest.iter().all(|file| set.item(file, NOW).is_some()), "no peer with a role lost a record");
    let more = sign(TRUSTED, 1000, Kind::Propose, file("more"), week());
    assert_eq!(bring(&mut set, &more, NOW), Ok(true));
    // Roles for all of them, given by a stranger, change nothing either.
    let grant = sign(STRANGER, 1, Kind::Propose, role(Role::Trusted, 20_000), week());
    bring(&mut set, &grant, NOW).unwrap();
    assert_eq!(set.role(peer(20_000), NOW), None);
}

#[test]
fn resurrection_by_a_returning_peer() {
    let (mut here, mut away) = (swarm(), swarm());
    let grant = sign(ADMIN, 5, Kind::Propose, role(Role::Trusted, 4), Validity::starting(NOW, 30 * DAY));
    let shared = sign(TRUSTED, 5, Kind::Propose, file("wrong"), Validity::starting(NOW, 20 * DAY));
    for record in [&grant, &shared] {
        bring(&mut here, record, NOW).unwrap();
        bring(&mut away, record, NOW).unwrap();
    }
    // While the peer is away, the role and the file are withdrawn, by records that hold only for an hour.
    let hour = Validity::starting(NOW.plus(DAY), 3600);
    let former = |set: &Set, record: &Record| set.get(&Key::from(record)).unwrap().keep();
    let revoked = sign_kept(ADMIN, 6, Kind::Dismiss, grant.item().clone(), hour, former(&here, &grant));
    let taken_back = sign_kept(TRUSTED, 6, Kind::Dismiss, file("wrong"), hour, former(&here, &shared));
    for record in [&revoked, &taken_back] {
        assert_eq!(bring(&mut here, record, NOW.plus(DAY)), Ok(true));
    }
    for days in [2, 10, 19, 25] {
        let now = NOW.plus(days * DAY);
        here.advance(Moment::certain(now));
        for record in away.records() {
            let _ = bring(&mut here, record, now);
        }
        assert_eq!(here.role(peer(4), now), None, "after {days} days");
        assert_eq!(here.item(&file("wrong"), now), None, "after {days} days");
    }
    // The returning peer receives them as well: records that only have to be remembered are forwarded like all others.
    let everything = vec![dcache::Pattern::new("*").unwrap()];
    let mut told = Vec::new();
    dcache::Search::new(everything).go_on(&here, NOW.plus(2 * DAY), usize::MAX, usize::MAX, &mut told);
    for key in &told {
        let _ = bring(&mut away, here.get(key).unwrap(), NOW.plus(2 * DAY));
    }
    assert_eq!(away.role(peer(4), NOW.plus(2 * DAY)), None);
    // Once none of these records could hold any more, they are dropped completely.
    here.advance(Moment::certain(NOW.plus(30 * DAY)));
    assert_eq!(here.len(), 2);
    assert_eq!(bring(&mut here, &grant, NOW.plus(30 * DAY)), Err(Refusal::Expired));
}

#[test]
fn a_clock_stepped_to_1970() {
    let mut clock = Clock::new(NOW, None, Duration::ZERO);
    let mut set = swarm();
    set.advance(clock.read(NOW, Duration::ZERO));
    let in_1970 = clock.read(Time(100), Duration::from_secs(60));
    assert!(!in_1970.is_certain && in_1970.time == NOW.plus(60));
    set.advance(in_1970);
    let now = in_1970.time;
    // The node stores and forwards records, and earlier records still count.
    assert_eq!(bring(&mut set, &sign(TRUSTED, 5, Kind::Propose, file("a"), week()), now), Ok(true));
    assert_eq!(set.role(peer(TRUSTED), now), Some(Role::Trusted));
    // The node accepts no new authority, because it may be an old one. It still accepts withdrawals of roles.
    let grants = [
        sign(ROOT, 5, Kind::Propose, role(Role::Admin, STRANGER), Validity::ALWAYS),
        sign(ADMIN, 6, Kind::Propose, role(Role::Trusted, 4), week()),
    ];
    for grant in &grants {
        assert_eq!(bring(&mut set, grant, now), Ok(true));
    }
    assert_eq!([STRANGER, 4].map(|number| set.role(peer(number), now)), [None, None]);
    bring(&mut set, &sign(ADMIN, 7, Kind::Dismiss, role(Role::Trusted, TRUSTED), Validity::ALWAYS), now)
        .unwrap();
    assert_eq!(set.role(peer(TRUSTED), now), None);
    // Once the clock is set, all records count.
    let known = clock.read(NOW.plus(120), Duration::from_secs(120));
    set.advance(known);
    let roles = [STRANGER, 4, TRUSTED].map(|number| set.role(peer(number), known.time));
    assert_eq!(roles, [Some(Role::Admin), Some(Role::Trusted), None]);
}

#[test]
fn a_clock_stepped_to_2040() {
    let mut clock = Clock::new(NOW, None, Duration::ZERO);
    let mut set = swarm();
    bring(&mut set, &sign(TRUSTED, 5, Kind::Propose, file("a"), week()), NOW).unwrap();
    let before = set.clone();
    set.advance(clock.read(NOW, Duration::ZERO));
    for minute in 0..5 {
        let in_2040 = clock.read(YEAR_2040.plus(60 * minute), Duration::from_secs(60 * minute));
        assert_eq!(set.advance(in_2040), [], "no record is dropped because of a clock that has just jumped");
        assert_eq!(set.item(&file("a"), in_2040.time), None);
    }
    let back = clock.read(NOW.plus(300), Duration::from_secs(300));
    assert_eq!(back.time, NOW.plus(300));
    set.advance(back);
    assert!(unchanged(&set, &before));
    // The time of other nodes does not move forward: they refuse records signed with such a clock, and its signer is
    // only one of the required two.
    let presence =
        sign(STRANGER, 1, Kind::Propose, role(Role::Peer, STRANGER), Validity::starting(YEAR_2040, 600));
    assert_eq!(bring(&mut set, &presence, NOW), Err(Refusal::Ahead));
    let by_role =
        sign(TRUSTED, 9, Kind::Propose, role(Role::Peer, TRUSTED), Validity::starting(YEAR_2040, 600));
    assert_eq!(bring(&mut set, &by_role, NOW), Err(Refusal::Ahead), "no program is used for that long");
    let year_2034 = NOW.plus(7 * 365 * DAY);
    let by_role =
        sign(TRUSTED, 9, Kind::Propose, role(Role::Peer, TRUSTED), Validity::starting(year_2034, 600));
    assert_eq!(bring(&mut set, &by_role, NOW), Ok(true));
    let signed = set.signed_times(peer(ROOT), NOW);
    assert_eq!(signed.get(&peer(TRUSTED)).map(|signed| signed.time), Some(year_2034));
    assert!(!clock.witness(signed.into_values(), NOW.plus(300), Duration::from_secs(300)));
    let for_ever = Validity::new(Some(NOW), None).unwrap();
    let for_ever = sign(TRUSTED, 10, Kind::Propose, role(Role::Peer, TRUSTED), for_ever);
    assert_eq!(bring(&mut set, &for_ever, NOW), Err(Refusal::Lifetime), "not even a member may do this");
}

#[test]
fn strangers_who_tell_members_a_false_time_do_not_move_those_who_know_the_time() {
    let mut set = swarm();
    // Two members without a clock believe strangers that it is 2034, and state their presence there.
    let year_2034 = NOW.plus(7 * 365 * DAY);
    let state = |set: &mut Set, sequence: u64, validity: Validity| {
        for number in [TRUSTED, 4] {
            let presence = sign(number, sequence, Kind::Propose, role(Role::Peer, number), validity);
            bring(set, &presence, NOW).unwrap();
        }
    };
    bring(&mut set, &sign(ROOT, 70, Kind::Propose, role(Role::Trusted, 4), week()), NOW).unwrap();
    let mut clock = Clock::new(NOW, None, Duration::ZERO);
    state(&mut set, 50, Validity::doubted(year_2034, 600));
    let signed = set.signed_times(peer(ROOT), NOW);
    assert!(signed.is_empty(), "they do not know the time themselves: {signed:?}");
    assert!(!clock.witness(signed.into_values(), NOW, Duration::ZERO));
    // Members whose own clocks show this time are believed if they are the majority.
    state(&mut set, 51, Validity::stated(year_2034.plus(60), 600));
    let signed = set.signed_times(peer(ROOT), NOW);
    assert!(clock.witness(signed.into_values(), NOW, Duration::ZERO));
}

#[test]
fn each_refusal_changes_nothing() {
    let mut set = swarm();
    let before = set.clone();
    let private: BucketPath = format!("pri/{}/info/hostname", peer(TRUSTED)).parse().unwrap();
    let foreign = Item { bucket: private, data: Data::new("duckie").unwrap() };
    let records = [
        (sign(STRANGER, 1, Kind::Propose, foreign, week()), Refusal::NotOwner),
        (sign(STRANGER, 1, Kind::Propose, role(Role::Peer, TRUSTED), week()), Refusal::NotOwner),
        (sign(STRANGER, 1, Kind::Propose, file("a"), Validity::starting(Time(1), 5)), Refusal::Expired),
        (sign(STRANGER, 1, Kind::Propose, file("a"), Validity::ALWAYS), Refusal::Lifetime),
    ];
    for (record, refusal) in records {
        assert_eq!(bring(&mut set, &record, NOW), Err(refusal));
    }
    assert!(unchanged(&set, &before));
}

#[test]
fn a_record_made_by_a_clock_in_2040_blocks_no_later_one_once_the_clock_is_right() {
    let mut set = Set::default();
    let presence = role(Role::Peer, STRANGER);
    let wrong = sign(STRANGER, 1, Kind::Propose, presence.clone(), Validity::starting(YEAR_2040, 600));
    assert_eq!(bring(&mut set, &wrong, YEAR_2040), Ok(true), "its own set uses the same clock");
    set.advance(Moment::certain(NOW));
    assert!(set.is_empty());
    let right = sign(STRANGER, 2, Kind::Propose, presence, Validity::starting(NOW, 600));
    assert_eq!(set.would_take(&right, NOW), Ok(true));
}

#[test]
fn an_open_end_counts_while_its_signer_holds_a_role_whenever_the_record_came() {
    let grant = sign(ROOT, 9, Kind::Propose, role(Role::Trusted, 77), Validity::starting(NOW, 100));
    let open = sign(77, 1, Kind::Propose, file("x"), Validity::new(Some(NOW), None).unwrap());
    let (mut early, mut late) = (swarm(), swarm());
    for record in [&grant, &open] {
        assert_eq!(bring(&mut early, record, NOW), Ok(true));
    }
    assert_eq!(bring(&mut late, &grant, NOW), Ok(true));
    assert!(early.item(&file("x"), NOW.plus(99)).is_some());
    // The role has ended, but is still remembered. Both replicas hold the record, and in neither does it count.
    let then = NOW.plus(100);
    for set in [&mut early, &mut late] {
        set.advance(Moment { settled: NOW, ..Moment::certain(then) });
        let _ = bring(set, &open, then);
        assert!(set.get(&Key::from(&open)).is_some() && set.item(&file("x"), then).is_none());
    }
    // The signer of the record may withdraw it.
    let back = sign_kept(77, 2, Kind::Dismiss, file("x"), Validity::starting(then, 60), open.keep());
    assert_eq!(bring(&mut early, &back, then), Ok(true));
}

#[test]
fn an_admin_that_is_not_accepted_takes_no_roles_away() {
    let mut set = swarm();
    set.advance(Moment { is_certain: false, ..Moment::certain(NOW) });
    let grant = sign(ROOT, 5, Kind::Propose, role(Role::Admin, STRANGER), week());
    assert_eq!(bring(&mut set, &grant, NOW), Ok(true));
    assert_eq!(set.role(peer(STRANGER), NOW), None);
    let revocation = sign(STRANGER, 1, Kind::Dismiss, role(Role::Trusted, TRUSTED), week());
    assert_eq!(bring(&mut set, &revocation, NOW), Ok(true));
    assert_eq!(set.role(peer(TRUSTED), NOW), Some(Role::Trusted));
}

#[test]
fn a_grant_evicted_by_its_signers_other_records_does_not_count() {
    let policy = policy();
    let mut set = Set::new(policy.clone(), Limits { member: 3, ..Limits::of(&policy) });
    let grant = sign(ROOT, 1, Kind::Propose, role(Role::Trusted, TRUSTED), Validity::starting(NOW, 100));
    assert_eq!(bring(&mut set, &grant, NOW), Ok(true));
    assert_eq!(set.role(peer(TRUSTED), NOW), Some(Role::Trusted));
    for sequence in 2..5 {
        // This record is in the same quota group, and not about roles.
        let other = item("trusted/x", &sequence.to_string());
        assert_eq!(bring(&mut set, &sign(ROOT, sequence, Kind::Propose, other, week()), NOW), Ok(true));
    }
    assert_eq!((set.get(&Key::from(&grant)), set.role(peer(TRUSTED), NOW)), (None, None));
}
