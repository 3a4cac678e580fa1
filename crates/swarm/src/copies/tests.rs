use super::*;
use dcache::{BucketPath, Data, End, Item, Keypair, Moment, Statement, Validity};

const NOW: Time = Time(1_800_000_000);
const HOUR: u64 = 3600;

fn key() -> Keypair {
    Keypair::from_seed([1; 32])
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn record(bucket: BucketPath, data: &str, validity: Validity, sequence: u64) -> Record {
    let item = Item { bucket, data: Data::new(data).unwrap() };
    let statement = Statement::new(Kind::Propose, item, validity).unwrap();
    Record::sign(statement, &key(), sequence, End::default())
}

/// Returns a record about a file, signed at a time.
fn file(at: Time, sequence: u64) -> Record {
    record("share/files".parse().unwrap(), "cid", Validity::starting(at, HOUR), sequence)
}

/// Returns a detector whose disk knows 100 as the last number, and whose run began at [`NOW`].
fn detector() -> CopyDetector {
    let mut detector = CopyDetector::new(Some(100));
    read(&mut detector, NOW, 0);
    detector
}

fn read(detector: &mut CopyDetector, time: Time, elapsed: u64) {
    detector.read_clock(Now { moment: Moment::certain(time), elapsed: seconds(elapsed) });
}

fn message(detector: &mut CopyDetector) -> Option<String> {
    detector.news().flatten().map(|fault| fault.message())
}

#[test]
fn a_later_record_that_this_run_did_not_sign_shows_another_host() {
    let mut detector = detector();
    assert_eq!(detector.news(), None);
    detector.heard(&file(NOW.plus(5), 101), seconds(5));
    let message = message(&mut detector).unwrap();
    assert!(message.starts_with("another host uses the same identity as this host"), "{message}");
    assert!(message.contains("identity renew"), "{message}");
    detector.heard(&file(NOW.plus(6), 102), seconds(6));
    assert_eq!(detector.news(), None, "the fault was reported already");
}

#[test]
fn records_that_this_run_signed_are_its_own_however_they_come_back() {
    let mut detector = detector();
    for sequence in [101, 102, 103, 110, 111] {
        detector.signed(&[file(NOW, sequence)]);
    }
    for sequence in [101, 103, 110, 111] {
        detector.heard(&file(NOW, sequence), seconds(1));
    }
    assert_eq!(detector.news(), None);
    detector.heard(&file(NOW, 105), seconds(1));
    assert!(message(&mut detector).is_some(), "the number lies between two own ones");
}

#[test]
fn old_records_that_come_back_show_no_other_host() {
    // The store was lost, and with it the last number.
    let mut lost = CopyDetector::new(None);
    // The store was restored from a copy of last week.
    let mut restored = CopyDetector::new(Some(100));
    for detector in [&mut lost, &mut restored] {
        read(detector, NOW, 0);
        for sequence in [90, 101, 5000] {
            detector.heard(&file(Time(NOW.0 - 1), sequence), seconds(60));
        }
        let presence = Validity::starting(Time(NOW.0 - 1), PEER.lifetime());
        detector.heard(&record(PEER.path(), "me", presence, 6000), seconds(61));
        assert_eq!(detector.news(), None);
    }
    // A number that the disk knows is an own one, whatever time its record shows, as after a clock that was ahead.
    restored.heard(&file(NOW.plus(HOUR), 100), seconds(70));
    assert_eq!(restored.news(), None);
}

#[test]
fn a_clock_that_is_set_shows_no_other_host() {
    let mut detector = CopyDetector::new(Some(100));
    let unknown = Moment { is_certain: false, ..Moment::certain(NOW) };
    detector.read_clock(Now { moment: unknown, elapsed: seconds(0) });
    detector.heard(&file(NOW.plus(10), 101), seconds(10));
    assert_eq!(detector.news(), None, "the time is not known");
    // The clock is behind by a day, and is then set right. Before, records signed yesterday seemed to come from the
    // future.
    read(&mut detector, NOW, 20);
    read(&mut detector, NOW.plus(24 * HOUR), 30);
    detector.heard(&file(NOW.plus(23 * HOUR), 102), seconds(31));
    assert_eq!(detector.news(), None);
    read(&mut detector, NOW.plus(24 * HOUR + 10), 40);
    detector.heard(&file(NOW.plus(24 * HOUR + 5), 103), seconds(41));
    assert!(message(&mut detector).is_some());
}

#[test]
fn a_claim_whose_validity_begins_early_counts_by_its_end() {
    let stated = |at: Time| record(PEER.path(), "me", Validity::stated(at, PEER.lifetime()), 101);
    let mut detector = detector();
    detector.heard(&stated(Time(NOW.0 - 1)), seconds(1));
    assert_eq!(detector.news(), None);
    detector.heard(&stated(NOW), seconds(1));
    assert!(detector.news().is_some());
}

#[test]
fn extending_statements_for_neighbours_that_are_ahead_makes_them_no_later() {
    let moment = Moment { neighbours: NOW.plus(2 * HOUR), ..Moment::certain(NOW) };
    let stated = |at: Time, sequence| {
        let now = Moment { neighbours: at.plus(2 * HOUR), ..Moment::certain(at) };
        record(PEER.path(), "me", Validity::stated(at, PEER.lifetime()).reaching(now), sequence)
    };
    let mut detector = CopyDetector::new(None);
    detector.read_clock(Now { moment, elapsed: seconds(0) });
    detector.heard(&stated(Time(NOW.0 - 1), 101), seconds(1));
    assert_eq!(detector.news(), None, "the record is of the previous run, whose store was lost");
    detector.heard(&stated(NOW, 102), seconds(1) + LEARNING);
    assert!(detector.news().is_some());
}

#[test]
fn after_the_store_was_lost_a_clock_that_is_behind_shows_no_other_host() {
    let mut detector = CopyDetector::new(None);
    read(&mut detector, Time(NOW.0 - 600), 0);
    // The run before had the right clock, so all its records look as if they were signed after this start.
    for (sequence, second) in [(4000, 5), (5000, 6), (4500, 14)] {
        detector.heard(&file(Time(NOW.0 - 20), sequence), seconds(second));
    }
    detector.heard(&file(Time(NOW.0 - 30), 4900), seconds(5000));
    assert_eq!(detector.news(), None);
    detector.heard(&file(Time(NOW.0 + 4000), 5001), seconds(5001));
    assert!(message(&mut detector).is_some(), "only another host signs records that come after all of these");
}

#[test]
fn the_fault_names_the_other_host_and_ends_when_it_is_gone() {
    let mut detector = detector();
    let validity = Validity::starting(NOW, ADDRESSES.lifetime());
    let address = "/ip4/10.0.0.7/tcp/8000/dswarm-line";
    detector.heard(&record(ADDRESSES.of(key().peer_id()), address, validity, 101), seconds(5));
    let named = message(&mut detector).unwrap();
    assert!(named.starts_with("the host 10.0.0.7 uses the same identity as this host"), "{named}");
    let last = 5 + GONE_AFTER.as_secs() / 2;
    read(&mut detector, NOW.plus(last), last);
    detector.heard(&file(NOW.plus(last), 102), seconds(last));
    assert_eq!(detector.news(), None, "the fault is unchanged");
    let gone = last + GONE_AFTER.as_secs();
    read(&mut detector, NOW.plus(gone - 1), gone - 1);
    assert_eq!(detector.news(), None);
    read(&mut detector, NOW.plus(gone), gone);
    assert_eq!(detector.news(), Some(None));
    detector.heard(&file(NOW.plus(gone), 103), seconds(gone));
    assert!(message(&mut detector).is_some(), "the other host is back");
}

#[test]
fn the_memory_of_own_numbers_is_bounded() {
    let mut detector = detector();
    for number in 0..10 * MAX_RANGES as u64 {
        detector.signed(&[file(NOW, 1000 + 2 * number)]);
    }
    assert_eq!(detector.signed.len(), MAX_RANGES);
    let last = 1000 + 2 * (10 * MAX_RANGES as u64 - 1);
    detector.heard(&file(NOW, last), seconds(1));
    assert_eq!(detector.news(), None);
    detector.heard(&file(NOW, last - 1), seconds(1));
    assert!(message(&mut detector).is_some());
}

#[test]
fn a_host_that_got_an_identity_of_its_own_is_gone_at_once() {
    let mut detector = detector();
    detector.heard(&file(NOW.plus(5), 101), seconds(5));
    assert!(message(&mut detector).is_some());
    let new = Keypair::from_seed([2; 32]).peer_id();
    let renewed = Validity::starting(NOW.plus(20), HOUR);
    let renewed = record(RENEWED.of(key().peer_id()), &new.to_string(), renewed, 110);
    detector.heard(&renewed, seconds(21));
    assert_eq!(detector.news(), Some(None));
    detector.heard(&file(NOW.plus(19), 109), seconds(22));
    assert_eq!(detector.news(), None, "an earlier record that comes late");
    detector.heard(&file(NOW.plus(25), 111), seconds(25));
    assert!(message(&mut detector).is_some(), "a third host has the key");
}
