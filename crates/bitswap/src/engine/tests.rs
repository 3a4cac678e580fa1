//! Tests of a single engine. Peers are numbers, and each test sets the time.
use multihash_codetable::{Code, MultihashDigest};

use super::*;
use crate::message::{Entry, Presence, WantType};
use std::collections::BTreeSet;

pub(super) const START: Duration = Duration::from_secs(1000);

pub(super) fn cid(data: &str) -> Cid {
    Cid::new_v1(0x55, Code::Sha2_256.digest(data.as_bytes()))
}

pub(super) fn engine() -> Engine<u32> {
    Engine::new(Config { slots: 1, ..Config::default() }, 0)
}

/// Takes all outputs. Reports each message as sent, and each looked-up block as missing.
pub(super) fn outputs(engine: &mut Engine<u32>) -> Vec<Output<u32>> {
    let mut all = Vec::new();
    while let Some(output) = engine.poll_output() {
        match &output {
            Output::Send { peer, .. } => engine.sent(*peer),
            Output::LookUp { peer, cids } => engine.looked_up(*peer, cids.iter().map(|cid| (*cid, None))),
            _ => {}
        }
        all.push(output);
    }
    all
}

/// Merges all messages to one peer, among the outputs, into one.
pub(super) fn said(outputs: &[Output<u32>], to: u32) -> Message {
    let mut all = Message::default();
    for output in outputs {
        if let Output::Send { peer, message } = output
            && *peer == to
        {
            all.full |= message.full;
            all.wantlist.extend(message.wantlist.clone());
            all.blocks.extend(message.blocks.clone());
            all.presences.extend(message.presences.clone());
        }
    }
    all
}

pub(super) fn say_have(engine: &mut Engine<u32>, peer: u32, cid: Cid, have: bool) {
    let presences = vec![Presence { cid, have }];
    engine.received(START, peer, Message { presences, ..Message::default() });
}

pub(super) fn send_block(engine: &mut Engine<u32>, peer: u32, data: &str) {
    let blocks = vec![Block { cid: cid(data), data: data.to_owned().into() }];
    engine.received(START, peer, Message { blocks, ..Message::default() });
}

pub(super) fn ask(engine: &mut Engine<u32>, peer: u32, entry: Entry) {
    engine.received(START, peer, Message { wantlist: vec![entry], ..Message::default() });
}

/// Calls [`Engine::tick`] at each due time until `until`. Returns the messages to one peer, merged into one.
pub(super) fn pass(engine: &mut Engine<u32>, until: Duration, to: u32) -> Message {
    let mut all = Vec::new();
    while let Some(wake) = engine.next_wake().filter(|wake| *wake <= until) {
        engine.tick(wake);
        all.extend(outputs(engine));
    }
    said(&all, to)
}

pub(super) fn wants_block(message: &Message, wanted: &Cid) -> bool {
    message.wantlist.iter().any(|e| e.cid == *wanted && e.want_type == WantType::Block && !e.cancel)
}

#[test]
fn a_want_is_announced_requested_stored_and_ended() {
    let mut engine = engine();
    engine.connected(START, 1, 1);
    engine.connected(START, 2, 2);
    engine.want(START, cid("a"), 0).unwrap();
    let announced = outputs(&mut engine);
    for peer in [1, 2] {
        assert_eq!(said(&announced, peer).wantlist, [Entry::want(cid("a"), WantType::Have)]);
    }
    say_have(&mut engine, 1, cid("a"), true);
    say_have(&mut engine, 2, cid("a"), true);
    let asked = outputs(&mut engine);
    assert_eq!(said(&asked, 1).wantlist, [Entry::want(cid("a"), WantType::Block)]);
    assert!(said(&asked, 2).is_empty(), "one peer is enough");
    send_block(&mut engine, 1, "a");
    assert_eq!(outputs(&mut engine), [Output::Store { peer: 1, cid: cid("a"), data: "a".into() }]);
    engine.stored(START, &cid("a"), 1);
    let stored = outputs(&mut engine);
    assert_eq!(said(&stored, 2).wantlist, [Entry::cancel(cid("a"))]);
    assert!(said(&stored, 1).is_empty(), "the sender of the block needs no cancellation");
    assert!(stored.contains(&Output::Satisfied { cid: cid("a") }));
    assert_eq!((engine.wants(), engine.next_wake()), (0, None));
}

#[test]
fn a_peer_that_connects_later_is_told_all_wants() {
    let mut engine = engine();
    engine.want(START, cid("a"), 0).unwrap();
    engine.connected(START, 1, 1);
    assert_eq!(said(&outputs(&mut engine), 1).wantlist, [Entry::want(cid("a"), WantType::Have)]);
}

#[test]
fn the_rarest_block_is_requested_first() {
    let mut engine = engine();
    for peer in 1..=3 {
        engine.connected(START, peer, u64::from(peer));
    }
    for data in ["common", "rare"] {
        engine.want(START, cid(data), 0).unwrap();
    }
    outputs(&mut engine);
    // All slots are busy while the peers announce their blocks.
    for peer in 1..=3 {
        engine.want(START, cid(&format!("busy {peer}")), 0).unwrap();
        say_have(&mut engine, peer, cid(&format!("busy {peer}")), true);
    }
    for peer in 1..=3 {
        say_have(&mut engine, peer, cid("common"), true);
    }
    say_have(&mut engine, 1, cid("rare"), true);
    outputs(&mut engine);
    // The time in which every connected peer counts as a wanter is over.
    let later = START + Duration::from_secs(1);
    engine.tick(later);
    let blocks = vec![Block { cid: cid("busy 1"), data: "busy 1".into() }];
    engine.received(later, 1, Message { blocks, ..Message::default() });
    let asked = said(&outputs(&mut engine), 1);
    assert!(wants_block(&asked, &cid("rare")) && !wants_block(&asked, &cid("common")));
}

#[test]
fn nodes_choose_different_blocks_among_equally_rare_ones() {
    let first_choice = |token| {
        let mut engine = Engine::new(Config { slots: 1, ..Config::default() }, token);
        engine.connected(START, 1, 1);
        let presences = (0..8).map(|n| Presence { cid: cid(&n.to_string()), have: true }).collect();
        (0..8).for_each(|n| engine.want(START, cid(&n.to_string()), 0).unwrap());
        // The peer wanted the blocks before it has them, so it is a spreader of them.
        let wantlist = (0..8).map(|n| Entry::want(cid(&n.to_string()), WantType::Have)).collect();
        engine.received(START, 1, Message { wantlist, ..Message::default() });
        outputs(&mut engine);
        engine.received(START, 1, Message { presences, ..Message::default() });
        said(&outputs(&mut engine), 1).wantlist
    };
    assert_eq!(first_choice(3), first_choice(3));
    assert!((0..20).any(|token| first_choice(token) != first_choice(3)));
}

#[test]
fn no_more_blocks_are_in_flight_than_slots() {
    let mut engine = Engine::new(Config { slots: 2, ..Config::default() }, 0);
    engine.connected(START, 1, 1);
    let all = ["a", "b", "c", "d", "e"];
    for data in all {
        engine.want(START, cid(data), 0).unwrap();
        say_have(&mut engine, 1, cid(data), true);
    }
    let count = |message: &Message| all.iter().filter(|data| wants_block(message, &cid(data))).count();
    assert_eq!(count(&said(&outputs(&mut engine), 1)), 1, "one until the rate of the link is known");
    engine.receiving(START + Duration::from_secs(1), 1, 1000);
    send_block(&mut engine, 1, "a");
    assert_eq!(count(&said(&outputs(&mut engine), 1)), 2);
}

#[test]
fn a_peer_that_says_have_but_sends_nothing_is_asked_last() {
    let mut engine = engine();
    engine.connected(START, 1, 1);
    engine.want(START, cid("a"), 0).unwrap();
    say_have(&mut engine, 1, cid("a"), true);
    outputs(&mut engine);
    engine.connected(START, 2, 2);
    say_have(&mut engine, 2, cid("a"), true);
    let due = START + Config::default().block_timeout + Duration::from_millis(100);
    assert!(wants_block(&pass(&mut engine, due, 2), &cid("a")));
    // The next block that both have is not requested from the first peer, although only that one has a free slot.
    engine.want(due, cid("b"), 0).unwrap();
    say_have(&mut engine, 2, cid("b"), true);
    say_have(&mut engine, 1, cid("b"), true);
    assert!(!wants_block(&said(&outputs(&mut engine), 1), &cid("b")));
    assert_eq!(engine.statistics().timeouts, 1);
}

#[test]
fn the_only_source_is_asked_again_after_a_timeout() {
    let mut engine = engine();
    engine.connected(START, 1, 1);
    engine.want(START, cid("a"), 0).unwrap();
    say_have(&mut engine, 1, cid("a"), true);
    outputs(&mut engine);
    let later = START + Config::default().block_timeout * 3;
    assert!(wants_block(&pass(&mut engine, later, 1), &cid("a")));
}

#[test]
fn a_slow_peer_that_sends_is_not_timed_out() {
    let mut engine = engine();
    engine.connected(START, 1, 1);
    engine.want(START, cid("a"), 0).unwrap();
    say_have(&mut engine, 1, cid("a"), true);
    outputs(&mut engine);
    let second = Duration::from_secs(1);
    for n in 1..=20 {
        engine.receiving(START + second * n, 1, 13_000);
        pass(&mut engine, START + second * n, 1);
    }
    assert_eq!(engine.statistics().timeouts, 0);
    pass(&mut engine, START + second * 240, 1);
    assert!(
        engine.statistics().timeouts >= 1,
        "the time limit of a link of 13 kB/s is longer but not infinite"
    );
}

#[test]
fn a_peer_that_sends_a_few_bytes_at_a_time_times_out() {
    let mut engine = engine();
    engine.connected(START, 1, 1);
    engine.want(START, cid("a"), 0).unwrap();
    say_have(&mut engine, 1, cid("a"), true);
    outputs(&mut engine);
    for n in 1..=40 {
        engine.receiving(START + Duration::from_secs(n), 1, 1);
        pass(&mut engine, START + Duration::from_secs(n), 1);
    }
    assert!(engine.statistics().timeouts >= 1);
}

#[test]
fn the_caller_is_asked_to_disconnect_a_peer_that_sends_unrequested_blocks() {
    let mut engine = Engine::new(Config { max_unwanted_bytes: 30, ..Config::default() }, 0);
    engine.connected(START, 1, 1);
    (0..4).for_each(|_| send_block(&mut engine, 1, "unwanted"));
    assert!(matches!(outputs(&mut engine)[..], [Output::LeaveAside { peer: 1, .. }]));
}

#[test]
fn if_two_nodes_want_a_block_one_fetches_it_from_the_source_and_the_other_waits() {
    let blocks: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    let wants = |n: &String| Entry::want(cid(n), WantType::Have);
    let asked = [(10, 20), (20, 10)].map(|(own, other)| {
        let mut engine = Engine::new(Config { slots: 100, max_slots: 100, ..Config::default() }, own);
        engine.connected(START, 1, 1);
        engine.connected(START, 2, other);
        // Once the rate of the link is known, all slots may be used.
        engine.want(START, cid("first"), 0).unwrap();
        say_have(&mut engine, 1, cid("first"), true);
        engine.receiving(START + Duration::from_secs(1), 1, 1_000_000);
        send_block(&mut engine, 1, "first");
        blocks.iter().for_each(|n| engine.want(START, cid(n), 0).unwrap());
        engine.received(
            START,
            2,
            Message { wantlist: blocks.iter().map(wants).collect(), ..Message::default() },
        );
        blocks.iter().for_each(|n| say_have(&mut engine, 1, cid(n), true));
        let message = said(&outputs(&mut engine), 1);
        blocks.iter().filter(|n| wants_block(&message, &cid(n))).cloned().collect::<BTreeSet<_>>()
    });
    let [one, other] = &asked;
    assert!(one.is_disjoint(other) && one.len() + other.len() == 40, "{asked:?}");
}

#[test]
fn a_block_that_a_peer_can_no_longer_send_is_requested_from_another() {
    let loses: [fn(&mut Engine<u32>); 2] =
        [|engine| engine.disconnected(START, 1), |engine| say_have(engine, 1, cid("a"), false)];
    for lose in loses {
        let mut engine = engine();
        engine.connected(START, 1, 1);
        engine.connected(START, 2, 2);
        engine.want(START, cid("a"), 0).unwrap();
        say_have(&mut engine, 1, cid("a"), true);
        say_have(&mut engine, 2, cid("a"), true);
        outputs(&mut engine);
        lose(&mut engine);
        assert!(wants_block(&said(&outputs(&mut engine), 2), &cid("a")));
    }
}

#[test]
fn a_block_that_was_not_wanted_is_counted_and_dropped() {
    let mut engine = engine();
    engine.connected(START, 1, 1);
    send_block(&mut engine, 1, "unwanted");
    assert!(outputs(&mut engine).is_empty());
    assert_eq!(engine.statistics().unwanted_blocks, 1);
}

#[test]
fn a_second_copy_that_arrives_while_the_first_is_being_stored_is_unwanted() {
    let mut engine = engine();
    engine.connected(START, 1, 1);
    engine.want(START, cid("a"), 0).unwrap();
    send_block(&mut engine, 1, "a");
    send_block(&mut engine, 1, "a");
    let stores = outputs(&mut engine).iter().filter(|output| matches!(output, Output::Store { .. })).count();
    assert_eq!((stores, engine.statistics().unwanted_blocks), (1, 1));
    engine.stored(START, &cid("a"), 1);
    assert!(outputs(&mut engine).contains(&Output::Satisfied { cid: cid("a") }));
}

#[test]
fn a_block_wanted_twice_is_wanted_until_the_second_cancel() {
    let mut engine = engine();
    engine.connected(START, 1, 1);
    engine.want(START, cid("a"), 0).unwrap();
    engine.want(START, cid("a"), 0).unwrap();
    outputs(&mut engine);
    engine.cancel(START, &cid("a"));
    assert!(outputs(&mut engine).is_empty());
    engine.cancel(START, &cid("a"));
    assert_eq!(said(&outputs(&mut engine), 1).wantlist, [Entry::cancel(cid("a"))]);
}

#[test]
fn own_wants_are_bounded() {
    let mut engine = Engine::<u32>::new(Config { max_wants: 1, ..Config::default() }, 0);
    engine.want(START, cid("a"), 0).unwrap();
    assert_eq!(engine.want(START, cid("a"), 0), Ok(()));
    assert_eq!(engine.want(START, cid("b"), 0), Err(TooManyWants(1)));
}

#[test]
fn after_a_lost_message_all_wants_are_announced_again() {
    let mut engine = engine();
    engine.connected(START, 1, 1);
    engine.want(START, cid("a"), 0).unwrap();
    say_have(&mut engine, 1, cid("a"), true);
    outputs(&mut engine);
    engine.send_failed(START, 1);
    let again = said(&outputs(&mut engine), 1);
    assert!(again.full);
    assert_eq!(again.wantlist, [Entry::want(cid("a"), WantType::Have)]);
}

#[test]
fn a_want_that_nobody_has_is_announced_again() {
    let mut engine = engine();
    engine.connected(START, 1, 1);
    engine.want(START, cid("a"), 0).unwrap();
    outputs(&mut engine);
    let due = START + Config::default().announce_interval;
    assert_eq!(pass(&mut engine, due, 1).wantlist, [Entry::want(cid("a"), WantType::Have)]);
}

#[test]
fn wants_of_peers_are_answered_from_the_store() {
    let mut engine = engine();
    engine.connected(START, 1, 1);
    ask(&mut engine, 1, Entry::want(cid("here"), WantType::Have));
    assert_eq!(engine.poll_output(), Some(Output::LookUp { peer: 1, cids: vec![cid("here")] }));
    engine.looked_up(1, [(cid("here"), Some(4))]);
    assert_eq!(said(&outputs(&mut engine), 1).presences, [Presence { cid: cid("here"), have: true }]);
    ask(&mut engine, 1, Entry::want(cid("not here"), WantType::Block));
    assert_eq!(said(&outputs(&mut engine), 1).presences, [Presence { cid: cid("not here"), have: false }]);
    let silent = Entry { send_dont_have: false, ..Entry::want(cid("nor this"), WantType::Block) };
    ask(&mut engine, 1, silent);
    assert!(said(&outputs(&mut engine), 1).is_empty());
}

#[test]
fn a_block_is_loaded_and_sent_under_the_cid_that_was_asked_for() {
    let mut engine = engine();
    engine.connected(START, 1, 1);
    let v0 = Cid::new_v0(*cid("a").hash()).unwrap();
    ask(&mut engine, 1, Entry::want(v0, WantType::Block));
    engine.poll_output();
    engine.looked_up(1, [(v0, Some(1))]);
    assert_eq!(outputs(&mut engine), [Output::Load { peer: 1, cids: vec![v0] }]);
    engine.loaded(1, vec![Block { cid: v0, data: "a".into() }], &[]);
    assert_eq!(said(&outputs(&mut engine), 1).blocks, [Block { cid: v0, data: "a".into() }]);
    assert_eq!(engine.statistics().blocks_sent, 1);
}

#[test]
fn waiting_wants_are_answered_as_soon_as_the_block_is_stored() {
    let mut engine = engine();
    for peer in 1..=3 {
        engine.connected(START, peer, u64::from(peer));
    }
    let v0 = Cid::new_v0(*cid("a").hash()).unwrap();
    ask(&mut engine, 1, Entry::want(cid("a"), WantType::Have));
    ask(&mut engine, 2, Entry::want(v0, WantType::Block));
    outputs(&mut engine);
    engine.stored(START, &cid("a"), 1);
    let answers = outputs(&mut engine);
    assert_eq!(said(&answers, 1).presences, [Presence { cid: cid("a"), have: true }]);
    assert!(answers.contains(&Output::Load { peer: 2, cids: vec![v0] }));
    assert!(said(&answers, 3).is_empty());
}

#[test]
fn a_cancelled_block_is_not_sent_although_it_was_loaded() {
    let mut engine = engine();
    engine.connected(START, 1, 1);
    ask(&mut engine, 1, Entry::want(cid("a"), WantType::Block));
    engine.poll_output();
    engine.looked_up(1, [(cid("a"), Some(1))]);
    outputs(&mut engine);
    ask(&mut engine, 1, Entry::cancel(cid("a")));
    engine.loaded(1, vec![Block { cid: cid("a"), data: "a".into() }], &[]);
    assert!(outputs(&mut engine).is_empty());
}

#[test]
fn a_block_cancelled_while_the_previous_message_is_under_way_is_not_sent() {
    let mut engine = engine();
    engine.connected(START, 1, 1);
    for name in ["a", "b"] {
        ask(&mut engine, 1, Entry::want(cid(name), WantType::Block));
        engine.poll_output();
        engine.looked_up(1, [(cid(name), Some(1))]);
        assert!(matches!(engine.poll_output(), Some(Output::Load { .. })));
        engine.loaded(1, vec![Block { cid: cid(name), data: name.into() }], &[]);
        // "a" is under way now, and "b" waits until it is sent.
        let _ = engine.poll_output();
    }
    ask(&mut engine, 1, Entry::cancel(cid("b")));
    engine.sent(1);
    assert!(outputs(&mut engine).is_empty());
    assert_eq!(engine.statistics().blocks_sent, 1);
}

#[test]
fn one_message_is_under_way_at_a_time_and_later_entries_are_collected() {
    let mut engine = engine();
    engine.connected(START, 1, 1);
    engine.want(START, cid("a"), 0).unwrap();
    assert!(matches!(engine.poll_output(), Some(Output::Send { peer: 1, .. })));
    engine.want(START, cid("b"), 0).unwrap();
    engine.cancel(START, &cid("b"));
    engine.want(START, cid("c"), 0).unwrap();
    assert_eq!(engine.poll_output(), None);
    engine.sent(1);
    let next = said(&outputs(&mut engine), 1).wantlist;
    assert_eq!(next.len(), 2, "only the latest entry of each block is sent");
    assert!(next.contains(&Entry::cancel(cid("b"))));
}

#[test]
fn wants_of_one_peer_are_bounded() {
    let mut engine = Engine::new(Config { max_peer_wants: 10, ..Config::default() }, 0);
    engine.connected(START, 1u32, 1);
    let wantlist = (0..30).map(|n| Entry::want(cid(&n.to_string()), WantType::Have)).collect();
    engine.received(START, 1, Message { wantlist, ..Message::default() });
    assert!(matches!(engine.poll_output(), Some(Output::LookUp { cids, .. }) if cids.len() == 10));
    assert_eq!(engine.statistics().refused_wants, 20);
}

#[test]
fn a_full_wantlist_replaces_the_one_before() {
    let mut engine = engine();
    engine.connected(START, 1, 1);
    ask(&mut engine, 1, Entry::want(cid("a"), WantType::Have));
    let wantlist = vec![Entry::want(cid("b"), WantType::Have)];
    engine.received(START, 1, Message { full: true, wantlist, ..Message::default() });
    outputs(&mut engine);
    engine.stored(START, &cid("a"), 1);
    engine.stored(START, &cid("b"), 1);
    assert_eq!(said(&outputs(&mut engine), 1).presences, [Presence { cid: cid("b"), have: true }]);
}
