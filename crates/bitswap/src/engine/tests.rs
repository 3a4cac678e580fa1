//! The engine in a world of numbers: peers are `u32`, the time goes when a test says so.
use multihash_codetable::{Code, MultihashDigest};

use super::*;
use crate::message::{Entry, Presence, WantType};

const START: Duration = Duration::from_secs(1000);

fn cid(data: &str) -> Cid {
    Cid::new_v1(0x55, Code::Sha2_256.digest(data.as_bytes()))
}

fn engine() -> Engine<u32> {
    Engine::new(Config { slots: 1, ..Config::default() }, 7)
}

/// All that is to be done now; messages are taken as sent, and nothing is found when looked up.
fn outputs(engine: &mut Engine<u32>) -> Vec<Output<u32>> {
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

/// What is said to one peer, of the outputs.
fn said(outputs: &[Output<u32>], to: u32) -> Message {
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

fn say_have(engine: &mut Engine<u32>, peer: u32, cid: Cid, have: bool) {
    let presences = vec![Presence { cid, have }];
    engine.received(START, peer, Message { presences, ..Message::default() });
}

fn send_block(engine: &mut Engine<u32>, peer: u32, data: &str) {
    let blocks = vec![Block { cid: cid(data), data: data.to_owned().into() }];
    engine.received(START, peer, Message { blocks, ..Message::default() });
}

fn ask(engine: &mut Engine<u32>, peer: u32, entry: Entry) {
    engine.received(START, peer, Message { wantlist: vec![entry], ..Message::default() });
}

fn wants_block(message: &Message, wanted: &Cid) -> bool {
    message.wantlist.iter().any(|e| e.cid == *wanted && e.want_type == WantType::Block && !e.cancel)
}

#[test]
fn a_want_is_announced_asked_for_stored_and_over() {
    let mut engine = engine();
    engine.connected(START, 1);
    engine.connected(START, 2);
    engine.want(START, cid("a")).unwrap();
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
    let arrived = outputs(&mut engine);
    assert!(arrived.contains(&Output::Store { peer: 1, cid: cid("a"), data: "a".into() }));
    assert_eq!(said(&arrived, 2).wantlist, [Entry::cancel(cid("a"))]);
    assert!(said(&arrived, 1).is_empty(), "it knows, since it sent the block");
    engine.stored(START, &cid("a"), 1);
    assert!(outputs(&mut engine).contains(&Output::Satisfied { cid: cid("a") }));
    assert_eq!((engine.wants(), engine.next_wake()), (0, None));
}

#[test]
fn a_peer_that_comes_later_is_told_all_wants() {
    let mut engine = engine();
    engine.want(START, cid("a")).unwrap();
    engine.connected(START, 1);
    assert_eq!(said(&outputs(&mut engine), 1).wantlist, [Entry::want(cid("a"), WantType::Have)]);
}

#[test]
fn the_rarest_block_is_asked_for_first() {
    let mut engine = engine();
    for peer in 1..=3 {
        engine.connected(START, peer);
    }
    for data in ["common", "rare"] {
        engine.want(START, cid(data)).unwrap();
    }
    outputs(&mut engine);
    // All slots are busy while peers tell what they have.
    for peer in 1..=3 {
        engine.want(START, cid(&format!("busy {peer}"))).unwrap();
        say_have(&mut engine, peer, cid(&format!("busy {peer}")), true);
    }
    for peer in 1..=3 {
        say_have(&mut engine, peer, cid("common"), true);
    }
    say_have(&mut engine, 1, cid("rare"), true);
    outputs(&mut engine);
    send_block(&mut engine, 1, "busy 1");
    let asked = said(&outputs(&mut engine), 1);
    assert!(wants_block(&asked, &cid("rare")) && !wants_block(&asked, &cid("common")));
}

#[test]
fn equals_are_asked_for_at_random_by_the_seed() {
    let first_choice = |seed| {
        let mut engine = Engine::new(Config { slots: 1, ..Config::default() }, seed);
        engine.connected(START, 1);
        let presences = (0..8).map(|n| Presence { cid: cid(&n.to_string()), have: true }).collect();
        (0..8).for_each(|n| engine.want(START, cid(&n.to_string())).unwrap());
        outputs(&mut engine);
        engine.received(START, 1, Message { presences, ..Message::default() });
        said(&outputs(&mut engine), 1).wantlist
    };
    assert_eq!(first_choice(3), first_choice(3));
    assert!((0..20).any(|seed| first_choice(seed) != first_choice(3)));
}

#[test]
fn no_more_blocks_are_in_flight_than_slots() {
    let mut engine = Engine::new(Config { slots: 2, ..Config::default() }, 0);
    engine.connected(START, 1);
    for data in ["a", "b", "c"] {
        engine.want(START, cid(data)).unwrap();
        say_have(&mut engine, 1, cid(data), true);
    }
    let asked = said(&outputs(&mut engine), 1);
    assert_eq!(["a", "b", "c"].iter().filter(|data| wants_block(&asked, &cid(data))).count(), 2);
}

#[test]
fn a_peer_that_says_have_and_sends_nothing_comes_last() {
    let mut engine = engine();
    engine.connected(START, 1);
    engine.want(START, cid("a")).unwrap();
    say_have(&mut engine, 1, cid("a"), true);
    outputs(&mut engine);
    engine.connected(START, 2);
    say_have(&mut engine, 2, cid("a"), true);
    let due = engine.next_wake().unwrap();
    assert_eq!(due, START + Config::default().block_timeout);
    engine.tick(due);
    assert!(wants_block(&said(&outputs(&mut engine), 2), &cid("a")));
    // The next block that both have is not asked of the liar, though it has a free slot and the other has none.
    engine.want(due, cid("b")).unwrap();
    say_have(&mut engine, 2, cid("b"), true);
    say_have(&mut engine, 1, cid("b"), true);
    assert!(!wants_block(&said(&outputs(&mut engine), 1), &cid("b")));
    assert_eq!(engine.statistics().timeouts, 1);
}

#[test]
fn the_only_source_is_asked_again_after_a_timeout() {
    let mut engine = engine();
    engine.connected(START, 1);
    engine.want(START, cid("a")).unwrap();
    say_have(&mut engine, 1, cid("a"), true);
    outputs(&mut engine);
    engine.tick(engine.next_wake().unwrap());
    assert!(wants_block(&said(&outputs(&mut engine), 1), &cid("a")));
}

#[test]
fn a_slow_peer_that_sends_is_not_timed_out() {
    let mut engine = Engine::new(Config { slots: 2, ..Config::default() }, 0);
    engine.connected(START, 1);
    for data in ["a", "b"] {
        engine.want(START, cid(data)).unwrap();
        say_have(&mut engine, 1, cid(data), true);
    }
    outputs(&mut engine);
    let later = START + Config::default().block_timeout - Duration::from_secs(1);
    let blocks = vec![Block { cid: cid("a"), data: "a".into() }];
    engine.received(later, 1, Message { blocks, ..Message::default() });
    assert_eq!(engine.next_wake(), Some(later + Config::default().block_timeout));
}

#[test]
fn what_a_gone_or_poor_peer_was_asked_for_is_asked_of_another() {
    let loses: [fn(&mut Engine<u32>); 2] =
        [|engine| engine.disconnected(START, 1), |engine| say_have(engine, 1, cid("a"), false)];
    for lose in loses {
        let mut engine = engine();
        engine.connected(START, 1);
        engine.connected(START, 2);
        engine.want(START, cid("a")).unwrap();
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
    engine.connected(START, 1);
    send_block(&mut engine, 1, "unwanted");
    assert!(outputs(&mut engine).is_empty());
    assert_eq!(engine.statistics().unwanted_blocks, 1);
}

#[test]
fn a_second_copy_that_comes_while_the_first_is_being_stored_changes_nothing() {
    let mut engine = engine();
    engine.connected(START, 1);
    engine.want(START, cid("a")).unwrap();
    send_block(&mut engine, 1, "a");
    send_block(&mut engine, 1, "a");
    let stores = outputs(&mut engine).iter().filter(|output| matches!(output, Output::Store { .. })).count();
    assert_eq!((stores, engine.statistics().unwanted_blocks), (1, 1));
    engine.stored(START, &cid("a"), 1);
    assert!(outputs(&mut engine).contains(&Output::Satisfied { cid: cid("a") }));
}

#[test]
fn a_want_of_two_ends_with_the_second_cancel() {
    let mut engine = engine();
    engine.connected(START, 1);
    engine.want(START, cid("a")).unwrap();
    engine.want(START, cid("a")).unwrap();
    outputs(&mut engine);
    engine.cancel(START, &cid("a"));
    assert!(outputs(&mut engine).is_empty());
    engine.cancel(START, &cid("a"));
    assert_eq!(said(&outputs(&mut engine), 1).wantlist, [Entry::cancel(cid("a"))]);
}

#[test]
fn own_wants_are_bounded() {
    let mut engine = Engine::<u32>::new(Config { max_wants: 1, ..Config::default() }, 0);
    engine.want(START, cid("a")).unwrap();
    assert_eq!(engine.want(START, cid("a")), Ok(()));
    assert_eq!(engine.want(START, cid("b")), Err(TooManyWants(1)));
}

#[test]
fn after_a_lost_message_everything_is_said_again() {
    let mut engine = engine();
    engine.connected(START, 1);
    engine.want(START, cid("a")).unwrap();
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
    engine.connected(START, 1);
    engine.want(START, cid("a")).unwrap();
    outputs(&mut engine);
    let due = engine.next_wake().unwrap();
    assert_eq!(due, START + Config::default().announce_interval);
    engine.tick(due);
    assert_eq!(said(&outputs(&mut engine), 1).wantlist, [Entry::want(cid("a"), WantType::Have)]);
}

#[test]
fn wants_of_peers_are_answered_from_the_store() {
    let mut engine = engine();
    engine.connected(START, 1);
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
    engine.connected(START, 1);
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
fn waiting_wants_are_answered_the_moment_the_block_is_stored() {
    let mut engine = engine();
    for peer in 1..=3 {
        engine.connected(START, peer);
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
fn what_is_cancelled_is_not_sent_though_it_was_loaded() {
    let mut engine = engine();
    engine.connected(START, 1);
    ask(&mut engine, 1, Entry::want(cid("a"), WantType::Block));
    engine.poll_output();
    engine.looked_up(1, [(cid("a"), Some(1))]);
    outputs(&mut engine);
    ask(&mut engine, 1, Entry::cancel(cid("a")));
    engine.loaded(1, vec![Block { cid: cid("a"), data: "a".into() }], &[]);
    assert!(outputs(&mut engine).is_empty());
}

#[test]
fn one_message_is_under_way_at_a_time_and_the_next_gathers() {
    let mut engine = engine();
    engine.connected(START, 1);
    engine.want(START, cid("a")).unwrap();
    assert!(matches!(engine.poll_output(), Some(Output::Send { peer: 1, .. })));
    engine.want(START, cid("b")).unwrap();
    engine.cancel(START, &cid("b"));
    engine.want(START, cid("c")).unwrap();
    assert_eq!(engine.poll_output(), None);
    engine.sent(1);
    let next = said(&outputs(&mut engine), 1).wantlist;
    assert_eq!(next.len(), 2, "the last word on each block");
    assert!(next.contains(&Entry::cancel(cid("b"))));
}

#[test]
fn wants_of_one_peer_are_bounded() {
    let mut engine = Engine::new(Config { max_peer_wants: 10, ..Config::default() }, 0);
    engine.connected(START, 1u32);
    let wantlist = (0..30).map(|n| Entry::want(cid(&n.to_string()), WantType::Have)).collect();
    engine.received(START, 1, Message { wantlist, ..Message::default() });
    assert!(matches!(engine.poll_output(), Some(Output::LookUp { cids, .. }) if cids.len() == 10));
    assert_eq!(engine.statistics().refused_wants, 20);
}

#[test]
fn a_full_wantlist_replaces_the_one_before() {
    let mut engine = engine();
    engine.connected(START, 1);
    ask(&mut engine, 1, Entry::want(cid("a"), WantType::Have));
    let wantlist = vec![Entry::want(cid("b"), WantType::Have)];
    engine.received(START, 1, Message { full: true, wantlist, ..Message::default() });
    outputs(&mut engine);
    engine.stored(START, &cid("a"), 1);
    engine.stored(START, &cid("b"), 1);
    assert_eq!(said(&outputs(&mut engine), 1).presences, [Presence { cid: cid("b"), have: true }]);
}
