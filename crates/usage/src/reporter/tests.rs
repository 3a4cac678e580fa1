use super::*;
use crate::fields::FIELDS;
use crate::observed::tests::{open_swarm, say};
use crate::payload::tests::NOW;
use crate::week::WEEK;
use crate::wire::RefusalCode;
use dcache::{End, Keypair, Kind, Limits, Policy, Record, Statement, Validity};
use proptest::prelude::*;
use std::num::NonZeroU8;

const SPREAD: u64 = 48 * HOUR;

fn key(seed: u8) -> Keypair {
    Keypair::from_seed([seed; 32])
}

fn me() -> PeerId {
    key(1).peer_id()
}

fn collector() -> PeerId {
    key(3).peer_id()
}

/// A swarm with the root 9, in which the peer 3 is a collector.
fn set() -> Set {
    let mut set = Set::new(Policy::new([key(9).peer_id()].into(), Vec::new(), NonZeroU8::MIN), Limits::NONE);
    name_collector(&mut set);
    let address = format!("/ip4/10.0.0.3/tcp/6002/p2p/{}", collector());
    say(&mut set, &key(3), buckets::IPFS_ADDRESSES.of(collector()), &address);
    set
}

fn name_collector(set: &mut Set) {
    let item = Item { bucket: buckets::COLLECTORS.path(), data: collector().into() };
    let statement = Statement::new(Kind::Propose, item, Validity::starting(NOW, 90 * 86_400)).unwrap();
    set.admit_verified(Record::sign(statement, &key(9), 1, End::default()), NOW).unwrap();
}

fn reporter() -> Reporter {
    Reporter::new((me(), SPREAD), ConsentRow::default(), None, [])
}

/// Decides at a time, with other random bytes each time.
fn decide(reporter: &mut Reporter, set: &Set, now: Time) -> Vec<Errand> {
    let local = LocalPart { version: "0.1.0".to_owned(), has_key: false };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&now.0.to_be_bytes());
    reporter.set_inputs(reporter.file.clone(), local, Hex32(bytes));
    let decision = reporter.decide(set, Moment::certain(now));
    assert!(decision.statements.is_empty(), "nothing is published in the swarm");
    decision.actions
}

/// Lets a robot that agrees run for an hour, and returns the errand at the end of the next week.
fn first_errand(reporter: &mut Reporter, set: &Set) -> (Errand, Time) {
    reporter.answered(true, NOW);
    assert_eq!(decide(reporter, set, NOW), []);
    let next = Week::of(NOW).end().plus(SPREAD);
    let errand = decide(reporter, set, next).pop().unwrap();
    (errand, next)
}

#[test]
fn without_consent_nothing_is_noted_made_or_sent() {
    let (mut reporter, set) = (reporter(), set());
    for file in [PermissionFile::Absent, PermissionFile::Denies, PermissionFile::Unreadable(String::new())] {
        for week in 0..5 {
            reporter.file = file.clone();
            assert_eq!(decide(&mut reporter, &set, NOW.plus(week * WEEK)), []);
        }
        assert_eq!(reporter.take_changes(), Changes::default(), "{file:?}");
    }
    reporter.answered(false, NOW);
    assert_eq!(decide(&mut reporter, &set, NOW.plus(WEEK)), []);
    let changes = reporter.take_changes();
    assert!(changes.tally.is_none() && changes.reports.is_empty());
}

#[test]
fn a_week_is_reported_once_to_a_collector() {
    let (mut reporter, set) = (reporter(), set());
    let (errand, now) = first_errand(&mut reporter, &set);
    assert_eq!((errand.week, errand.collector), (Week::of(NOW), collector()));
    let Message::Report(sent) = errand.message else { panic!("a report is sent first") };
    assert_eq!(reporter.reports().next().unwrap().payload, sent, "what is shown is what is sent");
    let written = reporter.take_changes();
    let [(_, Some(row))] = &written.reports[..] else { panic!("{written:?}") };
    assert_eq!(
        row.state,
        ReportState::Unconfirmed { collector: collector() },
        "it is on the disk before it is sent"
    );
    assert_eq!(decide(&mut reporter, &set, now.plus(9 * HOUR)), [], "one errand at a time");
    reporter.ended(Week::of(NOW), Outcome::Counted, now);
    for hours in 1..72 {
        assert_eq!(decide(&mut reporter, &set, now.plus(hours * HOUR)), []);
    }
    let next = decide(&mut reporter, &set, now.plus(WEEK)).pop().unwrap();
    let Message::Report(other) = next.message else { panic!("a report is sent first") };
    assert_ne!(other.id(), sent.id(), "weeks cannot be linked");
}

#[test]
fn reports_are_spread_over_the_first_days_of_the_next_week() {
    let mut dues: Vec<u64> =
        (0..50).map(|seed| delay(&crate::payload::tests::report(seed, Week::of(NOW)), SPREAD)).collect();
    dues.sort_unstable();
    assert!(
        dues.first() < Some(&(SPREAD / 8))
            && dues.last() > Some(&(SPREAD * 7 / 8))
            && dues.last() < Some(&SPREAD)
    );
    assert_eq!(delay(&crate::payload::tests::report(1, Week::of(NOW)), 0), 0);
}

#[test]
fn nothing_is_sent_while_nobody_is_a_collector() {
    let (mut reporter, mut set) = (reporter(), open_swarm());
    reporter.answered(true, NOW);
    decide(&mut reporter, &set, NOW);
    // In the open swarm anybody can state this, and it does not count.
    name_collector(&mut set);
    let address = format!("/ip4/10.0.0.3/tcp/6002/p2p/{}", collector());
    say(&mut set, &key(3), buckets::IPFS_ADDRESSES.of(collector()), &address);
    assert_eq!(decide(&mut reporter, &set, NOW.plus(WEEK + SPREAD)), []);
    assert_eq!(reporter.reports().count(), 1, "it waits");
    assert_eq!(reporter.reports().next().unwrap().attempts, 0);
    decide(&mut reporter, &set, NOW.plus(6 * WEEK));
    assert!(
        reporter.reports().all(|report| report.payload.week() != Week::of(NOW)),
        "it is too old to be sent"
    );
}

#[test]
fn a_denial_drops_what_was_prepared() {
    let (mut reporter, set) = (reporter(), set());
    let (errand, now) = first_errand(&mut reporter, &set);
    reporter.ended(errand.week, Outcome::Unreached("no way".to_owned()), now);
    assert_eq!(reporter.reports().next().unwrap().reason.as_deref(), Some("no way"));
    reporter.answered(false, now);
    assert!(reporter.tally().is_none() && reporter.reports().next().is_none());
    let changes = reporter.take_changes();
    assert_eq!((changes.tally, changes.reports), (Some(None), vec![(errand.week, None)]));
    assert_eq!(decide(&mut reporter, &set, now.plus(WEEK)), []);
}

#[test]
fn a_file_that_is_removed_or_denies_drops_what_was_prepared() {
    let (mut reporter, set) = (reporter(), set());
    reporter.file = PermissionFile::Grants;
    decide(&mut reporter, &set, NOW);
    assert!(reporter.tally().is_some());
    reporter.file = PermissionFile::Denies;
    assert_eq!(decide(&mut reporter, &set, NOW.plus(WEEK)), []);
    assert!(reporter.tally().is_none() && reporter.reports().next().is_none());
}

#[test]
fn a_report_that_may_have_arrived_goes_only_to_the_same_collector() {
    let (mut reporter, mut set) = (reporter(), set());
    let (errand, now) = first_errand(&mut reporter, &set);
    reporter.ended(errand.week, Outcome::Unanswered("silence".to_owned()), now);
    assert_eq!(decide(&mut reporter, &set, now.plus(59)), [], "not at once");
    for seed in 10..20 {
        let other = key(seed).peer_id();
        say(&mut set, &key(9), buckets::COLLECTORS.path(), &other.to_string());
        say(
            &mut set,
            &key(seed),
            buckets::IPFS_ADDRESSES.of(other),
            &format!("/ip4/10.0.0.9/tcp/1/p2p/{other}"),
        );
    }
    let again = decide(&mut reporter, &set, now.plus(HOUR)).pop().unwrap();
    assert_eq!(again, errand, "the same bytes to the same collector");
    let mut now = now.plus(HOUR);
    let mut attempts = 2;
    while Week::of(now).since(errand.week) <= 3 {
        reporter.ended(errand.week, Outcome::Unanswered(String::new()), now);
        now = now.plus(HOUR);
        attempts += decide(&mut reporter, &set, now).iter().filter(|next| next.week == errand.week).count();
    }
    assert_eq!(attempts, 16, "the attempts are limited");
}

#[test]
fn forgetting_denies_and_asks_until_it_is_confirmed() {
    let (mut reporter, set) = (reporter(), set());
    let (errand, now) = first_errand(&mut reporter, &set);
    let Message::Report(payload) = errand.message else { panic!("a report is sent first") };
    reporter.ended(errand.week, Outcome::Counted, now);
    assert_eq!(reporter.forget(now), 1);
    assert!(reporter.consent().list.is_none() && reporter.tally().is_none());
    let forget = decide(&mut reporter, &set, now).pop().unwrap();
    let Message::Forget(secret, about) = forget.message else { panic!("it asks to forget") };
    assert_eq!((about.clone(), about.is_of(&secret), forget.collector), (payload, true, collector()));
    reporter.ended(errand.week, Outcome::Unreached("off".to_owned()), now);
    assert_eq!(reporter.forget(now), 1, "it is still asked for");
    let mut tries = 0;
    for day in 1..200 {
        tries += decide(&mut reporter, &set, now.plus(day * 86_400)).len();
        reporter.ended(errand.week, Outcome::Refused(RefusalCode::Later), now);
    }
    assert!((100..200).contains(&tries), "{tries}");
    reporter.ended(errand.week, Outcome::Forgotten, now);
    assert_eq!(reporter.reports().count(), 0);
}

#[test]
fn a_report_that_is_forgotten_while_it_is_sent_is_deleted_afterwards() {
    let (mut reporter, set) = (reporter(), set());
    let (errand, now) = first_errand(&mut reporter, &set);
    assert_eq!(reporter.forget(now), 1);
    reporter.ended(errand.week, Outcome::Counted, now);
    let next = decide(&mut reporter, &set, now).pop().unwrap();
    assert!(matches!(next.message, Message::Forget(..)));
}

#[test]
fn fields_that_were_added_after_the_consent_are_left_out() {
    let mut reporter = reporter();
    reporter.answered(true, NOW);
    assert_eq!(reporter.consent().list, Some(LIST_VERSION));
    reporter.consent.answer = Some(OwnerAnswer { is_allowed: true, list: LIST_VERSION - 1, time: NOW });
    let covered = reporter.consent().list.unwrap_or(0);
    assert!(FIELDS.iter().any(|field| field.since > covered), "the newest fields are not covered");
}

#[test]
fn with_a_doubtful_clock_nothing_is_noted_or_sent() {
    let (mut reporter, set) = (reporter(), set());
    reporter.answered(true, NOW);
    reporter.set_inputs(PermissionFile::Absent, LocalPart::default(), Hex32([1; 32]));
    let doubtful = Moment { is_certain: false, ..Moment::certain(NOW) };
    assert_eq!(reporter.decide(&set, doubtful), Decision::default());
    assert!(reporter.tally().is_none());
    // Notes from a clock that was ahead are dropped.
    decide(&mut reporter, &set, NOW.plus(3 * WEEK));
    decide(&mut reporter, &set, NOW);
    assert_eq!((reporter.reports().count(), reporter.tally().unwrap().week), (0, Week::of(NOW)));
}

#[test]
fn a_restart_changes_nothing() {
    let (mut reporter, set) = (reporter(), set());
    let (errand, now) = first_errand(&mut reporter, &set);
    let changes = reporter.take_changes();
    let text = serde_json::to_string(&changes.reports[0].1).unwrap();
    let report: KeptReport = serde_json::from_str(&text).unwrap();
    let tally = changes.tally.unwrap();
    let mut after = Reporter::new((me(), SPREAD), changes.consent.unwrap(), tally, [report]);
    assert_eq!(decide(&mut after, &set, now.plus(1)), [], "an attempt that was interrupted counts");
    assert_eq!(decide(&mut after, &set, now.plus(HOUR)), [errand]);
}

proptest! {
    /// Whatever an owner, a file, a clock and a collector do: a report is sent only while there is consent.
    #[test]
    fn a_report_is_sent_only_with_consent(steps in proptest::collection::vec((0u8..8, 0u64..40), 1..80)) {
        let (mut reporter, set) = (reporter(), set());
        let (mut now, mut under_way) = (NOW, None);
        for (step, hours) in steps {
            match step {
                0 => reporter.answered(true, now),
                1 => reporter.answered(false, now),
                2 => reporter.file = PermissionFile::Grants,
                3 => reporter.file = PermissionFile::Absent,
                4 => reporter.file = PermissionFile::Denies,
                5 => { reporter.forget(now); }
                _ => {}
            }
            now = now.plus(hours * HOUR);
            for errand in decide(&mut reporter, &set, now) {
                let is_allowed = reporter.consent().list.is_some();
                match &errand.message {
                    Message::Report(payload) => {
                        prop_assert!(is_allowed);
                        prop_assert!(payload.week() < Week::of(now));
                    }
                    Message::Forget(secret, payload) => prop_assert!(payload.is_of(secret)),
                }
                under_way = Some(errand.week);
            }
            if reporter.consent().list.is_none() {
                prop_assert!(reporter.tally().is_none());
                let is_waiting = |report: &KeptReport| matches!(report.state, ReportState::Waiting { .. });
                let waits = reporter.reports().any(is_waiting);
                prop_assert!(!waits);
            }
            if let Some(week) = under_way.take_if(|_| step % 2 == 0) {
                let outcome = match step {
                    0 => Outcome::Counted,
                    2 => Outcome::Forgotten,
                    4 => Outcome::Refused(RefusalCode::Later),
                    _ => Outcome::Unanswered(String::new()),
                };
                reporter.ended(week, outcome, now);
            }
        }
    }
}
