//! The order in which peers ask when many want the same block.
use std::cmp::Reverse;

use super::rendezvous::score;
use super::tests::*;
use super::*;
use crate::message::{Entry, Presence, WantType};

const SOURCE: u32 = 100;

/// An engine that others want the same blocks as; their tokens are their names, its own is 0.
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

/// How often, of 200 times, this node asks at once for what peer 1 has and nine wait for, itself among them; peer 1 is known
/// to send so many bytes in a second.
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
fn what_spreads_is_given_to_a_few_first() {
    let at_once = asks_at_once(100_000_000);
    // Three of nine.
    assert!((45..90).contains(&at_once), "{at_once} of 200");
}

#[test]
fn who_sends_slowly_gives_it_to_one_at_a_time() {
    let at_once = asks_at_once(1_000_000);
    // One of nine.
    assert!((10..35).contains(&at_once), "{at_once} of 200");
}

/// Blocks that peer 1 is to fetch first, in the order in which it does, and this node if peer 1 does not.
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

/// An engine that has nothing to fetch first, but peer 1 has these, and got one block in half a second so far, as four others
/// did.
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
fn who_has_nothing_to_do_takes_over_what_another_comes_to_when_all_else_is_fetched() {
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
