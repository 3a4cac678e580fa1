//! The pure decider of verifier and replicator: which files to fetch, and what to state about those that are kept.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::buckets::{self, LIFETIME, Station};
use crate::index::{SharedFile, Signers, State, index};
use crate::info::Description;
use crate::propose::is_fresh;
use dcache::{Item, Moment, Pattern, PeerId, Set, Statements, Time, Validity};
use ipfs::Cid;
use ipfs::node::Provider;
use service::{Decide, Decision, holders_of, provider_patterns};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum validity of a statement in seconds.
const LONGEST: u64 = dcache::buckets::LONGEST_LIFETIME;

/// Decides which files this node fetches and keeps, and what it states about them.
#[derive(Clone, Debug)]
pub struct Replication {
    me: PeerId,
    kept: BTreeMap<Cid, Description>,
    lost: BTreeSet<Cid>,
    bad: BTreeSet<Cid>,
    /// The buckets that it reads: when something in one of them begins or ceases to hold, it decides anew.
    reads: [Pattern; 2],
}

/// Work for the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Fetch, check and pin a file, or go on with that.
    Take {
        /// The file.
        file: Box<SharedFile>,
        /// Peers that most likely hold it, with their addresses.
        providers: Vec<Provider>,
    },
    /// Unpin a file that was discarded.
    Drop(Cid),
}

impl Replication {
    /// Makes the decider of the node `me`.
    pub fn new(me: PeerId) -> Self {
        let (kept, lost, bad) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self { me, kept, lost, bad, reads: provider_patterns() }
    }

    /// Replaces the list of files that this node has checked and pinned, its own files included.
    pub fn set_kept(&mut self, kept: BTreeMap<Cid, Description>) {
        self.kept = kept;
    }

    /// Notes kept files of which something was lost. The next decision retracts what this node stated about them.
    pub fn lose(&mut self, lost: BTreeSet<Cid>) {
        self.lost.extend(lost);
    }

    /// Notes a file that is bad. The next decision discards it.
    pub fn reject(&mut self, cid: Cid) {
        self.bad.insert(cid);
    }
}

impl Decide for Replication {
    type Action = Action;

    fn decide(&mut self, set: &Set, now: Moment) -> Decision<Action> {
        let time = now.time;
        let files = index(set, time);
        let (lost, bad) = (std::mem::take(&mut self.lost), std::mem::take(&mut self.bad));
        let mut decision = Decision { wake: set.next_edge(&self.reads, time), ..Decision::default() };
        for file in lost.iter().filter_map(|cid| files.get(cid)) {
            decision.statements.append(retract(file, self.me, time));
        }
        for file in bad.iter().filter_map(|cid| files.get(cid)) {
            decision.statements.append(discard(file, time));
        }
        for (cid, step) in plan(&files, &self.kept, self.me, time) {
            if lost.contains(&cid) || bad.contains(&cid) {
                continue;
            }
            match (step, files.get(&cid), self.kept.get(&cid)) {
                (Step::Take, Some(file), _) => {
                    let (file, providers) = (Box::new(file.clone()), holders_of(set, &cid, self.me, time));
                    decision.actions.push(Action::Take { file, providers });
                }
                (Step::Drop, ..) => decision.actions.push(Action::Drop(cid)),
                (step, Some(file), Some(description)) => {
                    decision.statements.append(statements(step, file, description, time));
                }
                _ => {}
            }
        }
        decision
    }
}

/// The next step for one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Fetch, check and pin it.
    Take,
    /// Unpin it: it was found bad.
    Drop,
    /// State what it is.
    Describe,
    /// State that it is good.
    Verify,
    /// State that this node keeps it.
    Keep,
}

/// Returns the next steps, file by file. `kept` holds what this node has checked and pinned, its own files included.
fn plan(
    files: &BTreeMap<Cid, SharedFile>,
    kept: &BTreeMap<Cid, Description>,
    me: PeerId,
    now: Time,
) -> Vec<(Cid, Step)> {
    let steps = files.values().flat_map(|file| match kept.get(&file.cid) {
        Some(description) => with_kept(file, description, me, now),
        None if file.state == State::Discarded => Vec::new(),
        None => vec![(file.cid, Step::Take)],
    });
    steps.collect()
}

fn with_kept(file: &SharedFile, description: &Description, me: PeerId, now: Time) -> Vec<(Cid, Step)> {
    let is_own = description.uploader == me;
    let mut steps = Vec::new();
    if !is_described(file, description, me, now) {
        steps.push(Step::Describe);
    }
    match file.state {
        // The verifier must be another peer than the uploader, and the uploader must have shared the file.
        State::Shared if !is_own && file.proposers.contains_key(&description.uploader) => {
            steps.push(Step::Verify);
        }
        State::Shared => {}
        State::Verified | State::Safe if is_fresh(file.holders.get(&me), now) => {}
        State::Verified | State::Safe => steps.push(Step::Keep),
        State::Discarded if is_own => {}
        State::Discarded => steps = vec![Step::Drop],
    }
    steps.into_iter().map(|step| (file.cid, step)).collect()
}

/// Returns whether a fetch of the file can begin. A record about a file may arrive before the addresses of its holders; a
/// fetch that begins then would block its slot for files that can be fetched. What this node itself has held may still
/// be on its disk.
pub(crate) fn is_in_reach(file: &SharedFile, me: PeerId, has_address: bool) -> bool {
    has_address || file.likely_holders().any(|peer| peer == me)
}

/// Returns whether the file's description holds for long enough. The uploader renews it at half its life, other peers only
/// when the uploader does not.
fn is_described(file: &SharedFile, description: &Description, me: PeerId, now: Time) -> bool {
    let is_own = description.uploader == me;
    let early = if is_own { LIFETIME / 2 } else { LIFETIME / 4 };
    let lasts = file.described_until.is_some_and(|until| until > now.plus(early));
    lasts && (!is_own || file.description.as_ref() == Some(description))
}

/// Returns the statements of a step.
fn statements(step: Step, file: &SharedFile, description: &Description, now: Time) -> Statements {
    let mut statements = Statements::new();
    let lasting = Validity::stated(now, LIFETIME);
    match step {
        Step::Take | Step::Drop => {}
        Step::Describe => {
            // A description that is too long for a record stays in the info file alone.
            if let Ok(data) = description.to_data() {
                statements.propose(Item { bucket: buckets::info(&file.cid), data }, lasting);
            }
        }
        Step::Verify => {
            statements.propose(Station::Verified.item(&file.cid), lasting);
            leave(&mut statements, Station::Files, file, &file.proposers, now);
        }
        Step::Keep => {
            statements.propose(Station::Safe.item(&file.cid), lasting);
            leave(&mut statements, Station::Verified, file, &file.verifiers, now);
        }
    }
    statements
}

/// Returns what a node states about a file that it no longer holds whole. A dismissal would deny what others state, so the
/// node proposes the same again, for a second that is over.
fn retract(file: &SharedFile, me: PeerId, now: Time) -> Statements {
    let stations = [
        (Station::Files, &file.proposers),
        (Station::Verified, &file.verifiers),
        (Station::Safe, &file.holders),
    ];
    let mut statements = Statements::new();
    for (station, _) in stations.into_iter().filter(|(_, signers)| signers.contains_key(&me)) {
        statements.propose(station.item(&file.cid), Validity::over(now));
    }
    statements
}

/// Returns the statements that discard a bad file.
fn discard(file: &SharedFile, now: Time) -> Statements {
    let mut statements = Statements::new();
    statements.propose(Station::Discard.item(&file.cid), Validity::stated(now, LIFETIME));
    leave(&mut statements, Station::Files, file, &file.proposers, now);
    statements
}

/// Dismisses a file from a bucket for as long as some peer proposes it there.
fn leave(statements: &mut Statements, station: Station, file: &SharedFile, signers: &Signers, now: Time) {
    let until = signers.values().map(|until| until.unwrap_or(now.plus(LONGEST))).max();
    if let Some(until) = until {
        let seconds = until.since(now).min(LONGEST);
        statements.dismiss(station.item(&file.cid), Validity::stated(now, seconds));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::index;
    use crate::index::tests::{NOW, cid, description, peer, say};
    use dcache::Kind;

    /// Steps of peer `seed`, which has kept the file of peer 1 or not.
    fn steps(set: &Set, seed: u8, is_kept: bool, now: Time) -> Vec<Step> {
        let kept = is_kept.then(|| (cid(), description(1, "a.bag"))).into_iter().collect();
        plan(&index(set, now), &kept, peer(seed), now).into_iter().map(|(_, step)| step).collect()
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
        assert_eq!(steps(&set, 1, true, NOW), [Step::Describe], "the uploader waits for others");
        describe(&mut set);
        assert_eq!(steps(&set, 2, false, NOW), [Step::Take]);
        assert_eq!(steps(&set, 2, true, NOW), [Step::Verify]);
        say(&mut set, 2, Kind::Propose, Station::Verified.item(&cid()), LIFETIME);
        for seed in [1, 2, 3] {
            assert_eq!(steps(&set, seed, true, NOW), [Step::Keep]);
        }
        say(&mut set, 2, Kind::Propose, Station::Safe.item(&cid()), LIFETIME);
        assert!(steps(&set, 2, true, NOW).is_empty());
        assert_eq!(steps(&set, 2, true, NOW.plus(LIFETIME / 2)), [Step::Keep], "half of its time is over");
        assert_eq!(steps(&set, 3, false, NOW), [Step::Take], "newcomers keep it too");
    }

    #[test]
    fn a_file_whose_holders_cannot_be_reached_yet_waits() {
        let mut set = Set::default();
        say(&mut set, 1, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
        let file = index(&set, NOW).remove(&cid()).unwrap();
        assert!(!is_in_reach(&file, peer(2), false));
        assert!(is_in_reach(&file, peer(2), true));
        assert!(is_in_reach(&file, peer(1), false), "its own blocks may still be there");
    }

    #[test]
    fn nobody_vouches_for_what_its_uploader_did_not_declare() {
        let mut set = Set::default();
        describe(&mut set);
        say(&mut set, 9, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
        assert!(steps(&set, 2, true, NOW).is_empty());
    }

    #[test]
    fn what_was_found_bad_is_let_go_but_not_by_its_uploader() {
        let mut set = Set::default();
        describe(&mut set);
        say(&mut set, 2, Kind::Propose, Station::Discard.item(&cid()), LIFETIME);
        assert_eq!(steps(&set, 2, true, NOW), [Step::Drop]);
        assert!(steps(&set, 2, false, NOW).is_empty());
        assert!(steps(&set, 1, true, NOW).is_empty());
    }

    #[test]
    fn a_peer_that_lost_a_file_retracts_only_its_own_statement() {
        let mut set = Set::default();
        for seed in [1, 2] {
            say(&mut set, seed, Kind::Propose, Station::Safe.item(&cid()), LIFETIME);
        }
        let file = index(&set, NOW).remove(&cid()).unwrap();
        let mut expected = Statements::new();
        expected.propose(Station::Safe.item(&cid()), Validity::over(NOW));
        assert_eq!(retract(&file, peer(1), NOW), expected);
        assert!(retract(&file, peer(3), NOW).is_empty());
        let (item, signer) = (Station::Safe.item(&cid()), peer(1));
        let former = set.get(&dcache::Key { item: item.clone(), signer }).unwrap().keep();
        let moment = dcache::Statement::new(Kind::Propose, item, Validity::over(NOW)).unwrap();
        let record = dcache::Record::sign(moment, &dcache::Keypair::from_seed([1; 32]), 9, former);
        set.admit_verified(record, NOW).unwrap();
        let later = index(&set, NOW).remove(&cid()).unwrap();
        assert_eq!(
            (later.state, later.holders.into_keys().collect::<Vec<_>>()),
            (State::Safe, vec![peer(2)])
        );
    }

    #[test]
    fn an_entry_leaves_the_earlier_bucket_for_as_long_as_it_would_be_there() {
        let mut set = Set::default();
        say(&mut set, 1, Kind::Propose, Station::Files.item(&cid()), LIFETIME + 3600);
        let file = index(&set, NOW).remove(&cid()).unwrap();
        let mut expected = Statements::new();
        expected.propose(Station::Verified.item(&cid()), Validity::stated(NOW, LIFETIME));
        expected.dismiss(Station::Files.item(&cid()), Validity::stated(NOW, LIFETIME + 3600));
        assert_eq!(statements(Step::Verify, &file, &description(1, "a.bag"), NOW), expected);
    }

    #[test]
    fn others_describe_only_what_nobody_describes_any_more() {
        let mut set = Set::default();
        describe(&mut set);
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
        assert_eq!(decision.wake, Some(NOW.plus(LIFETIME)), "the record ceases to hold then");
        replication.reject(cid());
        let decision = replication.decide(&set, now);
        assert!(decision.actions.is_empty() && !decision.statements.is_empty());
        assert_eq!(
            replication.decide(&set, now).actions.len(),
            1,
            "without the right to discard it is tried again"
        );
    }
}
