//! Makes the statements by which a node lets go of a file, discards a file, or undoes a discard.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::buckets::{LIFETIME, Station};
use dcache::{Item, Key, Kind, NotAllowed, PeerId, Record, Set, Statements, Time, Validity};
use ipfs::Cid;
use std::collections::BTreeSet;

/// Maximum validity of a statement, in seconds.
const LONGEST: u64 = dcache::buckets::LONGEST_LIFETIME;
/// Remaining validity, in seconds, below which a statement is not retracted.
const MOMENT: u64 = 1;
/// The buckets in which a proposal lists a file as part of the swarm.
const STATIONS: [Station; 3] = [Station::Files, Station::Verified, Station::Safe];

/// Returns the statements that retract the proposals of a node about a file that it does not hold. A dismissal would
/// deny the proposals of other peers too. So the node repeats its proposals with a validity that is already over.
pub(crate) fn retract(set: &Set, cid: &Cid, me: PeerId, now: Time) -> Statements {
    let mut statements = Statements::new();
    for item in STATIONS.map(|station| station.item(cid)) {
        if holds_until(own(set, &item, me), Kind::Propose, now.plus(MOMENT + 1)) {
            statements.propose(item, Validity::over(now));
        }
    }
    statements
}

/// Returns whether `me` states that it keeps a file.
pub(crate) fn claims(set: &Set, cid: &Cid, me: PeerId, now: Time) -> bool {
    holds_until(own(set, &Station::Safe.item(cid), me), Kind::Propose, now.plus(MOMENT))
}

/// Returns the statements that remove a file from the swarm, except those that are still valid for long enough. The
/// file is proposed in `share/discard`, and dismissed from the other buckets until the last proposal there expires.
pub(crate) fn discard(set: &Set, cid: &Cid, me: PeerId, now: Time) -> Statements {
    let mut statements = Statements::new();
    let (discarded, soon) = (Station::Discard.item(cid), now.plus(LIFETIME / 2));
    if !holds_until(own(set, &discarded, me), Kind::Propose, soon.plus(1)) {
        statements.propose(discarded, Validity::stated(now, LIFETIME));
    }
    for item in STATIONS.map(|station| station.item(cid)) {
        let Some(end) = last_end(set, &item, now) else { continue };
        if !holds_until(own(set, &item, me), Kind::Dismiss, end.min(soon)) {
            statements.dismiss(item, Validity::stated(now, end.since(now)));
        }
    }
    statements
}

/// Returns the time at which [`discard`] must renew its statements, even if no new record arrives.
pub(crate) fn renewal(set: &Set, cid: &Cid, me: PeerId) -> Option<Time> {
    let until = own(set, &Station::Discard.item(cid), me)?.validity().until()?;
    Some(Time(until.0.saturating_sub(LIFETIME / 2)))
}

/// Returns the statements that undo a [`discard`] by any peer. They include a proposal in `share/verified`, since the
/// peers that verified the file have dismissed it from the first bucket.
pub(crate) fn undiscard(set: &Set, cid: &Cid, me: PeerId, now: Time) -> Statements {
    let discarded = Station::Discard.item(cid);
    let Some(end) = last_end(set, &discarded, now) else { return step_back(set, cid, me, now) };
    let mut statements = admit(set, cid, me, now, &[Station::Files, Station::Safe]);
    statements.dismiss(discarded, Validity::stated(now, end.since(now)));
    statements.propose(Station::Verified.item(cid), Validity::stated(now, LIFETIME));
    statements
}

/// Returns the statements with which a node retracts its own discard of a file.
pub(crate) fn step_back(set: &Set, cid: &Cid, me: PeerId, now: Time) -> Statements {
    let mut statements = admit(set, cid, me, now, &STATIONS);
    let discarded = Station::Discard.item(cid);
    if holds_until(own(set, &discarded, me), Kind::Propose, now.plus(MOMENT + 1)) {
        statements.propose(discarded, Validity::over(now));
    }
    statements
}

/// Returns the statements with which a node retracts its dismissals of a file.
fn admit(set: &Set, cid: &Cid, me: PeerId, now: Time, stations: &[Station]) -> Statements {
    let mut statements = Statements::new();
    for item in stations.iter().map(|station| station.item(cid)) {
        if holds_until(own(set, &item, me), Kind::Dismiss, now.plus(MOMENT + 1)) {
            statements.dismiss(item, Validity::over(now));
        }
    }
    statements
}

/// Returns the peers other than `me` that undid the discard of a file, if their statements are accepted now.
pub(crate) fn defenders(set: &Set, cid: &Cid, me: PeerId, now: Time) -> BTreeSet<PeerId> {
    let item = Station::Discard.item(cid);
    let defends = |record: &&Record| {
        let (kind, signer) = (record.kind(), record.signer());
        let is_theirs = kind == Kind::Dismiss && signer != me && record.validity().contains(now);
        is_theirs && set.may(kind, &item, signer, now).is_ok()
    };
    set.records_about(&item).iter().filter(defends).map(Record::signer).collect()
}

/// Checks that `me` has the right to make all of these statements.
///
/// # Errors
/// When one statement is not allowed. The error names the roles that allow it.
pub(crate) fn check(statements: &Statements, set: &Set, me: PeerId, now: Time) -> Result<(), NotAllowed> {
    statements.iter().try_for_each(|(kind, item)| set.may(kind, item, me, now))
}

fn own<'a>(set: &'a Set, item: &Item, me: PeerId) -> Option<&'a Record> {
    set.get(&Key { item: item.clone(), signer: me })
}

/// Returns whether a record is of this kind and valid at least until `time`.
fn holds_until(record: Option<&Record>, kind: Kind, time: Time) -> bool {
    let holds = |record: &Record| record.validity().until().is_none_or(|until| until >= time);
    record.is_some_and(|record| record.kind() == kind && holds(record))
}

/// Returns the end of the last proposal of an item, at most [`LONGEST`] from now; `None` when no peer proposes it.
fn last_end(set: &Set, item: &Item, now: Time) -> Option<Time> {
    let longest = now.plus(LONGEST);
    let proposals = set.records_about(item).iter().filter(|record| record.kind() == Kind::Propose);
    let ends = proposals.map(|record| record.validity().until().unwrap_or(longest).min(longest));
    ends.filter(|end| *end > now).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::{NOW, cid, peer, publish, say};
    use crate::index::{State, index};
    use dcache::{Keypair, Statement};

    fn state(set: &Set, now: Time) -> Option<State> {
        index(set, now).get(&cid()).map(|file| file.state)
    }

    /// Returns a set with a file of peer 1 that peers 2 and 3 keep.
    fn safe() -> Set {
        let mut set = Set::default();
        say(&mut set, 1, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
        say(&mut set, 2, Kind::Propose, Station::Verified.item(&cid()), LIFETIME);
        say(&mut set, 2, Kind::Dismiss, Station::Files.item(&cid()), LIFETIME);
        for seed in [1, 2, 3] {
            say(&mut set, seed, Kind::Propose, Station::Safe.item(&cid()), LIFETIME);
        }
        set
    }

    #[test]
    fn a_safe_file_is_discarded_once_and_stays_discarded_while_renewed() {
        let mut set = safe();
        let statements = discard(&set, &cid(), peer(9), NOW);
        publish(&mut set, 9, statements, NOW);
        assert_eq!(state(&set, NOW), Some(State::Discarded));
        assert!(discard(&set, &cid(), peer(9), NOW).is_empty(), "the discard is stated once");
        let half = renewal(&set, &cid(), peer(9)).unwrap();
        assert_eq!(half, NOW.plus(LIFETIME / 2));
        let statements = discard(&set, &cid(), peer(9), half);
        assert!(!statements.is_empty());
        publish(&mut set, 9, statements, half);
        assert_eq!(state(&set, NOW.plus(LIFETIME)), Some(State::Discarded), "the discard does not expire");
        // A holder that was away proposes its copy again, for longer than the dismissal.
        let late = Statement::new(
            Kind::Propose,
            Station::Safe.item(&cid()),
            Validity::starting(NOW.plus(LIFETIME), LIFETIME),
        );
        let record = Record::sign(late.unwrap(), &Keypair::from_seed([4; 32]), 1, Default::default());
        set.admit_verified(record, NOW.plus(LIFETIME)).unwrap();
        assert_eq!(state(&set, NOW.plus(LIFETIME)), Some(State::Safe));
        let statements = discard(&set, &cid(), peer(9), NOW.plus(LIFETIME));
        publish(&mut set, 9, statements, NOW.plus(LIFETIME));
        assert_eq!(state(&set, NOW.plus(LIFETIME)), Some(State::Discarded));
    }

    #[test]
    fn any_peer_that_undoes_a_discard_brings_the_file_back() {
        for undoing in [9, 5] {
            let mut set = safe();
            let statements = discard(&set, &cid(), peer(9), NOW);
            publish(&mut set, 9, statements, NOW);
            let statements = undiscard(&set, &cid(), peer(undoing), NOW);
            publish(&mut set, undoing, statements, NOW);
            let expected = if undoing == 9 { None } else { Some(peer(5)) };
            assert_eq!(defenders(&set, &cid(), peer(9), NOW).into_iter().next(), expected);
            // The discarding peer sees this, and retracts its discard.
            let statements = step_back(&set, &cid(), peer(9), NOW);
            publish(&mut set, 9, statements, NOW);
            assert_eq!(state(&set, NOW.plus(2)), Some(State::Safe), "undone by {undoing}");
        }
    }

    #[test]
    fn an_undone_discard_lists_a_file_again_although_no_peer_keeps_it() {
        let mut set = Set::default();
        say(&mut set, 1, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
        say(&mut set, 2, Kind::Dismiss, Station::Files.item(&cid()), LIFETIME);
        let statements = discard(&set, &cid(), peer(9), NOW);
        publish(&mut set, 9, statements, NOW);
        let statements = undiscard(&set, &cid(), peer(9), NOW);
        publish(&mut set, 9, statements, NOW);
        assert_eq!(
            state(&set, NOW),
            Some(State::Verified),
            "although peer 2 dismissed it from the first bucket"
        );
    }

    #[test]
    fn a_claim_is_retracted_even_when_other_peers_deny_it() {
        let mut set = safe();
        say(&mut set, 9, Kind::Dismiss, Station::Safe.item(&cid()), LIFETIME);
        assert!(claims(&set, &cid(), peer(3), NOW));
        let statements = retract(&set, &cid(), peer(3), NOW);
        assert!(!statements.is_empty());
        publish(&mut set, 3, statements, NOW);
        assert!(retract(&set, &cid(), peer(3), NOW).is_empty(), "the claim is retracted once");
        assert!(!claims(&set, &cid(), peer(3), NOW.plus(1)));
        assert!(retract(&set, &cid(), peer(8), NOW).is_empty(), "peer 8 claims nothing");
    }
}
