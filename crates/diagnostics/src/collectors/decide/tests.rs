//! Tests of the decider. The collector is peer 2, and the robots are peers from 10 on.

use super::*;
use crate::batch::stated::tests::{NOW, ROOT, admit, cid_of, key, name, peer, propose, publish, swarm};
use crate::batch::stated::{batch_item, recipients, stored_up_to};
use crate::batch::{HistoryId, SealingKey};
use crate::collectors::track::Track;
use dcache::{Data, buckets};
use proptest::prelude::*;

const ME: u8 = 2;

fn collecting() -> Collecting {
    Collecting::new(peer(ME), SealingKey::of(&key(ME)).public(), BTreeMap::new())
}

/// A swarm in which this node is a collector.
fn named() -> Set {
    let mut set = swarm();
    name(&mut set, ME, true, NOW);
    set
}

fn batch(after: u64, last: u64) -> StatedBatch {
    let cid = cid_of(format!("{after} {last}").as_bytes());
    StatedBatch { history: HistoryId::from_bytes([1; 8]), after, last, bytes: 1000, cid }
}

fn announce(set: &mut Set, seed: u8, batch: &StatedBatch, now: Time) {
    propose(set, seed, batch_item(peer(seed), batch).unwrap(), now);
}

/// Returns the fetches that a decision begins.
fn begun(collecting: &mut Collecting, set: &Set, now: Time) -> Vec<Fetch> {
    let actions = collecting.decide(set, Moment::certain(now)).actions.into_iter();
    actions.filter_map(|action| if let Action::Fetch(fetch) = action { Some(fetch) } else { None }).collect()
}

fn state(spans: &[(u64, u64)]) -> RobotState {
    let track = Track { history: HistoryId::from_bytes([1; 8]), spans: spans.to_vec(), boots: vec![] };
    RobotState { histories: vec![track], ..RobotState::default() }
}

#[test]
fn a_batch_is_fetched_stored_and_confirmed_and_the_receipt_ends_with_the_announcement() {
    let (mut set, mut collecting) = (named(), collecting());
    let decision = collecting.decide(&set, Moment::certain(NOW));
    assert_eq!(publish(&mut set, ME, decision.statements, NOW), 1);
    assert_eq!(recipients(&set, NOW).into_keys().collect::<Vec<_>>(), [peer(ME)]);
    announce(&mut set, 10, &batch(0, 50), NOW);
    let fetches = begun(&mut collecting, &set, NOW);
    assert_eq!(fetches, [Fetch { robot: peer(10), batch: batch(0, 50) }]);
    assert_eq!(begun(&mut collecting, &set, NOW), [], "it is being fetched");
    collecting.stored(&fetches[0], state(&[(0, 50)]));
    let stored = |set: &Set, now| stored_up_to(set, (peer(10), HistoryId::from_bytes([1; 8])), 100, now);
    let decision = collecting.decide(&set, Moment::certain(NOW));
    assert_eq!((decision.actions.len(), publish(&mut set, ME, decision.statements, NOW)), (0, 1));
    assert_eq!(stored(&set, NOW), Some(50));
    let mut statements = Statements::new();
    statements.propose(batch_item(peer(10), &batch(0, 50)).unwrap(), Validity::over(NOW));
    admit(&mut set, 10, statements, NOW);
    let decision = collecting.decide(&set, Moment::certain(NOW));
    assert_eq!((publish(&mut set, ME, decision.statements, NOW), stored(&set, NOW)), (1, None));
}

#[test]
fn without_the_role_nothing_is_fetched_or_stated() {
    let (mut set, mut collecting) = (swarm(), collecting());
    announce(&mut set, 10, &batch(0, 50), NOW);
    assert_eq!(collecting.decide(&set, Moment::certain(NOW)), Decision::default());
    name(&mut set, ME, true, NOW);
    let decision = collecting.decide(&set, Moment::certain(NOW));
    publish(&mut set, ME, decision.statements, NOW);
    assert_eq!(decision.actions.len(), 1);
    name(&mut set, ME, false, NOW.plus(1));
    let decision = collecting.decide(&set, Moment::certain(NOW.plus(1)));
    assert!(matches!(decision.actions[..], [Action::Cancel(_)]) && !collecting.is_named());
    assert_eq!(publish(&mut set, ME, decision.statements, NOW.plus(1)), 1, "the key is withdrawn");
}

#[test]
fn a_receipt_says_only_what_is_stored_without_a_gap() {
    let (mut set, mut collecting) = (named(), collecting());
    for (after, last) in [(0, 50), (50, 80), (80, 90)] {
        announce(&mut set, 10, &batch(after, last), NOW);
    }
    let receipt = |collecting: &Collecting| {
        let list: Vec<StatedBatch> = announced(&set, NOW).remove(&peer(10)).unwrap();
        collecting
            .receipt(peer(10), &list)
            .map(|item| item.data.as_str().rsplit(' ').next().unwrap().to_owned())
    };
    let fetch = Fetch { robot: peer(10), batch: batch(80, 90) };
    collecting.stored(&fetch, state(&[(80, 90)]));
    assert_eq!(receipt(&collecting), None);
    collecting.stored(&fetch, state(&[(0, 50), (80, 90)]));
    assert_eq!(receipt(&collecting).as_deref(), Some("50"));
    assert_eq!(begun(&mut collecting, &set, NOW)[0].batch, batch(50, 80), "the others are stored");
    collecting.stored(&fetch, state(&[(0, 90)]));
    assert_eq!(receipt(&collecting).as_deref(), Some("90"));
}

#[test]
fn peers_with_a_role_go_first_and_robots_take_turns() {
    let (mut set, mut collecting) = (named(), collecting());
    for seed in 10..18 {
        for number in 0..3 {
            announce(&mut set, seed, &batch(number * 10, number * 10 + 10), NOW);
        }
    }
    propose(&mut set, ROOT, Item { bucket: buckets::TRUSTED.path(), data: peer(17).into() }, NOW);
    propose(&mut set, 16, Item { bucket: buckets::PEER.path(), data: peer(16).into() }, NOW);
    let first = begun(&mut collecting, &set, NOW);
    assert_eq!(first.iter().map(|fetch| fetch.robot).collect::<Vec<_>>()[..2], [peer(17), peer(16)]);
    assert_eq!(first.len(), MAX_FETCHES);
    let mut order: Vec<PeerId> = Vec::new();
    let mut running = first;
    for _ in 0..24 {
        for fetch in std::mem::take(&mut running) {
            order.push(fetch.robot);
            collecting.refused(&fetch);
        }
        running = begun(&mut collecting, &set, NOW);
    }
    let others: Vec<PeerId> =
        order.iter().copied().filter(|robot| ![peer(16), peer(17)].contains(robot)).collect();
    assert_eq!((order.len(), others.len()), (24, 18));
    for round in others.chunks(6) {
        assert_eq!(round.iter().collect::<BTreeSet<_>>().len(), 6, "each robot has one turn in a round");
    }
}

#[test]
fn a_fetch_that_fails_is_tried_again_later_and_a_refused_batch_is_not() {
    let (mut set, mut collecting) = (named(), collecting());
    announce(&mut set, 10, &batch(0, 50), NOW);
    let mut now = NOW;
    let mut waits = Vec::new();
    for _ in 0..9 {
        let fetch = begun(&mut collecting, &set, now)[0];
        collecting.failed(&fetch, now);
        let wake = collecting.decide(&set, Moment::certain(now)).wake.unwrap();
        waits.push(collecting.next_retry(now).unwrap().since(now));
        assert!(wake <= now.plus(*waits.last().unwrap()));
        now = now.plus(*waits.last().unwrap());
    }
    assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 3840, 3840, 3840]);
    let fetch = begun(&mut collecting, &set, now)[0];
    collecting.refused(&fetch);
    assert_eq!(begun(&mut collecting, &set, now.plus(5000)), []);
    announce(&mut set, 10, &batch(0, 51), now);
    assert_eq!(begun(&mut collecting, &set, now.plus(5000)).len(), 1, "it is another batch");
}

#[test]
fn a_robot_that_announces_too_much_has_a_budget_for_each_day() {
    let (mut set, mut collecting) = (named(), collecting());
    let (mut bytes, mut number) = (0, 0);
    for _ in 0..400 {
        number += 1;
        let large = StatedBatch { bytes: 2_000_000, ..batch(number, number + 1) };
        let mut statements = Statements::new();
        statements.propose(batch_item(peer(10), &large).unwrap(), Validity::stated(NOW, 600));
        admit(&mut set, 10, statements, NOW);
        for fetch in begun(&mut collecting, &set, NOW) {
            bytes += fetch.batch.bytes;
            collecting.refused(&fetch);
        }
        let mut statements = Statements::new();
        statements.propose(batch_item(peer(10), &large).unwrap(), Validity::over(NOW));
        admit(&mut set, 10, statements, NOW);
    }
    assert!((ROBOT_BUDGET - 2_000_000..=ROBOT_BUDGET).contains(&bytes), "{bytes}");
    let tomorrow = NOW.plus(DAY);
    announce(&mut set, 10, &batch(5000, 5001), tomorrow);
    assert_eq!(begun(&mut collecting, &set, tomorrow).len(), 1);
}

#[test]
fn what_is_stored_is_known_after_a_restart() {
    let mut set = named();
    announce(&mut set, 10, &batch(0, 50), NOW);
    let stored = [(peer(10), state(&[(0, 50)]))].into();
    let mut collecting = Collecting::new(peer(ME), SealingKey::of(&key(ME)).public(), stored);
    let decision = collecting.decide(&set, Moment::certain(NOW));
    assert_eq!((decision.actions.len(), publish(&mut set, ME, decision.statements, NOW)), (0, 2));
    assert_eq!(stored_up_to(&set, (peer(10), HistoryId::from_bytes([1; 8])), 100, NOW), Some(50));
}

#[test]
fn receipts_and_the_key_are_renewed_at_half_time_and_not_before() {
    let mut set = named();
    announce(&mut set, 10, &batch(0, 50), NOW);
    let stored = [(peer(10), state(&[(0, 50)]))].into();
    let mut collecting = Collecting::new(peer(ME), SealingKey::of(&key(ME)).public(), stored);
    let mut statements = 0;
    for hour in 0..7 * 24 - 1 {
        let now = NOW.plus(hour * 3600);
        let decision = collecting.decide(&set, Moment::certain(now));
        statements += publish(&mut set, ME, decision.statements, now);
    }
    assert_eq!(statements, 5, "the receipt was renewed once, and the key twice");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_texts_in_the_buckets_are_bounded(texts in proptest::collection::vec(("[0-9a-f ]{0,40}", 10..13_u8), 0..60)) {
        let (mut set, mut collecting) = (named(), collecting());
        for (text, seed) in texts {
            let item = Item { bucket: BATCHES.of(peer(seed)), data: Data::new(&text).unwrap() };
            propose(&mut set, seed, item, NOW);
        }
        announce(&mut set, 13, &batch(0, 9), NOW);
        prop_assert_eq!(begun(&mut collecting, &set, NOW), [Fetch { robot: peer(13), batch: batch(0, 9) }]);
    }
}
