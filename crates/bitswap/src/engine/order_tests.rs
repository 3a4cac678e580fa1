//! The order in which nodes request a block that many of them want.
use std::cmp::Reverse;

use super::rendezvous::score;
use super::tests::*;
use super::*;
use crate::message::{Entry, Presence, WantType};

const SOURCE: u32 = 100;

/// Creates an engine whose peers want the same blocks. The token of each peer is its number; the engine's own is 0.
fn among(wanters: u32, cids: &[Cid]) -> Engine<u32> {
    let mut engine = engine();
    engine.connected(START, SOURCE, u64::from(SOURCE));
    for peer in 1..=wanters {
        engine.connected(START, peer, u64::from(peer));
    }
    for cid in cids {
        engine.want(START, *cid, 0).unwrap();
        (1..=wanters).for_each(|peer| ask(&mut engine, peer, Entry::want(*cid, WantType::Have)));
    }
    outputs(&mut engine);
    engine
}

/// Counts how often in 200 trials this node immediately requests a block that peer 1 has.
///
/// Nine nodes wait for the block, including this one. Peer 1 is known to send `rate` bytes per second.
fn asks_at_once(rate: u64) -> usize {
    let asks = |number: &u32| {
        let wanted = cid(&number.to_string());
        let mut engine = among(9, &[wanted]);
        engine.want(START, cid("before"), 0).unwrap();
        say_have(&mut engine, 1, cid("before"), true);
        engine.receiving(START + Duration::from_secs(1), 1, rate);
        send_block(&mut engine, 1, "before");
        outputs(&mut engine);
        say_have(&mut engine, 1, wanted, true);
        let at_once = wants_block(&said(&outputs(&mut engine), 1), &wanted);
        let later = pass(&mut engine, START + Duration::from_secs(1), 1);
        assert!(at_once || wants_block(&later, &wanted), "{number}");
        at_once
    };
    (0..200).filter(asks).count()
}

#[test]
fn a_spreading_block_is_requested_by_a_few_nodes_first() {
    let at_once = asks_at_once(100_000_000);
    // The expected share is three of nine.
    assert!((45..90).contains(&at_once), "{at_once} of 200");
}

#[test]
fn a_spreading_block_of_a_slow_peer_is_requested_by_one_node_at_a_time() {
    let at_once = asks_at_once(1_000_000);
    // The expected share is one of nine.
    assert!((10..35).contains(&at_once), "{at_once} of 200");
}

/// Returns blocks for which peer 1 ranks first and this node second, in the order in which peer 1 requests them.
fn share_of_another(count: usize, wanters: u32) -> Vec<Cid> {
    let is_second = |cid: &Cid| {
        let mut tokens: Vec<u64> = (0..=u64::from(wanters)).collect();
        tokens.sort_by_key(|token| Reverse(score(*token, cid.hash())));
        tokens.starts_with(&[1, 0])
    };
    let mut cids: Vec<Cid> =
        (0..).map(|number: u32| cid(&number.to_string())).filter(is_second).take(count).collect();
    cids.sort_by_key(|cid| Reverse(score(1, cid.hash())));
    cids
}

/// Creates an engine that has no first fetches of its own, while peer 1 still has to fetch the blocks of `share`.
///
/// Until now, peer 1 and four other peers each got one block every half second.
fn beside_a_slow_one(share: &[Cid]) -> Engine<u32> {
    let before: Vec<Cid> = (0..20).map(|number: u32| cid(&format!("before {number}"))).collect();
    let mut engine = among(5, &[share, &before].concat());
    for (number, cid) in (0..).zip(&before) {
        let presences = vec![Presence { cid: *cid, have: true }];
        let now = START + Duration::from_millis(100) * (number + 1);
        engine.received(now, 1 + number % 5, Message { presences, ..Message::default() });
    }
    share.iter().for_each(|cid| say_have(&mut engine, SOURCE, *cid, true));
    outputs(&mut engine);
    engine
}

#[test]
fn an_idle_node_takes_over_the_block_that_another_would_fetch_last() {
    for (left, is_helped) in [(3, false), (12, true)] {
        let cids = share_of_another(left, 5);
        let mut engine = beside_a_slow_one(&cids);
        let now = START + Duration::from_millis(2000);
        engine.tick(now);
        let message = said(&outputs(&mut engine), SOURCE);
        let asked: Vec<&Cid> = cids.iter().filter(|cid| wants_block(&message, cid)).collect();
        assert_eq!(asked, cids.last().filter(|_| is_helped).into_iter().collect::<Vec<_>>());
    }
}
