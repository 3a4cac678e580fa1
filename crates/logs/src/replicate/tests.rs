use super::*;
use crate::catalog::format::tests::{entry, numbered};
use crate::catalog::known::{CatalogVersion, Precedence};
use crate::catalog::stated::{StatedCatalog, tests::state};
use crate::index::index;
use crate::index::tests::{NOW, cid, claim_and_discard, description, peer, publish, say};
use dcache::Kind;

/// Returns the steps of peer `seed`. `is_kept` tells whether it keeps the file of peer 1.
fn steps(set: &Set, seed: u8, is_kept: bool, now: Time) -> Vec<Step> {
    let kept = is_kept.then(|| (cid(), description(1, "a.bag"))).into_iter().collect();
    let rules = Rules::new(set, peer(seed), (false, false), now);
    plan(&index(set, now), &kept, &rules).into_iter().map(|(_, step)| step).collect()
}

fn describe(set: &mut Set) {
    let data = description(1, "a.bag").to_data().unwrap();
    say(set, 1, Kind::Propose, Item { bucket: buckets::info(&cid()), data }, LIFETIME);
}

#[test]
fn a_file_is_taken_verified_and_kept() {
    let mut set = Set::default();
    assert!(steps(&set, 2, false, NOW).is_empty());
    say(&mut set, 1, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
    assert_eq!(steps(&set, 1, true, NOW), [Step::Describe], "the uploader waits for other peers");
    describe(&mut set);
    assert_eq!(steps(&set, 2, false, NOW), [Step::Take]);
    assert_eq!(steps(&set, 2, true, NOW), [Step::Keep], "a holder need not state that the file is good");
    say(&mut set, 2, Kind::Propose, Station::Verified.item(&cid()), LIFETIME);
    for seed in [1, 2, 3] {
        assert_eq!(steps(&set, seed, true, NOW), [Step::Keep]);
    }
    say(&mut set, 2, Kind::Propose, Station::Safe.item(&cid()), LIFETIME);
    assert!(steps(&set, 2, true, NOW).is_empty());
    assert_eq!(steps(&set, 2, true, NOW.plus(LIFETIME / 2)), [Step::Keep], "half of the lifetime is over");
    assert_eq!(steps(&set, 3, false, NOW), [Step::Take], "new peers keep it too");
}

#[test]
fn a_file_whose_holders_cannot_be_reached_yet_waits() {
    let mut set = Set::default();
    say(&mut set, 1, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
    let file = index(&set, NOW).remove(&cid()).unwrap();
    assert!(!is_in_reach(&file, peer(2), false));
    assert!(is_in_reach(&file, peer(2), true));
    assert!(is_in_reach(&file, peer(1), false), "this node's own blocks may still be on its disk");
}

#[test]
fn no_peer_verifies_a_file_that_its_uploader_did_not_propose() {
    let mut set = Set::default();
    describe(&mut set);
    say(&mut set, 9, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
    assert!(steps(&set, 2, true, NOW).is_empty());
}

/// Returns the set of a swarm whose root is this peer.
fn with_root(seed: u8) -> Set {
    let policy = dcache::Policy::new([peer(seed)].into(), Vec::new(), std::num::NonZeroU8::MIN);
    Set::new(policy, dcache::Limits::default())
}

#[test]
fn a_file_that_a_role_discarded_is_unpinned_and_no_longer_shared_by_its_uploader() {
    let mut set = with_root(2);
    describe(&mut set);
    say(&mut set, 2, Kind::Propose, Station::Discard.item(&cid()), LIFETIME);
    assert_eq!(steps(&set, 3, true, NOW), [Step::Drop]);
    assert!(steps(&set, 3, false, NOW).is_empty());
    assert_eq!(steps(&set, 1, true, NOW), [Step::Withdraw]);
}

#[test]
fn a_stranger_that_claims_to_be_the_uploader_makes_nobody_drop_or_withdraw_a_file() {
    for mut set in [with_root(2), Set::default()] {
        let has_roles = !set.policy().roots().is_empty();
        say(&mut set, 1, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
        describe(&mut set);
        claim_and_discard(&mut set, &[7, 8, 9]);
        for (seed, is_kept) in [(1, true), (2, true), (3, true)] {
            let steps = steps(&set, seed, is_kept, NOW);
            assert!(
                !steps.contains(&Step::Drop) && !steps.contains(&Step::Withdraw),
                "{has_roles} {steps:?}"
            );
        }
        assert_eq!(
            steps(&set, 4, false, NOW),
            [Step::Take],
            "a newcomer learns the uploader from the content"
        );
        assert!(
            !actions(&set, 3).iter().any(|action| matches!(action, Action::Drop(_) | Action::Withdraw(_)))
        );
        // The claim has no effect on the discard of the true uploader, which the holders know.
        say(&mut set, 1, Kind::Propose, Station::Discard.item(&cid()), LIFETIME);
        assert!(actions(&set, 3).contains(&Action::Drop(cid())));
    }
}

/// Returns the actions of peer `seed`, which keeps the file of peer 1.
fn actions(set: &Set, seed: u8) -> Vec<Action> {
    let mut replication = Replication::new(peer(seed));
    replication.set_kept([(cid(), description(1, "a.bag"))].into());
    replication.decide(set, Moment::certain(NOW)).actions
}

#[test]
fn without_roles_a_stranger_cannot_make_a_peer_drop_a_file_that_it_found_good() {
    let mut set = Set::default();
    say(&mut set, 1, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
    describe(&mut set);
    for seed in [1, 2, 3] {
        say(&mut set, seed, Kind::Propose, Station::Safe.item(&cid()), LIFETIME);
    }
    say(&mut set, 9, Kind::Propose, Station::Discard.item(&cid()), LIFETIME);
    for station in [Station::Files, Station::Verified, Station::Safe] {
        say(&mut set, 9, Kind::Dismiss, station.item(&cid()), LIFETIME);
    }
    let file = index(&set, NOW).remove(&cid()).unwrap();
    assert_eq!(file.state, State::Discarded);
    assert_eq!(
        file.discarders.into_keys().collect::<Vec<_>>(),
        [peer(9)],
        "a report names the peer that discarded it"
    );
    for seed in [1, 2, 3] {
        assert_eq!(actions(&set, seed), [], "peer {seed}");
    }
    // A discard by the uploader counts.
    say(&mut set, 1, Kind::Propose, Station::Discard.item(&cid()), LIFETIME);
    assert_eq!([2, 3].map(|seed| actions(&set, seed)), [[Action::Drop(cid())], [Action::Drop(cid())]]);
}

#[test]
fn an_uploader_without_a_role_withdraws_its_file_in_a_swarm_with_roles_too() {
    let mut set = with_root(2);
    say(&mut set, 1, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
    say(&mut set, 2, Kind::Propose, Station::Safe.item(&cid()), LIFETIME);
    assert_eq!(actions(&set, 2), []);
    say(&mut set, 9, Kind::Propose, Station::Discard.item(&cid()), LIFETIME);
    assert_eq!(actions(&set, 2), [], "another peer without a role cannot discard it");
    say(&mut set, 1, Kind::Propose, Station::Discard.item(&cid()), LIFETIME);
    assert_eq!(actions(&set, 2), [Action::Drop(cid())]);
}

/// Decides and publishes once a second for 100 seconds, for peer 1, which shares the file, and peer 2, which keeps it.
/// After ten seconds, peer 9 dismisses the file from the buckets `dismissed`. Returns the number of records of peers 1
/// and 2.
fn records_made(dismissed: &[Station]) -> usize {
    let (mut set, mut made) = (Set::default(), 0);
    let mut proposal = crate::Proposal::new(peer(1));
    proposal.set_own([cid()].into());
    let mut replications = [1, 2].map(|seed| (seed, Replication::new(peer(seed))));
    for (_, replication) in &mut replications {
        replication.set_kept([(cid(), description(1, "a.bag"))].into());
    }
    for second in 0..100 {
        let now = Moment::certain(NOW.plus(second));
        for station in dismissed.iter().filter(|_| second == 10) {
            say(&mut set, 9, Kind::Dismiss, station.item(&cid()), LIFETIME);
        }
        for (seed, replication) in &mut replications {
            let mut statements = replication.decide(&set, now).statements;
            if *seed == 1 {
                statements.append(proposal.decide(&set, now).statements);
            }
            statements.keep_worthwhile(&set, peer(*seed), now);
            for statement in statements.into_signable().unwrap() {
                say(&mut set, *seed, statement.kind(), statement.item().clone(), LIFETIME);
                made += 1;
            }
        }
    }
    made
}

#[test]
fn a_dismissal_does_not_make_other_peers_state_a_file_again_and_again() {
    assert_eq!(records_made(&[]), 6, "one in files, two each in info and safe, and one dismissal from files");
    assert!(records_made(&[Station::Safe]) <= 8);
    assert!(records_made(&[Station::Files, Station::Verified, Station::Safe]) <= 8);
}

#[test]
fn a_role_corrects_a_wrong_description_of_a_file_that_it_keeps() {
    let mut set = with_root(2);
    say(&mut set, 8, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
    let data = description(8, "lie.bag").to_data().unwrap();
    say(&mut set, 8, Kind::Propose, Item { bucket: buckets::info(&cid()), data }, LIFETIME);
    say(&mut set, 2, Kind::Propose, Station::Safe.item(&cid()), LIFETIME);
    assert_eq!(steps(&set, 2, true, NOW), [Step::Describe]);
    assert_eq!(steps(&set, 3, true, NOW), [Step::Keep], "a peer without a role does not");
}

#[test]
fn a_node_dismisses_only_its_own_entry_from_the_earlier_bucket() {
    let mut set = Set::default();
    for seed in [2, 3] {
        say(&mut set, seed, Kind::Propose, Station::Verified.item(&cid()), LIFETIME);
    }
    let file = index(&set, NOW).remove(&cid()).unwrap();
    let stated = |seed| {
        let rules = Rules::new(&set, peer(seed), (false, false), NOW);
        statements(Step::Keep, &file, &description(1, "a.bag"), &rules)
    };
    let mut expected = Statements::new();
    expected.propose(Station::Safe.item(&cid()), Validity::stated(NOW, LIFETIME));
    assert_eq!(stated(4), expected, "each further holder makes one record");
    expected.dismiss(Station::Verified.item(&cid()), Validity::stated(NOW, LIFETIME));
    assert_eq!(stated(2), expected);
}

#[test]
fn a_peer_that_may_not_state_that_it_keeps_a_file_states_that_it_is_good() {
    let root = dcache::Keypair::from_seed([9; 32]).peer_id();
    let policy = dcache::Policy::new([root].into(), Vec::new(), std::num::NonZeroU8::MIN);
    let mut set = Set::new(policy, dcache::Limits::default());
    describe(&mut set);
    say(&mut set, 1, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
    assert_eq!(steps(&set, 2, true, NOW), [Step::Verify]);
    assert_eq!(steps(&set, 9, true, NOW), [Step::Keep]);
}

#[test]
fn other_peers_describe_a_file_only_when_its_description_expires() {
    let mut set = Set::default();
    describe(&mut set);
    say(&mut set, 1, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
    say(&mut set, 3, Kind::Propose, Station::Safe.item(&cid()), LIFETIME);
    let later = |quarters: u64| NOW.plus(LIFETIME / 4 * quarters);
    assert!(!steps(&set, 2, true, later(2)).contains(&Step::Describe));
    assert!(steps(&set, 1, true, later(2)).contains(&Step::Describe));
    assert!(steps(&set, 2, true, later(3)).contains(&Step::Describe));
}

#[test]
fn a_decision_takes_new_files_and_rejects_a_bad_one_once() {
    let mut set = Set::default();
    say(&mut set, 1, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
    let mut replication = Replication::new(peer(2));
    let now = Moment::certain(NOW);
    let decision = replication.decide(&set, now);
    assert!(matches!(&decision.actions[..], [Action::Take { file, .. }] if file.cid == cid()));
    assert_eq!(decision.wake, Some(NOW.plus(LIFETIME)), "the record expires then");
    replication.reject(cid(), "its size is wrong".to_owned());
    let mut decision = replication.decide(&set, now);
    assert!(decision.actions.is_empty() && !decision.statements.is_empty());
    let mut told = set.clone();
    publish(&mut told, 2, std::mem::take(&mut decision.statements), NOW);
    let reasons = crate::reasons::reasons(&told, &cid(), NOW.plus(1));
    assert_eq!(reasons[&peer(2)], "its size is wrong");
    assert_eq!(
        replication.decide(&set, now).actions.len(),
        1,
        "without the right to discard the file, it is fetched again"
    );
}

#[test]
fn a_wanted_file_is_fetched_wherever_it_is_in_a_large_catalogue() {
    let stated = StatedCatalog { root: numbered(9999), files: 2000, bytes: 9 };
    let mut set = Set::default();
    state(&mut set, 2, Some(stated), NOW);
    let entries = (0..2000).map(|number| (numbered(number), entry(number))).collect();
    let version = CatalogVersion { root: stated.root, sequence: 1 };
    let catalogs = Catalogs::default().with(peer(2), version, Precedence::Member, entries).unwrap();
    let wanted = catalogs.rarest(peer(2))[1500];
    let mut replication = Replication::new(peer(1));
    replication.set_catalogs(Arc::new(catalogs), Arc::default());
    let mut is_fetched = |wanted_files: &[Cid]| {
        replication.set_wanted(wanted_files.iter().copied().collect());
        let actions = replication.decide(&set, Moment::certain(NOW)).actions;
        actions.iter().any(|action| matches!(action, Action::Take { file, .. } if file.cid == wanted))
    };
    assert!(!is_fetched(&[]), "a decision considers a part of the catalogue");
    assert!(is_fetched(&[wanted]));
}
