//! Property tests of the set, over generated histories with many signers, times and orders. Each property is tested in
//! 10,000 cases, or in the number given by `DT_SWARM_CASES`:
//!
//!     DT_SWARM_CASES=1000000 cargo test --release -p dcache --test laws

mod world;

use dcache::{End, Fingerprint, Kind, Limits, Record, Time};
use proptest::prelude::*;
use world::reference::Reference;
use world::{BEGIN, LAST, Replica, Step, any_history, any_record, cases, same_for_all, tight};

/// Generates records, three histories in which replicas receive them in different ways, and the end of the histories.
fn any_histories() -> impl Strategy<Value = (Vec<Record>, [Vec<Step>; 3], u64)> {
    (prop::collection::vec(any_record(), 0..28), 0..LAST).prop_flat_map(|(records, until)| {
        let history = || any_history(records.clone(), until);
        (Just(records.clone()), [history(), history(), history()], Just(until))
    })
}

fn sorted(records: impl IntoIterator<Item = Record>) -> Vec<Record> {
    let mut records: Vec<Record> = records.into_iter().collect();
    records.sort_by_key(Record::id);
    records
}

/// Generates three replicas that received different records.
fn any_replicas(limits: Limits) -> impl Strategy<Value = [Replica; 3]> {
    let histories = (prop::array::uniform3(prop::collection::vec(any_record(), 0..14)), 0..LAST)
        .prop_flat_map(|(records, until)| (records.map(|records| any_history(records, until)), Just(until)));
    histories.prop_map(move |(histories, until)| {
        histories.map(|history| Replica::after(limits.clone(), &history, until))
    })
}

/// Returns the records about roles and denials, to be delivered first, and all other records. Only roots give roles and
/// deny peers. Roles from other peers, and admin roles that begin later, are left out.
///
/// This excludes the two cases that no bounded store can correct by itself. In the first case, a peer becomes a member
/// after some of its records were dropped. In the second case, a peer is denied after its records evicted others. The
/// histories do include roles that end and members that become strangers.
fn roles_first(records: &[Record]) -> (Vec<Record>, Vec<Record>) {
    let bucket = |record: &Record| record.item().bucket.as_str().to_owned();
    let is_root = |record: &Record| (0..world::ROOTS).any(|root| world::peer(root) == record.signer());
    let (about, others): (Vec<Record>, Vec<Record>) = records.iter().cloned().partition(|record| {
        let denies = record.kind() == Kind::Dismiss && bucket(record) == "peer" && is_root(record);
        denies || ["admin", "trusted"].contains(&bucket(record).as_str())
    });
    let gives = |record: &Record| {
        let begins = bucket(record) == "trusted" || record.validity().from().is_none();
        record.kind() == Kind::Dismiss || record.kind() == Kind::Propose && is_root(record) && begins
    };
    // A dismissal by a peer comes after the record that gives this peer its role.
    let (by_roots, by_others): (Vec<Record>, Vec<Record>) =
        about.into_iter().filter(gives).partition(is_root);
    (by_roots.into_iter().chain(by_others).collect(), others)
}

/// Gives both replicas the records that either has, until nothing changes any more, as repair does.
fn exchange(one: &mut Replica, other: &mut Replica) {
    for _ in 0..20 {
        let before = (one.records(), other.records());
        (*one, *other) = (one.merged_with(other), other.merged_with(one));
        if (one.records(), other.records()) == before {
            return;
        }
    }
    panic!("the exchange does not end");
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn replicas_of_the_same_records_have_equal_content_and_answers((_, histories, until) in any_histories()) {
        let [one, two, three] = histories.map(|history| Replica::after(same_for_all(), &history, until));
        prop_assert_eq!(one.records(), two.records());
        prop_assert_eq!(two.records(), three.records());
        prop_assert_eq!(one.answers(), two.answers());
    }

    #[test]
    fn replicas_agree_when_strangers_have_smaller_quotas((records, _, until) in any_histories(), seed in any::<u64>()) {
        let (roles, others) = roles_first(&records);
        let limits = tight();
        let mut turned = others.clone();
        turned.rotate_left((seed as usize) % others.len().max(1));
        let histories = [others.clone(), others.iter().rev().cloned().collect(), turned].map(|others| {
            let steps = roles.iter().chain(&others).enumerate();
            steps.flat_map(|(at, record)| {
                // In each history, the time passes at different steps.
                let time = (at as u64 * until) / (records.len() as u64 + 1);
                [Step::Deliver(record.clone()), Step::Advance(if at < roles.len() { 0 } else { time })]
            }).collect::<Vec<_>>()
        });
        let [one, two, three] = histories.map(|history| Replica::after(limits.clone(), &history, until));
        prop_assert_eq!(one.records(), two.records());
        prop_assert_eq!(two.records(), three.records());
        prop_assert_eq!(one.answers(), three.answers());
    }

    #[test]
    fn merging_commutes_associates_and_is_idempotent([one, two, three] in any_replicas(same_for_all())) {
        let merged = |one: &Replica, other: &Replica| one.merged_with(other);
        prop_assert_eq!(merged(&one, &two).records(), merged(&two, &one).records());
        let (left, right) = (merged(&merged(&one, &two), &three), merged(&one, &merged(&two, &three)));
        prop_assert_eq!(left.records(), right.records());
        prop_assert_eq!(left.answers(), right.answers());
        prop_assert_eq!(merged(&one, &one).records(), one.records());
        prop_assert_eq!(merged(&left, &two).records(), left.records());
    }

    #[test]
    fn replicas_that_exchange_their_records_always_agree([one, two, _] in any_replicas(tight())) {
        let (mut one, mut two) = (one, two);
        exchange(&mut one, &mut two);
        prop_assert_eq!(one.records(), two.records());
        prop_assert_eq!(one.answers(), two.answers());
    }

    #[test]
    fn the_set_agrees_with_the_naive_reference((records, [history, ..], until) in any_histories()) {
        let replica = Replica::after(same_for_all(), &history, until);
        let reference = Reference::new(&records, same_for_all(), BEGIN.plus(until));
        prop_assert_eq!(replica.records(), reference.records());
        prop_assert_eq!(replica.answers(), reference.answers());
        let later = [0, 5, 60].map(|later| replica.now.plus(later));
        // Fingerprints for bounds on the grid are computed from precomputed sums.
        let on_grid = later.map(|bound| Time(bound.0.next_multiple_of(dcache::BOUND_GRID)));
        for bound in later.into_iter().chain(on_grid).map(End::at) {
            let kept: Vec<Record> = reference.records().into_iter().filter(|record| record.keep() > bound).collect();
            prop_assert_eq!(replica.set.fingerprint(bound), kept.iter().fold(Fingerprint::default(), Fingerprint::with));
            prop_assert_eq!(sorted(replica.set.beyond(bound).cloned()), sorted(kept));
        }
    }

    #[test]
    fn the_set_agrees_with_the_reference_when_strangers_have_smaller_quotas((records, _, until) in any_histories()) {
        let (roles, others) = roles_first(&records);
        let seen: Vec<Record> = roles.into_iter().chain(others).collect();
        let history: Vec<Step> = seen.iter().cloned().map(Step::Deliver).collect();
        let replica = Replica::after(tight(), &history, until);
        let reference = Reference::new(&seen, tight(), BEGIN.plus(until));
        prop_assert_eq!(replica.records(), reference.records());
        prop_assert_eq!(replica.answers(), reference.answers());
    }

    #[test]
    fn a_set_restored_from_the_disk_equals_the_set_before([one, ..] in any_replicas(same_for_all())) {
        let mut again = Replica { now: one.now, ..Replica::new(same_for_all()) };
        let mut records = one.records();
        records.reverse();
        let dropped = again.set.restore(records, dcache::Moment::certain(one.now));
        prop_assert_eq!(dropped, []);
        prop_assert_eq!(again.records(), one.records());
        prop_assert_eq!(again.answers(), one.answers());
    }
}
