use super::*;
use dcache::{Data, Item, Keypair};

const SECOND: Duration = Duration::from_secs(1);
const CHANNEL: ChannelId = ChannelId(1);

fn queued(signer: u8, bucket: &str, data: &str) -> QueuedRecord {
    let item = Item { bucket: bucket.parse().unwrap(), data: Data::new(data).unwrap() };
    let key = Key { item, signer: Keypair::from_seed([signer; 32]).peer_id() };
    QueuedRecord { channel: CHANNEL, key, round: 0, cause: Cause::News }
}

fn taken(outbox: &mut Outbox, count: usize) -> Vec<String> {
    let records = (0..count).filter_map(|_| outbox.take_due(SECOND));
    records.map(|record| record.key.item.data.as_str().to_owned()).collect()
}

#[test]
fn a_record_waits_at_most_once_per_channel_and_can_be_cancelled() {
    let mut outbox = Outbox::default();
    outbox.schedule(queued(1, "a", "a"), Duration::ZERO);
    outbox.schedule(queued(1, "a", "a"), SECOND);
    assert_eq!(outbox.next(), Some(SECOND));
    assert!(outbox.cancel(CHANNEL, &queued(1, "a", "a").key));
    assert!(!outbox.cancel(CHANNEL, &queued(1, "a", "a").key));
    assert_eq!(outbox.next(), None);
    outbox.schedule(queued(1, "a", "b"), Duration::ZERO);
    outbox.drop_channel(CHANNEL);
    assert_eq!((outbox.next(), outbox.waiting(CHANNEL)), (None, 0));
}

#[test]
fn discovery_and_logs_overtake_waiting_records() {
    let mut outbox = Outbox::default();
    for n in 0..100 {
        outbox.schedule(queued(1, "pri/me/diagnostics", &format!("diagnostics {n}")), Duration::ZERO);
    }
    assert_eq!(taken(&mut outbox, 5).len(), 5);
    outbox.schedule(queued(2, "share/files", "log"), SECOND);
    outbox.schedule(queued(3, "peer", "peer"), SECOND);
    assert_eq!(taken(&mut outbox, 3), ["log", "peer", "diagnostics 5"]);
}

#[test]
fn new_records_precede_repetitions_but_do_not_starve_them() {
    let mut outbox = Outbox::default();
    for n in 0..100 {
        outbox.schedule(QueuedRecord { round: 1, ..queued(1, "a", "again") }, Duration::ZERO);
        outbox.schedule(QueuedRecord { round: 1, ..queued(1, "a", &format!("again {n}")) }, Duration::ZERO);
        outbox.schedule(queued(2, "a", &format!("new {n}")), Duration::ZERO);
    }
    let first = taken(&mut outbox, 50);
    assert_eq!(first.iter().filter(|data| data.starts_with("again")).count(), 10);
}

#[test]
fn no_signer_and_no_bucket_starves_another() {
    let mut outbox = Outbox::default();
    for n in 0..100 {
        outbox.schedule(queued(1, "a", &format!("flood {n}")), Duration::ZERO);
    }
    taken(&mut outbox, 10);
    outbox.schedule(queued(1, "b", "same signer"), Duration::ZERO);
    outbox.schedule(queued(2, "a", "other signer"), Duration::ZERO);
    let next = taken(&mut outbox, 4);
    assert!(
        next.contains(&"same signer".to_owned()) && next.contains(&"other signer".to_owned()),
        "{next:?}"
    );
}

#[test]
fn a_channel_resumes_after_a_pause_where_it_stopped() {
    let mut outbox = Outbox::default();
    for data in ["a", "b", "c"] {
        outbox.schedule(queued(1, "a", data), Duration::ZERO);
    }
    let first = outbox.take_due(SECOND).unwrap();
    outbox.rest(CHANNEL, vec![first], SECOND * 3);
    assert_eq!((outbox.take_due(SECOND), outbox.next()), (None, Some(SECOND * 3)));
    let taken: Vec<_> = (0..3).filter_map(|_| outbox.take_due(SECOND * 3)).collect();
    assert_eq!(taken, [queued(1, "a", "a"), queued(1, "a", "b"), queued(1, "a", "c")]);
}

#[test]
fn steps_and_the_waiting_records_take_turns() {
    let mut outbox = Outbox::default();
    for n in 0..3 {
        outbox.schedule(queued(1, "a", &n.to_string()), Duration::ZERO);
    }
    assert_eq!(taken(&mut outbox, 1).len(), 1);
    assert_eq!(outbox.claimed_until(CHANNEL, SECOND), None, "no step was sent yet");
    outbox.reserve(CHANNEL, SECOND * 2);
    assert!(taken(&mut outbox, 1).is_empty(), "the budget is reserved");
    outbox.had_turn(CHANNEL);
    assert_eq!(outbox.claimed_until(CHANNEL, SECOND), Some(SECOND * 2), "a record waits");
    assert_eq!(outbox.claimed_until(CHANNEL, SECOND * 2), None, "the budget is free");
    assert!(outbox.take_due(SECOND * 2).is_some());
    outbox.rest(CHANNEL, Vec::new(), SECOND * 4);
    assert_eq!(outbox.claimed_until(CHANNEL, SECOND * 3), None, "a record had its turn");
}

#[test]
fn leading_records_have_several_turns_for_each_step() {
    let mut outbox = Outbox::default();
    for n in 0..LEADING_TURN + 2 {
        outbox.schedule(queued(2, "share/files", &n.to_string()), Duration::ZERO);
    }
    outbox.had_turn(CHANNEL);
    let is_claimed = (0..LEADING_TURN as u32 + 2).map(|second| {
        assert!(outbox.take_due(SECOND * second).is_some());
        outbox.rest(CHANNEL, Vec::new(), SECOND * (second + 1));
        outbox.claimed_until(CHANNEL, SECOND * second).is_some()
    });
    assert_eq!(is_claimed.take_while(|is_claimed| *is_claimed).count(), LEADING_TURN - 1);
}

#[test]
fn a_leading_record_ends_the_pause_of_other_records_but_no_reservation() {
    let mut outbox = Outbox::default();
    outbox.schedule(queued(1, "a", "fresh"), Duration::ZERO);
    let fresh = outbox.take_due(SECOND).unwrap();
    outbox.rest(CHANNEL, vec![fresh], SECOND * 20);
    outbox.schedule(queued(2, "a", "other"), SECOND * 2);
    assert_eq!(outbox.next(), Some(SECOND * 20));
    outbox.schedule(queued(2, "share/files", "leading"), SECOND * 3);
    assert_eq!(outbox.next(), Some(SECOND * 3));
    assert_eq!(outbox.take_due(SECOND * 3), Some(queued(2, "share/files", "leading")));
    outbox.reserve(CHANNEL, SECOND * 20);
    outbox.schedule(queued(2, "share/files", "later"), SECOND * 4);
    assert_eq!((outbox.take_due(SECOND * 4), outbox.next()), (None, Some(SECOND * 20)));
}

#[test]
fn a_line_that_was_put_back_does_not_precede_leading_records() {
    let mut outbox = Outbox::default();
    for data in ["a", "b", "c"] {
        outbox.schedule(queued(1, "a", data), Duration::ZERO);
    }
    let line: Vec<_> = (0..3).filter_map(|_| outbox.take_due(SECOND)).collect();
    outbox.rest(CHANNEL, line, SECOND * 20);
    outbox.schedule(queued(2, "share/files", "leading"), SECOND * 2);
    assert_eq!(outbox.take_due(SECOND * 2), Some(queued(2, "share/files", "leading")));
}
