//! Tests of two robots whose deciders share one set. The set takes few records of each robot.

use crate::buckets::Station;
use crate::choose::OwnFile;
use crate::index::tests::{NOW, cid, description, peer};
use crate::index::{State, index};
use crate::propose::Proposal;
use crate::replicate::{Action, Replication};
use dcache::{Key, Keypair, Limits, Moment, Policy, Record, Set, Statements, Time};
use ipfs::Cid;
use service::Decide as _;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of records that the set takes of each robot.
const CAPACITY: usize = 40;

fn numbered(number: u64) -> Cid {
    let mut bytes = cid().to_bytes();
    let end = bytes.len() - 8;
    bytes[end..].copy_from_slice(&number.to_be_bytes());
    Cid::try_from(bytes.as_slice()).unwrap()
}

struct Robot {
    seed: u8,
    proposal: Proposal,
    replication: Replication,
    kept: BTreeMap<Cid, crate::Description>,
    deleted: BTreeSet<Cid>,
}

impl Robot {
    fn new(seed: u8) -> Self {
        let me = peer(seed);
        let (proposal, replication) = (Proposal::new(me), Replication::new(me));
        Self { seed, proposal, replication, kept: BTreeMap::new(), deleted: BTreeSet::new() }
    }

    /// Puts these files, and no others, into the shared folder.
    fn share(&mut self, files: impl Iterator<Item = u64> + Clone) {
        let own: BTreeMap<Cid, OwnFile> =
            files.map(|number| (numbered(number), OwnFile::at("imgs/a.png", number))).collect();
        let (seed, me) = (self.seed, peer(self.seed));
        let is_gone = |cid: &Cid, known: &crate::Description| known.uploader == me && !own.contains_key(cid);
        let gone: BTreeSet<Cid> =
            self.kept.iter().filter(|(cid, known)| is_gone(cid, known)).map(|(cid, _)| *cid).collect();
        self.kept.retain(|cid, _| !gone.contains(cid));
        self.kept.extend(own.keys().map(|cid| (*cid, description(seed, &cid.to_string()))));
        self.deleted.extend(&gone);
        self.replication.lose(gone);
        self.proposal.set_own_files(own);
    }

    fn decide(&mut self, set: &Set, now: Time) -> (Statements, Vec<Action>) {
        self.replication.set_short(self.proposal.shortage().is_short);
        self.replication.set_kept(self.kept.clone());
        let mut decision = self.replication.decide(set, Moment::certain(now));
        decision.statements.append(self.proposal.decide(set, Moment::certain(now)).statements);
        assert_eq!(
            decision.statements.fit(set, peer(self.seed), now),
            0,
            "the deciders must respect the quota"
        );
        (decision.statements, decision.actions)
    }
}

struct World {
    set: Set,
    now: Time,
    robots: [Robot; 2],
    sequence: u64,
}

impl World {
    fn new() -> Self {
        let limits = Limits { stranger: CAPACITY, ..Limits::default() };
        let set = Set::new(Policy::default(), limits);
        Self { set, now: NOW, robots: [1, 2].map(Robot::new), sequence: 0 }
    }

    /// Lets both robots decide until they make no more statements. Returns the number of rounds.
    fn settle(&mut self) -> usize {
        for round in 0.. {
            assert!(round < 50, "the robots do not settle");
            let mut stated = 0;
            for index in 0..self.robots.len() {
                let (statements, actions) = self.robots[index].decide(&self.set, self.now);
                stated += self.state(index, statements);
                for action in actions {
                    // A robot does not fetch back a file that it deleted.
                    if let Action::Take { file, .. } = action
                        && !self.robots[index].deleted.contains(&file.cid)
                    {
                        let known = description(2 - u8::try_from(index).unwrap(), &file.cid.to_string());
                        self.robots[index].kept.insert(file.cid, known);
                        stated += 1;
                    }
                }
            }
            self.now = self.now.plus(2);
            if stated == 0 {
                return round;
            }
        }
        unreachable!("the loop has no end")
    }

    fn state(&mut self, robot: usize, statements: Statements) -> usize {
        let seed = self.robots[robot].seed;
        let statements = statements.into_signable().unwrap();
        let number = statements.len();
        for statement in statements {
            let former =
                self.set.get(&Key { item: statement.item().clone(), signer: peer(seed) }).map(Record::keep);
            self.sequence += 1;
            let key = Keypair::from_seed([seed; 32]);
            let record = Record::sign(statement, &key, self.sequence, former.unwrap_or_default());
            self.set.admit_verified(record, self.now).unwrap();
        }
        number
    }

    fn records(&self, seed: u8) -> usize {
        self.set.records().filter(|record| record.signer() == peer(seed)).count()
    }

    /// Returns the files that both robots hold.
    fn safe(&self) -> BTreeSet<Cid> {
        let files = index(&self.set, self.now).into_values();
        let is_safe = |file: &crate::SharedFile| file.state == State::Safe && file.holders.len() == 2;
        files.filter(is_safe).map(|file| file.cid).collect()
    }
}

#[test]
fn a_file_costs_its_uploader_three_records_and_each_other_holder_one() {
    let mut world = World::new();
    world.robots[0].share(0..4);
    world.settle();
    assert_eq!(world.safe().len(), 4);
    assert_eq!((world.records(1), world.records(2)), (12, 4));
    let declared = world.set.bucket(&Station::Files.bucket(), world.now).count();
    assert_eq!(declared, 0, "safe files have left the first bucket");
}

#[test]
fn files_within_the_quota_become_safe_and_then_the_robots_make_no_more_statements() {
    let mut world = World::new();
    world.robots[0].share(0..30);
    world.robots[1].share(100..130);
    world.settle();
    assert_eq!(world.safe().len(), 18, "nine of each robot");
    assert_eq!(world.robots[0].proposal.shortage().left_out, 21);
    let held = world.set.len();
    world.now = world.now.plus(3600);
    assert_eq!((world.settle(), world.set.len()), (0, held), "no robot makes a new statement");
}

#[test]
fn after_a_folder_was_removed_the_same_number_of_files_can_be_shared_again() {
    let mut world = World::new();
    for first in [0, 1000] {
        world.robots[0].share(first..first + 9);
        world.settle();
        let of_folder = |cid: &Cid| (first..first + 9).any(|number| numbered(number) == *cid);
        assert_eq!(world.safe().iter().filter(|cid| of_folder(cid)).count(), 9, "folder {first}");
        world.now = world.now.plus(7200);
    }
}
