//! The pure decider of the proposer. It decides which files to add, and what to state about the files of this node.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::buckets::Station;
use crate::catalog::stated::Valid;
use crate::choose::{MOST_OWN, OwnFile, Shortage, choose, lifetime_of_own, renewal_edge};
use crate::index::{SharedFile, State, index_of};
use crate::ledger::Taken;
use crate::scan::Unseen;
use crate::settle::{Fingerprint, Found};
use crate::volume::SharedPath;
use dcache::{Moment, PeerId, Set, Time, Validity};
use ipfs::Cid;
use service::{Decide, Decision};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

/// Returns the settled files to add: new ones, changed ones, and those that lost blocks. `kept` holds the files that
/// are complete, and the files that must not be shared.
pub(crate) fn to_add(
    settled: &Found,
    taken: &BTreeMap<String, Taken>,
    kept: &BTreeSet<Cid>,
) -> Vec<(String, Fingerprint)> {
    let is_taken = |path: &str, fingerprint: &Fingerprint| {
        let taken = taken.get(path).filter(|taken| taken.fingerprint.is_like(fingerprint));
        taken.is_some_and(|taken| kept.contains(&taken.cid))
    };
    let new = settled.iter().filter(|(path, fingerprint)| !is_taken(path, fingerprint));
    new.map(|(path, fingerprint)| (path.clone(), *fingerprint)).collect()
}

/// Returns the taken files that are no longer in the folder. Files that could not be looked at are not among them.
pub(crate) fn gone(found: &Found, unseen: &Unseen, taken: &BTreeMap<String, Taken>) -> Vec<String> {
    let is_gone = |path: &&String| !found.contains_key(*path) && !unseen.covers(path);
    taken.keys().filter(is_gone).cloned().collect()
}

/// Returns the unchanged taken files whose ledger row lacks the time of the inode change, with their present
/// fingerprints.
pub(crate) fn unnoted(found: &Found, taken: &BTreeMap<String, Taken>) -> Vec<(String, Taken)> {
    let now = |(path, before): (&String, &Taken)| {
        let is_unnoted = before.fingerprint.inode_changed.is_none();
        let now = found.get(path).filter(|now| is_unnoted && before.fingerprint.is_like(now))?;
        Some((path.clone(), Taken { fingerprint: *now, cid: before.cid }))
    };
    taken.iter().filter_map(now).collect()
}

/// Returns the CIDs whose last path in the shared folders is gone.
pub(crate) fn deleted(gone: &[SharedPath], taken: &BTreeMap<SharedPath, Taken>) -> BTreeSet<Cid> {
    let gone: BTreeSet<&SharedPath> = gone.iter().collect();
    let (gone, left): (Vec<_>, Vec<_>) = taken.iter().partition(|(path, _)| gone.contains(path));
    let left: BTreeSet<Cid> = left.into_iter().map(|(_, taken)| taken.cid).collect();
    gone.into_iter().map(|(_, taken)| taken.cid).filter(|cid| !left.contains(cid)).collect()
}

/// Returns the taken files whose path now has different content.
pub(crate) fn changing(found: &Found, taken: &BTreeMap<String, Taken>) -> BTreeSet<Cid> {
    let is_other = |(path, taken): &(&String, &Taken)| {
        found.get(*path).is_some_and(|fingerprint| !taken.fingerprint.is_like(fingerprint))
    };
    taken.iter().filter(is_other).map(|(_, taken)| taken.cid).collect()
}

/// Decides which statements this node makes about its own files.
#[derive(Clone, Debug)]
pub struct Proposal {
    me: PeerId,
    own: BTreeMap<Cid, OwnFile>,
    /// Files in the catalogue of this node; `None` until it is known after the start.
    catalogued: Option<Arc<BTreeSet<Cid>>>,
    shortage: Shortage,
}

impl Proposal {
    /// Creates the decider of the node `me`.
    pub fn new(me: PeerId) -> Self {
        Self { me, own: BTreeMap::new(), catalogued: None, shortage: Shortage::default() }
    }

    /// Replaces the list of this node's own complete files.
    pub fn set_own(&mut self, own: BTreeSet<Cid>) {
        self.own = own.into_iter().map(|cid| (cid, OwnFile::default())).collect();
    }

    /// Replaces the list of this node's own complete files. Their properties decide which of them are proposed when the
    /// record quota is too small for all.
    pub(crate) fn set_own_files(&mut self, own: BTreeMap<Cid, OwnFile>) {
        self.own = own;
    }

    /// Replaces the list of files that the published catalogue of this node lists. A node with more files than
    /// [`MOST_OWN`] makes single records only about files that are not in it.
    pub(crate) fn set_catalogued(&mut self, catalogued: Option<Arc<BTreeSet<Cid>>>) {
        self.catalogued = catalogued;
    }

    /// Returns the own files about which this node makes single records: all of them, or of too many those that have
    /// single records and those that are not in the catalogue yet.
    fn in_motion(
        &self,
        files: &BTreeMap<Cid, SharedFile>,
        listed: Option<&BTreeSet<Cid>>,
    ) -> BTreeMap<Cid, OwnFile> {
        let is_stated = |cid: &Cid| {
            let stated = |file: &SharedFile| {
                file.proposers.contains_key(&self.me) || file.holders.contains_key(&self.me)
            };
            files.get(cid).is_some_and(stated)
        };
        let is_new = |cid: &Cid| listed.is_some_and(|listed| !listed.contains(cid));
        let in_motion = self.own.iter().filter(|(cid, _)| is_stated(cid) || is_new(cid));
        in_motion.map(|(cid, file)| (*cid, file.clone())).collect()
    }

    /// Returns the files that the catalogue of this node lists, if a valid record names the catalogue; `None` while they
    /// are not known.
    fn listed(&self, set: &Set, now: Time) -> Option<Arc<BTreeSet<Cid>>> {
        let is_named = Valid::of(set, self.me, now).is_some();
        self.catalogued.as_ref().map(|files| if is_named { files.clone() } else { Arc::default() })
    }

    /// Returns the number of own files that the last decision left out.
    pub(crate) fn shortage(&self) -> Shortage {
        self.shortage
    }
}

impl Decide for Proposal {
    type Action = Infallible;

    /// Proposes own files that are in no bucket, and renews these statements after half their lifetime. Dismisses files
    /// from the first bucket once they are in a later one. Leaves out the files that exceed the record quota of this
    /// node.
    fn decide(&mut self, set: &Set, now: Moment) -> Decision<Infallible> {
        let now = now.time;
        let mut decision = Decision::default();
        if self.own.is_empty() {
            self.shortage = Shortage::default();
            return decision;
        }
        let files = index_of(set, self.own.keys(), now);
        let is_many = self.own.len() > MOST_OWN;
        let lifetime = lifetime_of_own(is_many);
        let edge = renewal_edge(set, self.me, lifetime, self.shortage.is_short, now);
        let listed = if is_many { self.listed(set, now) } else { None };
        let in_motion = is_many.then(|| self.in_motion(&files, listed.as_deref()));
        let (chosen, shortage) =
            choose(in_motion.as_ref().unwrap_or(&self.own), &files, listed.as_deref(), (set, self.me, now));
        let mut renewals = Vec::new();
        for cid in &chosen {
            let item = Station::Files.item(cid);
            match files.get(cid) {
                Some(file) if file.state != State::Shared => {
                    if file.proposers.contains_key(&self.me) {
                        decision.statements.dismiss(item, Validity::stated(now, lifetime));
                    }
                }
                Some(file) if is_fresh(file.proposers.get(&self.me), edge) => {
                    renewals.extend(file.proposers.get(&self.me).copied().flatten());
                }
                // The catalogue states the same, so this is not renewed.
                _ if listed.as_ref().is_some_and(|listed| listed.contains(cid)) => {}
                _ => {
                    decision.statements.propose(item, Validity::stated(now, lifetime));
                }
            }
        }
        self.shortage = shortage;
        let renewal = renewals.into_iter().min();
        let renewal = renewal.map(|until| Time(until.0.saturating_sub(lifetime / 2)));
        // These renewals may free records, so the next decision comes in 2 seconds.
        let again = (shortage.is_short && !decision.statements.is_empty()).then(|| now.plus(2));
        decision.wake = renewal.into_iter().chain(again).min();
        decision
    }
}

/// Returns whether a statement that is valid until `until` needs no renewal yet, because it is valid beyond `edge`.
pub(crate) fn is_fresh(until: Option<&Option<Time>>, edge: Time) -> bool {
    until.is_some_and(|until| until.is_none_or(|until| until > edge))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buckets::LIFETIME;
    use crate::index::tests::{NOW, cid, peer, say};
    use crate::ledger::tests::at;
    use dcache::Kind;

    fn looks(size: u64) -> Fingerprint {
        Fingerprint { size, modified: 1, inode_changed: Some(1) }
    }

    fn taken(path: &str, size: u64) -> BTreeMap<String, Taken> {
        let taken = Taken { fingerprint: looks(size), cid: cid() };
        BTreeMap::from([(path.to_owned(), taken)])
    }

    #[test]
    fn new_and_changed_files_are_added_and_missing_files_are_forgotten() {
        let settled = Found::from([("a".to_owned(), looks(1))]);
        let kept = BTreeSet::from([cid()]);
        assert_eq!(to_add(&settled, &BTreeMap::new(), &kept).len(), 1);
        assert_eq!(to_add(&settled, &taken("a", 2), &kept).len(), 1);
        assert!(to_add(&settled, &taken("a", 1), &kept).is_empty());
        assert_eq!(to_add(&settled, &taken("a", 1), &BTreeSet::new()).len(), 1, "blocks of it were lost");
        let gone = |taken: &BTreeMap<_, _>| gone(&settled, &Unseen::default(), taken);
        assert_eq!(gone(&taken("b", 1)), ["b"]);
        assert!(gone(&taken("a", 1)).is_empty());
        assert_eq!(changing(&settled, &taken("a", 2)), kept);
        assert!(
            changing(&settled, &taken("a", 1)).is_empty() && changing(&settled, &taken("b", 2)).is_empty()
        );
    }

    #[test]
    fn a_changed_inode_time_means_a_new_file_except_for_rows_without_it() {
        let kept = BTreeSet::from([cid()]);
        let moved = Found::from([("a".to_owned(), Fingerprint { inode_changed: Some(2), ..looks(1) })]);
        assert_eq!(to_add(&moved, &taken("a", 1), &kept).len(), 1);
        assert_eq!(changing(&moved, &taken("a", 1)), kept);
        assert!(unnoted(&moved, &taken("a", 1)).is_empty());
        let mut before = taken("a", 1);
        before.values_mut().for_each(|taken| taken.fingerprint.inode_changed = None);
        assert!(to_add(&moved, &before, &kept).is_empty() && changing(&moved, &before).is_empty());
        let noted = unnoted(&moved, &before);
        assert_eq!(noted, [("a".to_owned(), Taken { fingerprint: moved["a"], cid: cid() })]);
    }

    #[test]
    fn a_file_that_cannot_be_looked_at_is_not_gone() {
        let none = Found::new();
        let unseen = |paths: &[&str]| Unseen(paths.iter().map(|path| (*path).to_owned()).collect());
        let gone = |paths: &[&str]| gone(&none, &unseen(paths), &taken("run/1/a", 1)).len();
        assert_eq!((gone(&["run"]), gone(&["run/1/a"]), gone(&[""])), (0, 0, 0));
        assert_eq!((gone(&["run/2", "ru", "run/1/a/b"]), gone(&[])), (1, 1));
    }

    #[test]
    fn a_file_is_deleted_once_its_last_path_is_gone() {
        let row = |path: &str| (at(path), taken(path, 1)[path]);
        let both = BTreeMap::from([row("a"), row("b")]);
        let gone = |paths: &[&str]| paths.iter().map(|path| at(path)).collect::<Vec<_>>();
        assert!(deleted(&gone(&["a"]), &both).is_empty());
        assert_eq!(deleted(&gone(&["a", "b"]), &both), BTreeSet::from([cid()]));
    }

    #[test]
    fn an_own_file_is_proposed_until_it_is_in_a_later_bucket() {
        let mut set = Set::default();
        let mut proposal = Proposal::new(peer(1));
        assert!(proposal.decide(&set, Moment::certain(NOW)).statements.is_empty(), "it has no complete file");
        proposal.set_own(BTreeSet::from([cid()]));
        let mut said = |set: &Set, now| !proposal.decide(set, Moment::certain(now)).statements.is_empty();
        assert!(said(&set, NOW));
        say(&mut set, 1, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
        assert!(!said(&set, NOW));
        assert!(said(&set, NOW.plus(LIFETIME / 2)), "half of the lifetime is over");
        say(&mut set, 2, Kind::Propose, Station::Safe.item(&cid()), LIFETIME);
        assert!(said(&set, NOW), "the file leaves the first bucket");
        say(&mut set, 1, Kind::Dismiss, Station::Files.item(&cid()), LIFETIME);
        assert!(!said(&set, NOW));
    }
}
