//! What the verifier and the pinner have to do. Pure.

use crate::buckets::{self, LIFETIME, Station};
use crate::index::{SharedFile, State, Voices};
use crate::info::Description;
use crate::propose::is_fresh;
use dcache::{BucketPath, Item, PeerId, Statements, Time, Validity};
use ipfs::Cid;
use std::collections::BTreeMap;

/// The longest that anything is said for, in seconds (see [`dcache::Limits`]).
const LONGEST: u64 = 8 * 24 * 3600;

/// Something to do with one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Fetch, check and pin it.
    Take,
    /// Let it go: it was found bad.
    Drop,
    /// Say what it is.
    Describe,
    /// Say that it is good.
    Verify,
    /// Say that this node keeps it.
    Keep,
}

/// What is to be done, file by file. `kept` is what this node has checked and pinned, its own files included.
pub fn decide(
    files: &BTreeMap<Cid, SharedFile>,
    kept: &BTreeMap<Cid, Description>,
    me: PeerId,
    now: Time,
) -> Vec<(Cid, Action)> {
    let actions = files.values().flat_map(|file| match kept.get(&file.cid) {
        Some(description) => with_kept(file, description, me, now),
        None if file.state == State::Discarded => Vec::new(),
        None => vec![(file.cid, Action::Take)],
    });
    actions.collect()
}

fn with_kept(file: &SharedFile, description: &Description, me: PeerId, now: Time) -> Vec<(Cid, Action)> {
    let is_own = description.uploader == me;
    let mut actions = Vec::new();
    if !is_described(file, description, me, now) {
        actions.push(Action::Describe);
    }
    match file.state {
        // Whoever verifies must be another than the uploader, and the uploader must have declared it.
        State::Shared if !is_own && file.proposers.contains_key(&description.uploader) => {
            actions.push(Action::Verify);
        }
        State::Shared => {}
        State::Verified | State::Safe if is_fresh(file.holders.get(&me), now) => {}
        State::Verified | State::Safe => actions.push(Action::Keep),
        State::Discarded if is_own => {}
        State::Discarded => actions = vec![Action::Drop],
    }
    actions.into_iter().map(|action| (file.cid, action)).collect()
}

/// Whether a record in this bucket may change what is to be done: word of files, or where they can be had.
pub fn is_of_interest(bucket: &BucketPath) -> bool {
    let mut names = bucket.names();
    match names.next() {
        Some("share") => true,
        Some("pri") => names.nth(1) == Some("ipfs_addresses"),
        _ => false,
    }
}

/// Whether it makes sense to begin fetching a file. Word of it may come before word of where its holders are; a fetch
/// begun then would wait for nothing, and keep its place from files that can be had. What this node itself has held
/// may still be on its disk.
pub fn is_in_reach(file: &SharedFile, me: PeerId, has_address: bool) -> bool {
    has_address || file.providers().any(|peer| peer == me)
}

/// Its uploader says what a file is, in good time; others only when it does not any more.
fn is_described(file: &SharedFile, description: &Description, me: PeerId, now: Time) -> bool {
    let is_own = description.uploader == me;
    let early = if is_own { LIFETIME / 2 } else { LIFETIME / 4 };
    let lasts = file.described_until.is_some_and(|until| until > now.plus(early));
    lasts && (!is_own || file.description.as_ref() == Some(description))
}

/// What an action says.
pub fn statements(action: Action, file: &SharedFile, description: &Description, now: Time) -> Statements {
    let mut statements = Statements::new();
    let lasting = Validity::starting(now, LIFETIME);
    match action {
        Action::Take | Action::Drop => {}
        Action::Describe => {
            // One that is too long for a record stays in the info file alone.
            if let Ok(data) = description.to_data() {
                statements.propose(Item { bucket: buckets::info(&file.cid), data }, lasting);
            }
        }
        Action::Verify => {
            statements.propose(Station::Verified.item(&file.cid), lasting);
            leave(&mut statements, Station::Files, file, &file.proposers, now);
        }
        Action::Keep => {
            statements.propose(Station::Safe.item(&file.cid), lasting);
            leave(&mut statements, Station::Verified, file, &file.verifiers, now);
        }
    }
    statements
}

/// What a node says of a file of which it lost something: it does not hold it any more. That is no dismissal, which would
/// deny what others say; its own word is said again, for a moment only.
pub fn retract(file: &SharedFile, me: PeerId, now: Time) -> Statements {
    let stations = [
        (Station::Files, &file.proposers),
        (Station::Verified, &file.verifiers),
        (Station::Safe, &file.holders),
    ];
    let mut statements = Statements::new();
    for (station, _) in stations.into_iter().filter(|(_, voices)| voices.contains_key(&me)) {
        statements.propose(station.item(&file.cid), Validity::starting(now, 1));
    }
    statements
}

/// What a bad file gets said.
pub fn discard(file: &SharedFile, now: Time) -> Statements {
    let mut statements = Statements::new();
    statements.propose(Station::Discard.item(&file.cid), Validity::starting(now, LIFETIME));
    leave(&mut statements, Station::Files, file, &file.proposers, now);
    statements
}

/// Dismisses a file from a bucket for as long as somebody wants it there.
fn leave(statements: &mut Statements, station: Station, file: &SharedFile, voices: &Voices, now: Time) {
    let until = voices.values().map(|until| until.unwrap_or(now.plus(LONGEST))).max();
    if let Some(until) = until {
        let seconds = until.since(now).min(LONGEST);
        statements.dismiss(station.item(&file.cid), Validity::starting(now, seconds));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::index;
    use crate::index::tests::{NOW, cid, description, peer, say};
    use dcache::{Kind, Set};

    /// What peer `seed` does, having kept the file of peer 1 or not.
    fn actions(set: &Set, seed: u8, is_kept: bool, now: Time) -> Vec<Action> {
        let kept = is_kept.then(|| (cid(), description(1, "a.bag"))).into_iter().collect();
        decide(&index(set, now), &kept, peer(seed), now).into_iter().map(|(_, action)| action).collect()
    }

    fn describe(set: &mut Set) {
        let data = description(1, "a.bag").to_data().unwrap();
        say(set, 1, Kind::Propose, Item { bucket: buckets::info(&cid()), data }, LIFETIME);
    }

    #[test]
    fn a_file_is_taken_verified_and_kept() {
        let mut set = Set::default();
        assert!(actions(&set, 2, false, NOW).is_empty());
        say(&mut set, 1, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
        assert_eq!(actions(&set, 1, true, NOW), [Action::Describe], "the uploader waits for others");
        describe(&mut set);
        assert_eq!(actions(&set, 2, false, NOW), [Action::Take]);
        assert_eq!(actions(&set, 2, true, NOW), [Action::Verify]);
        say(&mut set, 2, Kind::Propose, Station::Verified.item(&cid()), LIFETIME);
        for seed in [1, 2, 3] {
            assert_eq!(actions(&set, seed, true, NOW), [Action::Keep]);
        }
        say(&mut set, 2, Kind::Propose, Station::Safe.item(&cid()), LIFETIME);
        assert!(actions(&set, 2, true, NOW).is_empty());
        assert_eq!(
            actions(&set, 2, true, NOW.plus(LIFETIME / 2)),
            [Action::Keep],
            "half of its time is over"
        );
        assert_eq!(actions(&set, 3, false, NOW), [Action::Take], "newcomers keep it too");
    }

    #[test]
    fn a_file_whose_holders_cannot_be_reached_yet_waits() {
        let mut set = Set::default();
        say(&mut set, 1, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
        let file = index(&set, NOW).remove(&cid()).unwrap();
        assert!(!is_in_reach(&file, peer(2), false));
        assert!(is_in_reach(&file, peer(2), true));
        assert!(is_in_reach(&file, peer(1), false), "its own blocks may still be there");
        let is_heard = |bucket: &str| is_of_interest(&bucket.parse().unwrap());
        assert!(is_heard("share/files") && is_heard(&format!("pri/{}/ipfs_addresses", peer(1))));
        assert!(!is_heard("peer") && !is_heard(&format!("pri/{}/info/hostname", peer(1))));
    }

    #[test]
    fn nobody_vouches_for_what_its_uploader_did_not_declare() {
        let mut set = Set::default();
        describe(&mut set);
        say(&mut set, 9, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
        assert!(actions(&set, 2, true, NOW).is_empty());
    }

    #[test]
    fn what_was_found_bad_is_let_go_but_not_by_its_uploader() {
        let mut set = Set::default();
        describe(&mut set);
        say(&mut set, 2, Kind::Propose, Station::Discard.item(&cid()), LIFETIME);
        assert_eq!(actions(&set, 2, true, NOW), [Action::Drop]);
        assert!(actions(&set, 2, false, NOW).is_empty());
        assert!(actions(&set, 1, true, NOW).is_empty());
    }

    #[test]
    fn who_lost_a_file_takes_back_its_own_word_and_nobody_elses() {
        let mut set = Set::default();
        for seed in [1, 2] {
            say(&mut set, seed, Kind::Propose, Station::Safe.item(&cid()), LIFETIME);
        }
        let file = index(&set, NOW).remove(&cid()).unwrap();
        let mut expected = Statements::new();
        expected.propose(Station::Safe.item(&cid()), Validity::starting(NOW, 1));
        assert_eq!(retract(&file, peer(1), NOW), expected);
        assert!(retract(&file, peer(3), NOW).is_empty());
        let (item, signer) = (Station::Safe.item(&cid()), peer(1));
        let former = set.get(&dcache::Key { item: item.clone(), signer }).unwrap().keep();
        let moment = dcache::Statement::new(Kind::Propose, item, Validity::starting(NOW, 1)).unwrap();
        let record = dcache::Record::sign(moment, &dcache::Keypair::from_seed([1; 32]), 9, former);
        set.admit_verified(record, NOW).unwrap();
        let later = index(&set, NOW.plus(2)).remove(&cid()).unwrap();
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
        expected.propose(Station::Verified.item(&cid()), Validity::starting(NOW, LIFETIME));
        expected.dismiss(Station::Files.item(&cid()), Validity::starting(NOW, LIFETIME + 3600));
        assert_eq!(statements(Action::Verify, &file, &description(1, "a.bag"), NOW), expected);
    }

    #[test]
    fn others_describe_only_what_nobody_describes_any_more() {
        let mut set = Set::default();
        describe(&mut set);
        say(&mut set, 3, Kind::Propose, Station::Safe.item(&cid()), LIFETIME);
        let later = |quarters: u64| NOW.plus(LIFETIME / 4 * quarters);
        assert!(!actions(&set, 2, true, later(2)).contains(&Action::Describe));
        assert!(actions(&set, 1, true, later(2)).contains(&Action::Describe));
        assert!(actions(&set, 2, true, later(3)).contains(&Action::Describe));
    }
}
