//! The laws of the set, over generated histories with many signers, times and orders: 10,000 cases each, or as many as
//! `DT_SWARM_CASES` says:
//!
//!     DT_SWARM_CASES=1000000 cargo test --release -p dcache --test laws

mod world;

use dcache::{End, Fingerprint, Kind, Limits, Record, Time};
use proptest::prelude::*;
use world::reference::Reference;
use world::{BEGIN, LAST, Replica, Step, any_history, any_record, cases, same_for_all, tight};

/// The same records, seen by three replicas in different ways; and when the histories end.
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

/// Three replicas that saw different records.
fn any_replicas(limits: Limits) -> impl Strategy<Value = [Replica; 3]> {
    let histories = (prop::array::uniform3(prop::collection::vec(any_record(), 0..14)), 0..LAST)
        .prop_flat_map(|(records, until)| (records.map(|records| any_history(records, until)), Just(until)));
    histories.prop_map(move |(histories, until)| {
        histories.map(|history| Replica::after(limits.clone(), &history, until))
    })
}

/// With the records that give roles and deny peers coming first, by roots alone, and no admin that begins to be one later: no
/// peer becomes a member late, after some of its records were dropped, and none is denied late, after its records drove out
/// others (the two things that no bounded store can mend by itself). Roles do end, and members become strangers.
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
    (about.into_iter().filter(gives).collect(), others)
}

/// Gives both everything that either has, until that changes nothing: what repair does.
fn exchange(one: &mut Replica, other: &mut Replica) {
    for _ in 0..20 {
        let before = (one.records(), other.records());
        (*one, *other) = (one.merged_with(other), other.merged_with(one));
        if (one.records(), other.records()) == before {
            return;
        }
    }
    panic!("an exchange that never ends");
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn replicas_that_saw_the_same_hold_the_same_and_answer_alike((_, histories, until) in any_histories()) {
        let [one, two, three] = histories.map(|history| Replica::after(same_for_all(), &history, until));
        prop_assert_eq!(one.records(), two.records());
        prop_assert_eq!(two.records(), three.records());
        prop_assert_eq!(one.answers(), two.answers());
    }

    #[test]
    fn so_they_do_when_strangers_have_less_room((records, _, until) in any_histories(), seed in any::<u64>()) {
        let (roles, others) = roles_first(&records);
        let limits = tight();
        let mut turned = others.clone();
        turned.rotate_left((seed as usize) % others.len().max(1));
        let histories = [others.clone(), others.iter().rev().cloned().collect(), turned].map(|others| {
            let steps = roles.iter().chain(&others).enumerate();
            steps.flat_map(|(at, record)| {
                // Time passes at different places in each.
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
    fn whatever_happens_those_who_exchange_what_they_hold_agree([one, two, _] in any_replicas(tight())) {
        let (mut one, mut two) = (one, two);
        exchange(&mut one, &mut two);
        prop_assert_eq!(one.records(), two.records());
        prop_assert_eq!(one.answers(), two.answers());
    }

    #[test]
    fn the_set_agrees_with_a_list_of_all_records_read_by_definition((records, [history, ..], until) in any_histories()) {
        let replica = Replica::after(same_for_all(), &history, until);
        let reference = Reference::new(&records, same_for_all(), BEGIN.plus(until));
        prop_assert_eq!(replica.records(), reference.records());
        prop_assert_eq!(replica.answers(), reference.answers());
        let later = [0, 5, 60].map(|later| replica.now.plus(later));
        // Those on the grid are answered from sums.
        let on_grid = later.map(|bound| Time(bound.0.next_multiple_of(dcache::BOUND_GRID)));
        for bound in later.into_iter().chain(on_grid).map(End::at) {
            let kept: Vec<Record> = reference.records().into_iter().filter(|record| record.keep() > bound).collect();
            prop_assert_eq!(replica.set.fingerprint(bound), kept.iter().fold(Fingerprint::default(), Fingerprint::with));
            prop_assert_eq!(sorted(replica.set.beyond(bound).cloned()), sorted(kept));
        }
    }

    #[test]
    fn so_it_does_when_strangers_have_less_room((records, _, until) in any_histories()) {
        let (roles, others) = roles_first(&records);
        let seen: Vec<Record> = roles.into_iter().chain(others).collect();
        let history: Vec<Step> = seen.iter().cloned().map(Step::Deliver).collect();
        let replica = Replica::after(tight(), &history, until);
        let reference = Reference::new(&seen, tight(), BEGIN.plus(until));
        prop_assert_eq!(replica.records(), reference.records());
        prop_assert_eq!(replica.answers(), reference.answers());
    }

    #[test]
    fn what_comes_back_from_the_disk_is_what_was_there([one, ..] in any_replicas(same_for_all())) {
        let mut again = Replica { now: one.now, ..Replica::new(same_for_all()) };
        let mut records = one.records();
        records.reverse();
        let dropped = again.set.restore(records, dcache::Moment::certain(one.now));
        prop_assert_eq!(dropped, []);
        prop_assert_eq!(again.records(), one.records());
        prop_assert_eq!(again.answers(), one.answers());
    }
}
