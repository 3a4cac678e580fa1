//! Turns the steps of a node into a decision: its statements, the files to fetch, and the files to unpin. The record
//! quota of the node limits the statements and the fetches.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::holders::AddressBook;
use super::rules::Rules;
use super::{Action, Replication, Step, statements};
use crate::buckets::{self, Station};
use crate::catalog::format::MAX_LINES;
use crate::catalog::stated::Valid;
use crate::choose::{MOST_OWN, Shortage, items_of_own, most_of_others};
use crate::index::SharedFile;
use crate::info::Description;
use crate::shares::uploader;
use crate::versions::{Replaced, is_withdrawn, withdraw};
use dcache::buckets::CATALOG;
use dcache::{Item, Key, Kind, PeerId, Role, Room, Set, Statements, Time, Validity};
use ipfs::Cid;
use service::Decision;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of dropped files whose descriptions are remembered. If there are more, a file whose uploader is
/// contested may be fetched and dropped again.
const MAX_DROPPED: usize = 4096;

impl Replication {
    /// Returns the kept files of other peers that their uploaders withdrew. They are unpinned.
    pub(super) fn withdrawn(&mut self, set: &Set, now: Time) -> BTreeSet<Cid> {
        let of_others = self.kept.iter().filter(|(_, description)| description.uploader != self.me);
        let withdrawn = of_others.filter(|(cid, description)| is_withdrawn(set, cid, description, now));
        let withdrawn: BTreeMap<Cid, Description> =
            withdrawn.map(|(cid, description)| (*cid, description.clone())).collect();
        let cids = withdrawn.keys().copied().collect();
        if self.dropped.len() + withdrawn.len() > MAX_DROPPED {
            self.dropped.clear();
        }
        self.dropped.extend(withdrawn.into_iter().take(MAX_DROPPED));
        cids
    }

    /// Returns whether a file is an older version of an own file, or a user withdrew it.
    pub(super) fn is_replaced(&self, cid: &Cid) -> bool {
        matches!(self.replaced.get(cid), Some(Replaced::By(..) | Replaced::Unshared(_)))
    }

    /// Returns the statements about older versions of own files.
    pub(super) fn withdraw(&self, files: &BTreeMap<Cid, SharedFile>, set: &Set, now: Time) -> Statements {
        let mut statements = Statements::new();
        for (cid, replaced) in &self.replaced {
            statements.append(withdraw(cid, replaced, files, (set, self.me, now)));
        }
        statements
    }

    /// Returns the statements that retract descriptions of files that this node does not keep any more. The holders of
    /// these files describe them instead. This frees records when the quota is used up.
    pub(super) fn forsake(&self, set: &Set, now: Time) -> Statements {
        let mut statements = Statements::new();
        let bucket = Station::Files.bucket();
        for record in set.records_beside(self.me, &bucket) {
            let holds = record.kind() == Kind::Propose && record.validity().contains(now);
            let described = buckets::described(&record.item().bucket);
            if holds && described.is_some_and(|cid| !self.kept.contains_key(&cid)) {
                statements.propose(record.item().clone(), Validity::over(now));
            }
        }
        statements
    }

    /// Adds the statements and actions of these steps to the decision, as far as the record quota allows.
    pub(super) fn follow(
        &mut self,
        steps: Vec<(Cid, Step)>,
        files: &BTreeMap<Cid, SharedFile>,
        (set, rules): (&Set, &Rules),
        decision: &mut Decision<Action>,
    ) {
        let mut room = self.room(files, set, rules.now);
        let (mut wanted, mut later, mut unsaid) = (Vec::new(), Vec::new(), 0);
        for (cid, step) in steps {
            match (step, files.get(&cid), self.kept.get(&cid)) {
                (Step::Take, Some(file), _) => wanted.push(file),
                (Step::Drop, ..) => decision.actions.push(Action::Drop(cid)),
                (Step::Withdraw, ..) => decision.actions.push(Action::Withdraw(cid)),
                (step, Some(file), Some(description)) => {
                    let stated = statements(step, file, description, rules);
                    let items: Vec<Item> = stated.items().cloned().collect();
                    // Keeping a file is more important than describing it for other peers.
                    if step == Step::Describe && description.uploader != self.me {
                        later.push((stated, items));
                    } else if room.reserve(&items) {
                        decision.statements.append(stated);
                        if step == Step::Keep {
                            self.copies.note_stated(cid);
                        }
                    } else {
                        unsaid += 1;
                    }
                }
                _ => {}
            }
        }
        let (begun, shortage) = self.begin(&wanted, files, &mut room, (set, rules));
        decision.actions.extend(begun);
        for (stated, _) in later.into_iter().filter(|(_, items)| room.reserve(items)) {
            decision.statements.append(stated);
        }
        (self.shortage, self.unsaid) = (shortage, unsaid);
    }

    /// Removes the statements about files beyond those about which this node makes single records. Its catalogue makes
    /// them. Returns the number of files about which nothing is stated.
    pub(super) fn leave_to_catalog(
        &self,
        steps: &mut Vec<(Cid, Step)>,
        files: &BTreeMap<Cid, SharedFile>,
        set: &Set,
        now: Time,
    ) -> usize {
        let is_own = |cid: &Cid| self.kept.get(cid).is_some_and(|known| known.uploader == self.me);
        let is_held = |cid: &Cid| files.get(cid).is_some_and(|file| file.holders.contains_key(&self.me));
        let is_many = self.has_many_own();
        let is_named = is_many && Valid::of(set, self.me, now).is_some();
        // Single records are for files that the catalogue does not list yet.
        let is_stated = |cid: &Cid| {
            let is_listed = is_named && self.catalogued.contains(cid);
            !is_listed && self.is_in_motion(cid, set)
        };
        let held = files.keys().filter(|cid| is_held(cid) && !is_own(cid)).count();
        let mut left = most_of_others(set, self.me).saturating_sub(held);
        let mut unsaid = BTreeSet::new();
        for (cid, _) in steps.iter().filter(|(_, step)| matches!(step, Step::Keep | Step::Verify)) {
            let fits = match is_own(cid) {
                true => !is_many || is_stated(cid),
                false if is_held(cid) => true,
                false => left.checked_sub(1).map(|rest| left = rest).is_some(),
            };
            if !fits {
                unsaid.insert(*cid);
            }
        }
        let is_silent = |cid: &Cid| unsaid.contains(cid) || is_many && is_own(cid) && !is_stated(cid);
        let is_statement = |step: &Step| matches!(step, Step::Keep | Step::Verify | Step::Describe);
        steps.retain(|(cid, step)| !is_statement(step) || !is_silent(cid));
        unsaid.len()
    }

    pub(super) fn has_many_own(&self) -> bool {
        self.kept.values().filter(|known| known.uploader == self.me).count() > MOST_OWN
    }

    /// Returns whether this node has made single records about an own file.
    fn is_in_motion(&self, cid: &Cid, set: &Set) -> bool {
        let mut items = [Station::Files, Station::Safe].into_iter().map(|station| station.item(cid));
        items.any(|item| set.get(&Key { item, signer: self.me }).is_some())
    }

    /// Returns whether this node has read a catalogue of each robot that names one. In a swarm with roles, only those of
    /// robots with a role matter.
    pub(super) fn has_all_catalogs(&self, set: &Set, now: Time) -> bool {
        let has_roles = !set.policy().roots().is_empty();
        let matters = |robot: &PeerId| !has_roles || set.role(*robot, now) >= Some(Role::Trusted);
        let robots =
            set.signers_beside(&CATALOG.of(self.me)).filter(|robot| *robot != self.me && matters(robot));
        let is_read = |robot: PeerId| self.catalogs.version(robot).is_some();
        robots.into_iter().all(|robot| is_read(robot) || Valid::of(set, robot, now).is_none())
    }

    /// Returns the record quota that remains when the records of each own file are reserved until it is safe.
    fn room<'a>(&self, files: &BTreeMap<Cid, SharedFile>, set: &'a Set, now: Time) -> Room<'a> {
        let mut room = Room::new(set, self.me, now);
        let own = self.kept.iter().filter(|(_, description)| description.uploader == self.me);
        let is_many = self.has_many_own();
        let is_in_motion = |cid: &Cid| files.contains_key(cid) && (!is_many || self.is_in_motion(cid, set));
        for (cid, description) in own.filter(|(cid, _)| is_in_motion(cid)) {
            room.reserve(&items_of_own(cid, Some(description)));
        }
        room
    }

    /// Returns the fetches of these files, and the number of files that are left out because the catalogue of this node
    /// can list no more files.
    fn begin(
        &self,
        wanted: &[&SharedFile],
        files: &BTreeMap<Cid, SharedFile>,
        room: &mut Room<'_>,
        (set, rules): (&Set, &Rules),
    ) -> (Vec<Action>, Shortage) {
        let is_of_other =
            |file: &SharedFile| self.kept.get(&file.cid).is_none_or(|known| known.uploader != self.me);
        let is_held = |file: &&SharedFile| file.holders.contains_key(&self.me) && is_of_other(file);
        let held = files.values().filter(is_held).count();
        let mut left = most_of_others(set, self.me).saturating_sub(held);
        let (mut book, mut actions, mut shortage) = (AddressBook::default(), Vec::new(), Shortage::default());
        let wanted = wanted.iter().copied().filter(|file| self.is_wanted(file, set, rules.now));
        for file in self.in_turn(wanted) {
            let has_room = left > 0 && room.reserve(&[Station::Safe.item(&file.cid)]);
            // A node without the right to state that it keeps a file keeps it nevertheless. The catalogue lists the files
            // for which there are no records.
            if has_room || !rules.may_keep || self.kept.len() + actions.len() < MAX_LINES {
                left = left.saturating_sub(1);
                let providers = book.holders_of(file, set, rules);
                actions.push(Action::Take { file: Box::new(file.clone()), providers });
            } else {
                shortage.add(left > 0);
            }
        }
        (actions, shortage)
    }

    /// Sorts files so that each uploader gets an equal part of the record quota: first one file of each uploader, then a
    /// second one, and so on. The files of members come before all others. Otherwise one stranger could use up the quota
    /// with files that do not exist.
    fn in_turn<'a>(&self, files: impl Iterator<Item = &'a SharedFile>) -> Vec<&'a SharedFile> {
        let mut numbers: BTreeMap<Option<PeerId>, usize> = BTreeMap::new();
        let mut sorted: Vec<_> = files
            .map(|file| {
                let uploader = uploader(file);
                let number = numbers.entry(uploader).or_default();
                *number += 1;
                (!self.shares.is_member(uploader), *number, file)
            })
            .collect();
        sorted.sort_by_key(|(is_stranger, number, file)| (*is_stranger, *number, file.cid));
        sorted.into_iter().map(|(_, _, file)| file).collect()
    }

    /// Returns whether this node should fetch a file that it does not keep. If several peers claim to be the uploader,
    /// only the content shows the true one, so the file is fetched once.
    fn is_wanted(&self, file: &SharedFile, set: &Set, now: Time) -> bool {
        let signed = file.description.as_ref().filter(|_| !file.is_contested);
        let known = self.dropped.get(&file.cid).or(signed);
        let is_withdrawn = || known.is_some_and(|known| is_withdrawn(set, &file.cid, known, now));
        !self.changing.contains(&file.cid) && !is_withdrawn()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buckets::LIFETIME;
    use crate::index::tests::{NOW, cid, description, peer, say};
    use dcache::{Limits, Moment, Policy};
    use service::Decide as _;

    fn numbered(number: u64) -> Cid {
        let mut bytes = cid().to_bytes();
        let end = bytes.len() - 8;
        bytes[end..].copy_from_slice(&number.to_be_bytes());
        Cid::try_from(bytes.as_slice()).unwrap()
    }

    fn takes(actions: &[Action]) -> usize {
        actions.iter().filter(|action| matches!(action, Action::Take { .. })).count()
    }

    /// Returns a set that takes 100 records of each signer, in which peer 1 proposes 100 files.
    fn many_files() -> Set {
        let mut set = Set::new(Policy::default(), Limits { stranger: 100, ..Limits::default() });
        for number in 0..100 {
            say(&mut set, 1, Kind::Propose, Station::Files.item(&numbered(number)), LIFETIME);
        }
        set
    }

    #[test]
    fn the_record_quota_of_a_node_limits_the_records_about_files_but_not_the_files_that_it_fetches() {
        let set = many_files();
        let mut replication = Replication::new(peer(2));
        let decision = replication.decide(&set, Moment::certain(NOW));
        assert_eq!((takes(&decision.actions), replication.left_out()), (100, 0));
        assert!(decision.statements.is_empty());
        replication.set_kept((0..100).map(|number| (numbered(number), description(1, "a.bag"))).collect());
        let decision = replication.decide(&set, Moment::certain(NOW));
        let kept = decision.statements.items().filter(|item| item.bucket == Station::Safe.bucket()).count();
        assert_eq!((kept, replication.unsaid()), (75, 25), "the catalogue lists the others");
    }

    #[test]
    fn a_stranger_with_many_files_leaves_quota_to_other_uploaders() {
        let mut set = many_files();
        // Its CID comes after those of all other files.
        let honest = numbered(1000);
        say(&mut set, 3, Kind::Propose, Station::Files.item(&honest), LIFETIME);
        let decision = Replication::new(peer(2)).decide(&set, Moment::certain(NOW));
        let is_honest = |action: &Action| matches!(action, Action::Take { file, .. } if file.cid == honest);
        assert!(decision.actions.iter().any(is_honest) && takes(&decision.actions) == 101);
    }

    #[test]
    fn a_file_that_its_uploader_withdrew_is_unpinned_and_not_fetched() {
        let mut set = many_files();
        let mut replication = Replication::new(peer(2));
        let old = numbered(1);
        say(&mut set, 2, Kind::Propose, Station::Safe.item(&old), LIFETIME);
        replication.set_kept([(old, description(1, "a.bag"))].into());
        let is_dropped = |replication: &mut Replication, set: &Set| {
            replication.decide(set, Moment::certain(NOW)).actions.contains(&Action::Drop(old))
        };
        assert!(!is_dropped(&mut replication, &set));
        say(&mut set, 3, Kind::Dismiss, Station::Verified.item(&old), LIFETIME);
        assert!(!is_dropped(&mut replication, &set));
        let mut set = Set::default();
        say(&mut set, 2, Kind::Propose, Station::Safe.item(&old), LIFETIME);
        say(&mut set, 1, Kind::Dismiss, Station::Safe.item(&old), LIFETIME);
        assert!(is_dropped(&mut replication, &set));
        replication.set_kept(BTreeMap::new());
        assert_eq!(takes(&replication.decide(&set, Moment::certain(NOW)).actions), 0);
        // Another peer claims to be the uploader. The dropped file is not fetched again.
        say(&mut set, 7, Kind::Propose, Station::Safe.item(&old), LIFETIME);
        let data = description(7, "b.bag").to_data().unwrap();
        say(&mut set, 7, Kind::Propose, Item { bucket: buckets::info(&old), data }, LIFETIME);
        assert_eq!(takes(&replication.decide(&set, Moment::certain(NOW)).actions), 0);
    }

    #[test]
    fn an_own_file_that_is_being_changed_or_was_replaced_is_not_fetched_back() {
        let set = many_files();
        let mut replication = Replication::new(peer(2));
        let wanted = |replication: &mut Replication| {
            let decision = replication.decide(&set, Moment::certain(NOW));
            let is_old =
                |action: &Action| matches!(action, Action::Take { file, .. } if file.cid == numbered(1));
            decision.actions.iter().any(is_old)
        };
        assert!(wanted(&mut replication));
        replication.set_replaced(BTreeMap::new(), [numbered(1)].into());
        assert!(!wanted(&mut replication));
        let by = Replaced::By(None, description(1, "a.bag"));
        replication.set_replaced([(numbered(1), by)].into(), BTreeSet::new());
        assert!(!wanted(&mut replication));
    }
}
