//! Tests of the decisions of a node to which strangers list many files.

use super::outlook::MAX_FILES;
use super::*;
use crate::index::tests::{NOW, cid, description, peer, say};
use dcache::{End, Keypair, Kind, Limits, Record, Statement};

/// Returns the CID of the file with this number. CIDs of other seeds differ.
fn numbered(seed: u8, number: u64) -> Cid {
    let mut bytes = cid().to_bytes();
    let end = bytes.len() - 8;
    bytes[end - 1] = seed;
    bytes[end..].copy_from_slice(&number.to_be_bytes());
    Cid::try_from(bytes.as_slice()).unwrap()
}

/// Makes these peers list `many` files each, which nobody holds.
fn flood(set: &mut Set, seeds: impl Iterator<Item = u8>, many: u64) {
    for seed in seeds {
        let key = Keypair::from_seed([seed; 32]);
        for number in 0..many {
            let item = Station::Files.item(&numbered(seed, number));
            let statement = Statement::new(Kind::Propose, item, Validity::starting(NOW, LIFETIME)).unwrap();
            let record = Record::sign(statement, &key, number + 1, End::default());
            let _ = set.admit_verified(record, NOW);
        }
    }
}

fn takes(decision: &Decision<Action>) -> BTreeSet<Cid> {
    let taken = decision.actions.iter().filter_map(|action| match action {
        Action::Take { file, .. } => Some(file.cid),
        _ => None,
    });
    taken.collect()
}

#[test]
fn a_decision_considers_a_bounded_number_of_files_and_some_of_each_signer() {
    let mut set = Set::new(dcache::Policy::default(), Limits { stranger: 300, ..Limits::default() });
    flood(&mut set, 10..15, 300);
    // The honest peer lists fewer files, and later.
    flood(&mut set, 3..4, 20);
    let decision = Replication::new(peer(2)).decide(&set, Moment::certain(NOW));
    let taken = takes(&decision);
    assert!(taken.len() <= MAX_FILES.strangers);
    let files = Replication::new(peer(2)).outlook(&set, NOW).0;
    assert_eq!(files.len(), MAX_FILES.strangers);
    assert!(
        (0..20).all(|number| files.contains_key(&numbered(3, number))),
        "no file of the honest peer is displaced"
    );
    let share = |seed| (0..300).filter(|number| files.contains_key(&numbered(seed, *number))).count();
    // Five strangers share what the honest peer leaves.
    let each = (MAX_FILES.strangers - 20) / 5;
    assert!((10..15).all(|seed| (each..=each + 1).contains(&share(seed))));
}

#[test]
fn the_files_of_the_node_itself_are_considered_beside_any_number_of_others() {
    let mut set = Set::new(dcache::Policy::default(), Limits { stranger: 1200, ..Limits::default() });
    flood(&mut set, 10..12, 1200);
    let (kept, mine, tried) = (numbered(3, 1), numbered(2, 1), numbered(3, 2));
    for cid in [kept, tried] {
        say(&mut set, 3, Kind::Propose, Station::Files.item(&cid), 50);
    }
    say(&mut set, 2, Kind::Propose, Station::Safe.item(&mine), LIFETIME);
    let mut replication = Replication::new(peer(2));
    replication.set_kept([(kept, description(3, "a.bag"))].into());
    replication.set_tried([tried].into());
    let (files, edge) = replication.outlook(&set, NOW);
    assert_eq!(files.len(), MAX_FILES.strangers + 3);
    assert!([kept, mine, tried].iter().all(|cid| files.contains_key(cid)));
    assert_eq!(edge, Some(NOW.plus(50)), "the decider is woken when a statement about a file ends");
}

#[test]
fn other_files_take_their_turn_when_the_first_ones_are_kept_tried_or_discarded() {
    let mut set = Set::new(dcache::Policy::default(), Limits { stranger: 2000, ..Limits::default() });
    flood(&mut set, 10..11, 1600);
    let mut replication = Replication::new(peer(2));
    let first: Vec<Cid> = replication.outlook(&set, NOW).0.into_keys().collect();
    replication.set_tried(first[..50].iter().copied().collect());
    replication.set_kept(first[50..100].iter().map(|cid| (*cid, description(10, "a.bag"))).collect());
    for cid in &first[100..150] {
        say(&mut set, 11, Kind::Propose, Station::Discard.item(cid), LIFETIME);
    }
    let files = replication.outlook(&set, NOW).0;
    let new = files.keys().filter(|cid| !first.contains(cid)).count();
    assert_eq!((files.len(), new), (MAX_FILES.strangers + 100, 150));
}

#[test]
fn the_files_of_members_are_considered_before_those_of_strangers() {
    let policy = dcache::Policy::new([peer(1)].into(), Vec::new(), std::num::NonZeroU8::MIN);
    let limits = Limits { stranger: 1200, ..Limits::of(&policy) };
    let mut set = Set::new(policy, limits);
    flood(&mut set, 10..12, 1200);
    flood(&mut set, 1..2, 500);
    let files = Replication::new(peer(2)).outlook(&set, NOW).0;
    assert!((0..500).all(|number| files.contains_key(&numbered(1, number))));
    assert_eq!(files.len(), 500 + MAX_FILES.strangers);
}

#[test]
fn more_signers_than_files_take_turns_over_time() {
    let at = |seed, time| super::outlook::start(peer(seed), time) % 5000;
    assert_eq!(at(1, NOW), at(1, NOW.plus(1)));
    assert_ne!(at(1, NOW), at(2, NOW));
    assert_ne!(at(1, NOW), at(1, NOW.plus(3600)));
}
