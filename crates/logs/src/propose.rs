//! What the proposer has to do. Pure.

use crate::buckets::{LIFETIME, Station};
use crate::index::{SharedFile, State};
use crate::ledger::Taken;
use crate::settle::{Fingerprint, Found};
use dcache::{PeerId, Statements, Time, Validity};
use ipfs::Cid;
use std::collections::{BTreeMap, BTreeSet};

/// The settled files that were not taken yet, were changed since, or of which something was lost. `kept` is what is
/// whole.
pub fn to_add(
    settled: &Found,
    taken: &BTreeMap<String, Taken>,
    kept: &BTreeSet<Cid>,
) -> Vec<(String, Fingerprint)> {
    let is_taken = |path: &str, fingerprint: &Fingerprint| {
        let taken = taken.get(path).filter(|taken| taken.fingerprint == *fingerprint);
        taken.is_some_and(|taken| kept.contains(&taken.cid))
    };
    let new = settled.iter().filter(|(path, fingerprint)| !is_taken(path, fingerprint));
    new.map(|(path, fingerprint)| (path.clone(), *fingerprint)).collect()
}

/// The taken files that are no longer in the folder.
pub fn gone(found: &Found, taken: &BTreeMap<String, Taken>) -> Vec<String> {
    taken.keys().filter(|path| !found.contains_key(*path)).cloned().collect()
}

/// What is to be said of this node's own files: those that are in no bucket are declared to be logs, and again when
/// half of the time is over; those that came further leave the first bucket. Of what is not whole (in `kept`) nothing
/// is said.
pub fn statements(
    files: &BTreeMap<Cid, SharedFile>,
    taken: &BTreeMap<String, Taken>,
    kept: &BTreeSet<Cid>,
    me: PeerId,
    now: Time,
) -> Statements {
    let mut statements = Statements::new();
    let own: BTreeSet<Cid> = taken.values().map(|taken| taken.cid).collect();
    for cid in own.intersection(kept) {
        let item = Station::Files.item(cid);
        match files.get(cid) {
            Some(file) if file.state != State::Shared => {
                if file.proposers.contains_key(&me) {
                    statements.dismiss(item, Validity::starting(now, LIFETIME));
                }
            }
            Some(file) if is_fresh(file.proposers.get(&me), now) => {}
            _ => {
                statements.propose(item, Validity::starting(now, LIFETIME));
            }
        }
    }
    statements
}

/// Whether something that is said need not be said again yet.
pub(crate) fn is_fresh(until: Option<&Option<Time>>, now: Time) -> bool {
    until.is_some_and(|until| until.is_none_or(|until| until > now.plus(LIFETIME / 2)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::index;
    use crate::index::tests::{NOW, cid, peer, say};
    use dcache::{Kind, Set};

    fn taken(path: &str, size: u64) -> BTreeMap<String, Taken> {
        let taken = Taken { fingerprint: Fingerprint { size, modified: 1 }, cid: cid() };
        BTreeMap::from([(path.to_owned(), taken)])
    }

    #[test]
    fn new_and_changed_files_are_added_and_missing_ones_forgotten() {
        let settled = Found::from([("a".to_owned(), Fingerprint { size: 1, modified: 1 })]);
        let kept = BTreeSet::from([cid()]);
        assert_eq!(to_add(&settled, &BTreeMap::new(), &kept).len(), 1);
        assert_eq!(to_add(&settled, &taken("a", 2), &kept).len(), 1);
        assert!(to_add(&settled, &taken("a", 1), &kept).is_empty());
        assert_eq!(to_add(&settled, &taken("a", 1), &BTreeSet::new()).len(), 1, "something of it was lost");
        assert_eq!(gone(&settled, &taken("b", 1)), ["b"]);
        assert!(gone(&settled, &taken("a", 1)).is_empty());
    }

    #[test]
    fn an_own_file_is_declared_until_it_came_further() {
        let own = taken("a", 1);
        let mut set = Set::default();
        let kept = BTreeSet::from([cid()]);
        let said = |set: &Set, now| !statements(&index(set, now), &own, &kept, peer(1), now).is_empty();
        assert!(said(&set, NOW));
        assert!(
            statements(&BTreeMap::new(), &own, &BTreeSet::new(), peer(1), NOW).is_empty(),
            "it is not whole"
        );
        say(&mut set, 1, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
        assert!(!said(&set, NOW));
        assert!(said(&set, NOW.plus(LIFETIME / 2)), "half of its time is over");
        say(&mut set, 2, Kind::Propose, Station::Safe.item(&cid()), LIFETIME);
        assert!(said(&set, NOW), "it leaves the first bucket");
        say(&mut set, 1, Kind::Dismiss, Station::Files.item(&cid()), LIFETIME);
        assert!(!said(&set, NOW));
    }
}
