//! The part of the decider about files that this node let go of or falsely claims to keep.

use super::{Action, Replication};
use crate::index::{SharedFile, State, describes_as_own};
use crate::let_go::{LetGo, MAX_ROWS, Reason, forgettable};
use crate::reasons::give as give_reason;
use crate::removal::{claims, defenders, discard, renewal, retract, step_back};
use dcache::{Moment, Set, Time};
use ipfs::Cid;
use service::Decision;
use std::collections::{BTreeMap, BTreeSet};

impl Replication {
    /// Decides the statements and actions about files that this node lost or let go of.
    pub(super) fn let_go(
        &mut self,
        set: &Set,
        files: &BTreeMap<Cid, SharedFile>,
        now: Moment,
    ) -> Decision<Action> {
        let false_claims = self.false_claims(set, files, now.time);
        self.lost.extend(false_claims);
        let mut decision = Decision::default();
        self.lost.retain(|cid| {
            let statements = retract(set, cid, self.me, now.time);
            let is_left = !statements.is_empty();
            decision.statements.append(statements);
            is_left
        });
        let (mut taken_back, has_roles) = (self.forgotten(files, now), !set.policy().roots().is_empty());
        for (cid, row) in &self.let_go {
            // A discard by the uploader is valid even when other peers undid it.
            let is_own = || describes_as_own(set, cid, self.me, now.time);
            match row.reason {
                Reason::Discarded if defenders(set, cid, self.me, now.time).is_empty() || is_own() => {
                    decision.statements.append(discard(set, cid, self.me, now.time));
                    give_reason(&mut decision.statements, (set, self.me), cid, None, now.time);
                    decision.wake = earlier(decision.wake, renewal(set, cid, self.me));
                }
                Reason::Discarded => {
                    decision.statements.append(step_back(set, cid, self.me, now.time));
                    taken_back.insert(*cid);
                }
                // Without roles, no other peer decides about the folder of this node.
                Reason::Withdrawn if !has_roles || is_good(files.get(cid)) => {
                    taken_back.insert(*cid);
                }
                Reason::Deleted | Reason::Unpinned | Reason::Withdrawn => {}
            }
        }
        if !taken_back.is_empty() {
            decision.actions.push(Action::TakeBack(taken_back.into_iter().collect()));
        }
        self.is_begun = true;
        decision
    }

    /// Returns the files that this node's key claims to keep but that this node does not keep. Such claims were made
    /// before the node lost its data, or are made at any time by a copy of its SD card. Each file is returned only once
    /// until it is kept again. Otherwise two robots with the same key would retract each other's statements without end.
    fn false_claims(&mut self, set: &Set, files: &BTreeMap<Cid, SharedFile>, now: Time) -> BTreeSet<Cid> {
        let held = files.values().filter(|file| file.holders.contains_key(&self.me)).map(|file| file.cid);
        // Older versions of own files are withdrawn by other statements.
        let mut claimed: BTreeSet<Cid> = held.filter(|cid| !self.is_replaced(cid)).collect();
        if !self.is_begun {
            claimed.extend(files.keys().filter(|cid| claims(set, cid, self.me, now)));
        }
        self.retracted.retain(|cid| !self.kept.contains_key(cid));
        if self.retracted.len() > MAX_ROWS {
            self.retracted.clear();
        }
        claimed.retain(|cid| !self.kept.contains_key(cid) && !self.retracted.contains(cid));
        self.retracted.extend(&claimed);
        if !self.is_begun {
            claimed.extend(self.let_go.keys().filter(|cid| !self.kept.contains_key(*cid)));
        }
        claimed
    }

    /// Returns the rows to forget. Rows become old so rarely that one check per start is enough, unless the table is
    /// too long.
    fn forgotten(&self, files: &BTreeMap<Cid, SharedFile>, now: Moment) -> BTreeSet<Cid> {
        if self.is_begun && self.let_go.len() <= MAX_ROWS {
            return BTreeSet::new();
        }
        let is_stated = |cid: &Cid| files.get(cid).is_some_and(|file| file.state != State::Discarded);
        forgettable(&self.let_go, is_stated, now)
    }

    /// Returns whether this node let go of a file, so that it must not fetch it.
    pub(super) fn is_let_go(&self, cid: &Cid) -> bool {
        self.let_go.contains_key(cid)
    }

    /// Replaces the list of files that this node let go of.
    pub fn set_let_go(&mut self, let_go: BTreeMap<Cid, LetGo>) {
        self.let_go = let_go;
    }
}

fn is_good(file: Option<&SharedFile>) -> bool {
    file.is_some_and(|file| matches!(file.state, State::Verified | State::Safe))
}

fn earlier(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buckets::{self, LIFETIME, Station};
    use crate::index::index;
    use crate::index::tests::{NOW, cid, description, peer, say};
    use crate::let_go::LetGoFiles;
    use dcache::{Item, Keypair, Kind, Limits, Policy, Record, Statement, Statements};
    use service::Decide as _;
    use std::num::NonZeroU8;

    /// Returns the decider of peer `seed`. `is_kept` tells whether it keeps the file of peer 1.
    fn decider(seed: u8, is_kept: bool) -> Replication {
        let mut replication = Replication::new(peer(seed));
        replication.set_kept(is_kept.then(|| (cid(), description(1, "a.bag"))).into_iter().collect());
        replication
    }

    fn safe_with(seeds: &[u8]) -> Set {
        let mut set = Set::default();
        let data = description(1, "a.bag").to_data().unwrap();
        say(&mut set, 1, Kind::Propose, Item { bucket: buckets::info(&cid()), data }, LIFETIME);
        say(&mut set, 1, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
        for seed in seeds {
            say(&mut set, *seed, Kind::Propose, Station::Safe.item(&cid()), LIFETIME);
        }
        set
    }

    /// Returns the statement that retracts the claim in `share/safe`.
    fn taken_back() -> Statements {
        let mut statements = Statements::new();
        statements.propose(Station::Safe.item(&cid()), dcache::Validity::over(NOW));
        statements
    }

    #[test]
    fn a_peer_that_lost_a_file_retracts_only_its_own_statement() {
        let mut set = safe_with(&[1, 2]);
        let mut replication = decider(2, true);
        replication.lose(BTreeSet::from([cid()]));
        for _ in 0..2 {
            assert_eq!(replication.decide(&set, Moment::certain(NOW)).statements, taken_back());
            replication.set_kept(BTreeMap::new());
        }
        let (item, signer) = (Station::Safe.item(&cid()), peer(2));
        let former = set.get(&dcache::Key { item: item.clone(), signer }).unwrap().keep();
        let moment = Statement::new(Kind::Propose, item, dcache::Validity::over(NOW)).unwrap();
        let record = Record::sign(moment, &Keypair::from_seed([2; 32]), 9, former);
        set.admit_verified(record, NOW).unwrap();
        let decision = replication.decide(&set, Moment::certain(NOW));
        assert!(decision.statements.is_empty(), "the statement is already published");
        let later = index(&set, NOW).remove(&cid()).unwrap();
        assert_eq!(
            (later.state, later.holders.into_keys().collect::<Vec<_>>()),
            (State::Safe, vec![peer(1)])
        );
    }

    #[test]
    fn a_claim_from_before_the_data_of_the_node_was_lost_is_retracted_at_the_start() {
        let set = safe_with(&[2, 3]);
        assert_eq!(decider(2, false).decide(&set, Moment::certain(NOW)).statements, taken_back());
        assert!(decider(2, true).decide(&set, Moment::certain(NOW)).statements.is_empty());
        assert!(decider(4, false).decide(&set, Moment::certain(NOW)).statements.is_empty());
    }

    /// Signs a statement about the file in `share/safe` with the key of peer 2.
    fn claim(set: &mut Set, sequence: u64, validity: dcache::Validity) {
        let item = Station::Safe.item(&cid());
        let former = set.get(&dcache::Key { item: item.clone(), signer: peer(2) }).map(Record::keep);
        let statement = Statement::new(Kind::Propose, item, validity).unwrap();
        let key = Keypair::from_seed([2; 32]);
        let record = Record::sign(statement, &key, sequence, former.unwrap_or_default());
        set.admit_verified(record, NOW).unwrap();
    }

    #[test]
    fn a_claim_by_a_copy_of_the_sd_card_that_arrives_later_is_retracted_once() {
        let mut set = safe_with(&[3]);
        let mut replication = decider(2, false);
        replication.set_let_go(let_go(Reason::Deleted));
        let mut stated = |set: &Set| replication.decide(set, Moment::certain(NOW)).statements;
        assert!(stated(&set).is_empty());
        claim(&mut set, 50, dcache::Validity::stated(NOW, LIFETIME));
        assert_eq!(stated(&set), taken_back(), "the claim arrives after the start");
        claim(&mut set, 51, dcache::Validity::over(NOW));
        assert!(stated(&set).is_empty());
        claim(&mut set, 52, dcache::Validity::stated(NOW, LIFETIME));
        assert!(stated(&set).is_empty(), "the copy renews its claim, since it keeps the file");
        replication.set_let_go(LetGoFiles::new());
        replication.set_kept([(cid(), description(1, "a.bag"))].into());
        assert!(replication.decide(&set, Moment::certain(NOW)).statements.is_empty());
        replication.set_kept(BTreeMap::new());
        assert_eq!(replication.decide(&set, Moment::certain(NOW)).statements, taken_back());
    }

    #[test]
    fn a_claim_that_is_valid_again_after_a_clock_change_is_retracted() {
        let set = safe_with(&[2, 3]);
        let mut replication = decider(2, false);
        let ahead = Moment::certain(NOW.plus(LIFETIME * 2));
        assert!(replication.decide(&set, ahead).statements.is_empty());
        assert_eq!(replication.decide(&set, Moment::certain(NOW)).statements, taken_back());
    }

    fn let_go(reason: Reason) -> LetGoFiles {
        LetGoFiles::from([(cid(), LetGo { reason, time: NOW })])
    }

    #[test]
    fn a_file_that_was_let_go_is_neither_claimed_nor_fetched_back() {
        for reason in [Reason::Deleted, Reason::Unpinned, Reason::Withdrawn] {
            // A withdrawn file must not be stated good by any peer, and the swarm must have roles.
            let set = match reason {
                Reason::Withdrawn => {
                    let policy = Policy::new([peer(9)].into(), Vec::new(), NonZeroU8::MIN);
                    let mut set = Set::new(policy, Limits::default());
                    say(&mut set, 3, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
                    set
                }
                _ => safe_with(&[2, 3]),
            };
            let mut replication = decider(2, false);
            assert!(
                !replication.decide(&set, Moment::certain(NOW)).actions.is_empty(),
                "it is fetched before it is let go of"
            );
            replication.set_let_go(let_go(reason));
            let decision = replication.decide(&set, Moment::certain(NOW));
            assert!(decision.actions.is_empty(), "{reason:?}: {:?}", decision.actions);
        }
    }

    #[test]
    fn without_roles_a_file_of_the_own_folder_is_shared_again() {
        let mut replication = decider(1, false);
        replication.set_let_go(let_go(Reason::Withdrawn));
        let decision = replication.decide(&Set::default(), Moment::certain(NOW));
        assert_eq!(decision.actions, [Action::TakeBack(vec![cid()])]);
    }

    #[test]
    fn a_file_of_the_own_folder_that_is_good_again_is_shared_again() {
        let set = safe_with(&[3]);
        let mut replication = decider(1, false);
        replication.set_let_go(let_go(Reason::Withdrawn));
        let decision = replication.decide(&set, Moment::certain(NOW));
        assert_eq!(decision.actions, [Action::TakeBack(vec![cid()])]);
    }

    #[test]
    fn a_discard_by_a_user_is_stated_again_until_a_peer_undoes_it() {
        let mut set = safe_with(&[3]);
        let mut replication = decider(2, false);
        replication.set_let_go(let_go(Reason::Discarded));
        let decision = replication.decide(&set, Moment::certain(NOW));
        assert!(!decision.statements.is_empty() && decision.actions.is_empty());
        say(&mut set, 4, Kind::Dismiss, Station::Discard.item(&cid()), LIFETIME);
        let decision = replication.decide(&set, Moment::certain(NOW));
        assert!(decision.statements.is_empty());
        assert_eq!(decision.actions, [Action::TakeBack(vec![cid()])]);
    }
}
