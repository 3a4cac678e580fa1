//! Who asks whom when many want the same.
use std::cmp::Reverse;

use super::rendezvous::score;
use super::tests::*;
use super::*;
use crate::message::{Entry, WantType};

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

#[test]
fn what_spreads_is_given_to_a_few_first() {
    let mut at_once = 0;
    for number in 0..200 {
        let wanted = cid(&number.to_string());
        let mut engine = among(9, &[wanted]);
        say_have(&mut engine, 1, wanted, true);
        if wants_block(&said(&outputs(&mut engine), 1), &wanted) {
            at_once += 1;
        } else {
            assert!(wants_block(&pass(&mut engine, START + Duration::from_secs(1), 1), &wanted));
        }
    }
    // Three of nine that wait, this one among them.
    assert!((45..90).contains(&at_once), "{at_once} of 200");
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

#[test]
fn who_has_nothing_to_do_takes_over_what_another_comes_to_last() {
    for (left, is_helped) in [(4, false), (12, true)] {
        let cids = share_of_another(left, 5);
        let mut engine = among(5, &cids);
        cids.iter().for_each(|cid| say_have(&mut engine, SOURCE, *cid, true));
        let message = pass(&mut engine, START + Duration::from_millis(500), SOURCE);
        let asked: Vec<&Cid> = cids.iter().filter(|cid| wants_block(&message, cid)).collect();
        assert_eq!(asked, cids.last().filter(|_| is_helped).into_iter().collect::<Vec<_>>());
    }
}
