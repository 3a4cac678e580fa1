//! Computes the number of further statements that a signer can make without evicting its active records. A record is
//! *active* while it still states something, and *spent* after that.
//!
//! The set keeps the greatest records of a signer in a quota group. A new record that must be remembered for longer
//! than the lowest one therefore evicts it. Nothing is lost if the lowest record is spent, that is, if it only has to
//! be remembered.

use super::{Group, Key, Set};
use crate::{BucketPath, Item, Kind, PeerId, Record, Time, Who};
use std::collections::BTreeMap;

/// The room of one signer, from which planned statements reserve their share. Each share is reserved only once.
#[derive(Debug)]
pub struct Room<'a> {
    set: &'a Set,
    signer: PeerId,
    now: Time,
    left: BTreeMap<Group, usize>,
}

impl<'a> Room<'a> {
    /// Returns the room that `signer` has in `set` at `now`.
    pub fn new(set: &'a Set, signer: PeerId, now: Time) -> Self {
        Self { set, signer, now, left: BTreeMap::new() }
    }

    /// Reserves room for one statement about each of these different items. Returns `false`, and reserves nothing, if
    /// there is not enough room for all. No room is needed for an item about which the signer already has a record.
    pub fn reserve(&mut self, items: &[Item]) -> bool {
        let (set, signer, now) = (self.set, self.signer, self.now);
        let mut needed: BTreeMap<Group, usize> = BTreeMap::new();
        for item in items {
            if set.get(&Key { item: item.clone(), signer }).is_none() {
                let group = set.group(item);
                self.left.entry(group).or_insert_with(|| set.room(signer, group, now));
                *needed.entry(group).or_default() += 1;
            }
        }
        let left = |group: &Group| self.left.get(group).copied().unwrap_or_default();
        if needed.iter().any(|(group, needed)| left(group) < *needed) {
            return false;
        }
        for (group, needed) in needed {
            self.left.entry(group).and_modify(|left| *left -= needed);
        }
        true
    }
}

impl Set {
    /// Returns the maximum number of records of `signer` in one quota group, about items that are not large.
    pub fn capacity(&self, signer: PeerId) -> usize {
        self.quota(signer, Group::MIN)
    }

    /// Returns the records of `signer` in the quota group of `bucket` that are not about large items, in the order in
    /// which they would be evicted.
    pub fn records_beside(
        &self,
        signer: PeerId,
        bucket: &BucketPath,
    ) -> impl DoubleEndedIterator<Item = &Record> + use<'_> {
        let records = self.signers.get(&(signer, self.usual_group(bucket)));
        records.into_iter().flatten().map(|ranked| &ranked.0)
    }

    /// Returns the signers that have records in the quota group of `bucket` that are not about large items.
    pub fn signers_beside(&self, bucket: &BucketPath) -> impl Iterator<Item = PeerId> + use<'_> {
        let wanted = self.usual_group(bucket);
        self.signers.keys().filter(move |(_, group)| *group == wanted).map(|(signer, _)| *signer)
    }

    /// Returns the number of new items about which `signer` may make statements that are remembered longer than its
    /// earlier ones. Spent records at the low end may be evicted for this.
    fn room(&self, signer: PeerId, group: Group, now: Time) -> usize {
        let records = self.signers.get(&(signer, group));
        let lowest_first = records.into_iter().flatten().map(|ranked| &ranked.0);
        let spent = lowest_first.take_while(|record| self.is_spent(record, now)).count();
        let used = records.map_or(0, |records| records.len());
        (self.quota(signer, group) + spent).saturating_sub(used)
    }

    /// Returns the number of new items about which `signer` may make statements in the quota group of `bucket`.
    pub(crate) fn room_beside(&self, signer: PeerId, bucket: &BucketPath, now: Time) -> usize {
        self.room(signer, self.usual_group(bucket), now)
    }

    /// Returns until when the spent records of `signer` in the quota group of `bucket` must be remembered. An active
    /// record that ranks below them prevents their eviction. It no longer does so after it is renewed beyond the
    /// returned time.
    pub fn spent_until(&self, signer: PeerId, bucket: &BucketPath, now: Time) -> Option<Time> {
        let records = self.signers.get(&(signer, self.usual_group(bucket)));
        let highest_first = records.into_iter().flatten().rev().map(|ranked| &ranked.0);
        highest_first.filter(|record| self.is_spent(record, now)).find_map(|record| record.keep().time())
    }

    /// Returns whether a record is spent at `now`. Either its validity is over, or it dismisses an item that everybody
    /// may propose and that no other signer proposes.
    fn is_spent(&self, record: &Record, now: Time) -> bool {
        let is_over = |record: &Record| record.validity().until().is_some_and(|until| until <= now);
        let is_everybodys =
            || self.policy.rule(&record.item().bucket).requirement(Kind::Propose).who == Who::Anybody;
        let is_proposed = || {
            let about = self.records_about(record.item()).iter();
            about.filter(|other| other.kind() == Kind::Propose).any(|other| !is_over(other))
        };
        is_over(record) || record.kind() == Kind::Dismiss && is_everybodys() && !is_proposed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Data, End, Keypair, Limits, Policy, Statement, Validity, buckets};

    const NOW: Time = Time(1_800_000_000);

    fn key() -> Keypair {
        Keypair::from_seed([1; 32])
    }

    fn item(data: &str) -> Item {
        Item { bucket: buckets::SHARE_FILES.path(), data: Data::new(data).unwrap() }
    }

    /// Returns a set that admits three records of each signer.
    fn set() -> Set {
        Set::new(Policy::default(), Limits { stranger: 3, ..Limits::default() })
    }

    fn say(set: &mut Set, kind: Kind, data: &str, seconds: u64) {
        let (key, item) = (key(), item(data));
        let former = set.get(&Key { item: item.clone(), signer: key.peer_id() }).map(Record::keep);
        let statement = Statement::new(kind, item, Validity::starting(NOW, seconds)).unwrap();
        let sequence = set.latest_sequence(key.peer_id()) + 1;
        set.admit_verified(Record::sign(statement, &key, sequence, former.unwrap_or_default()), NOW).unwrap();
    }

    fn has_room(set: &Set, now: Time, data: &[&str]) -> bool {
        let items: Vec<Item> = data.iter().map(|data| item(data)).collect();
        Room::new(set, key().peer_id(), now).reserve(&items)
    }

    #[test]
    fn room_is_reserved_for_all_or_for_none_and_never_twice() {
        let mut set = set();
        say(&mut set, Kind::Propose, "a", 100);
        let mut room = Room::new(&set, key().peer_id(), NOW);
        assert!(!room.reserve(&[item("b"), item("c"), item("d")]));
        assert!(room.reserve(&[item("a"), item("b")]), "the signer has a record about a");
        assert!(room.reserve(&[item("c")]) && !room.reserve(&[item("d")]));
    }

    #[test]
    fn a_withdrawn_statement_makes_room_unless_an_active_one_ranks_below_it() {
        let mut set = set();
        for (data, seconds) in [("a", 100), ("b", 200), ("c", 300)] {
            say(&mut set, Kind::Propose, data, seconds);
        }
        assert!(!has_room(&set, NOW, &["d"]));
        say(&mut set, Kind::Propose, "b", 1);
        let later = NOW.plus(1);
        assert!(!has_room(&set, later, &["d"]), "a new record would evict a, which still holds");
        assert_eq!(
            set.spent_until(key().peer_id(), &buckets::SHARE_FILES.path(), later),
            Some(NOW.plus(200))
        );
        say(&mut set, Kind::Propose, "a", 400);
        assert!(has_room(&set, later, &["d"]) && !has_room(&set, later, &["d", "e"]));
        say(&mut set, Kind::Propose, "d", 500);
        let held = ["a", "b", "c", "d"].map(|data| set.item(&item(data), later).is_some());
        assert_eq!(held, [true, false, true, true], "only the spent record was evicted");
    }

    #[test]
    fn a_dismissal_makes_room_when_no_other_signer_proposes_the_item() {
        let mut set = set();
        for data in ["a", "b", "c"] {
            say(&mut set, Kind::Dismiss, data, 100);
        }
        assert!(has_room(&set, NOW, &["d", "e", "f"]));
        let statement = Statement::new(Kind::Propose, item("b"), Validity::starting(NOW, 50)).unwrap();
        let other = Record::sign(statement, &Keypair::from_seed([2; 32]), 1, End::default());
        set.admit_verified(other, NOW).unwrap();
        assert!(
            has_room(&set, NOW, &["d"]) && !has_room(&set, NOW, &["d", "e"]),
            "the dismissal of b is still active"
        );
    }
}
