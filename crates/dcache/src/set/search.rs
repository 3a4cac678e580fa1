//! Search for the records that a request names. It works in portions of limited cost, because strangers may write both
//! the request and the records.

use super::index::first_of;
use super::{Key, Set};
use crate::{BucketPath, Data, Item, Pattern, PeerId, Time};

/// Cost, in steps, of examining one record.
const STEPS_OF_A_RECORD: usize = 50;

/// A resumable search for all records whose bucket matches one of the patterns and that still have to be remembered.
/// The results include records whose validity is over, because the requester may have to remember them too. The results
/// may or may not include a record that is added or dropped during the search.
#[derive(Debug)]
pub struct Search {
    patterns: Vec<Pattern>,
    /// Place at which the search continues, or `None` when the search is complete.
    next: Option<Place>,
}

/// A place in the order of items and signers.
#[derive(Debug)]
struct Place {
    item: Item,
    /// Signer of the last record of this item that was examined.
    after: Option<PeerId>,
    /// Whether the bucket is known to match.
    is_within: bool,
}

impl Place {
    fn at(item: Item, is_within: bool) -> Self {
        Self { item, after: None, is_within }
    }
}

impl Search {
    /// Creates a search for all records whose bucket matches one of the patterns.
    pub fn new(patterns: Vec<Pattern>) -> Self {
        let before_all = Item { bucket: BucketPath::known(""), data: Data::default() };
        Self { patterns, next: Some(Place::at(before_all, false)) }
    }

    /// Returns whether the search is complete.
    pub fn is_done(&self) -> bool {
        self.next.is_none()
    }

    /// Continues the search, and adds the results to `keys`. Stops when `steps` are used up or when `keys` has `most`
    /// entries. Returns the number of steps taken. These exceed `steps` by at most the cost of one bucket or one
    /// record.
    pub fn go_on(&mut self, set: &Set, now: Time, steps: usize, most: usize, keys: &mut Vec<Key>) -> usize {
        let mut taken = 0;
        while taken < steps
            && keys.len() < most
            && let Some(place) = self.next.take()
        {
            let Some(item) = set.items.first_at(&place.item) else { break };
            let is_known = place.is_within && item.bucket == place.item.bucket;
            if !is_known && !self.matches(&item.bucket, &mut taken) {
                self.next = Some(Place::at(first_of(&item.bucket.successor()), false));
                continue;
            }
            let after = place.after.filter(|_| *item == place.item);
            let records = set.records_about(item);
            let begin = after.map_or(0, |last| records.partition_point(|record| record.signer() <= last));
            let room = (steps.saturating_sub(taken) / STEPS_OF_A_RECORD + 1).min(most - keys.len());
            let some = &records[begin..records.len().min(begin.saturating_add(room))];
            taken += STEPS_OF_A_RECORD * some.len();
            keys.extend(some.iter().filter(|record| !record.keep().is_over(now)).map(Key::from));
            self.next = match some.last().filter(|_| begin + some.len() < records.len()) {
                Some(last) => Some(Place { item: item.clone(), after: Some(last.signer()), is_within: true }),
                None => set.items.after(item).map(|next| Place::at(next.clone(), next.bucket == item.bucket)),
            };
        }
        taken
    }

    /// Returns whether a bucket matches, and adds the cost of the check to `taken`.
    fn matches(&self, bucket: &BucketPath, taken: &mut usize) -> bool {
        *taken += STEPS_OF_A_RECORD;
        self.patterns.iter().any(|pattern| {
            *taken += pattern.cost(bucket);
            pattern.matches(bucket)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{End, Keypair, Kind, Record, Statement, Validity};
    use std::collections::BTreeSet;

    const NOW: Time = Time(1_800_000_000);

    fn set() -> Set {
        let mut set = Set::default();
        for (sequence, bucket) in ["share/a", "share/b", "share/b/c", "share/d"].iter().enumerate() {
            for (signer, data, seconds) in [(1, "x", 100), (1, "y", 10), (2, "x", 100)] {
                let item = Item { bucket: bucket.parse().unwrap(), data: Data::new(data).unwrap() };
                let statement =
                    Statement::new(Kind::Propose, item, Validity::starting(NOW, seconds)).unwrap();
                let key = Keypair::from_seed([signer; 32]);
                let record = Record::sign(statement, &key, sequence as u64 + 1, End::default());
                set.admit_verified(record, NOW).unwrap();
            }
        }
        set
    }

    /// Returns the results and the number of portions.
    fn found(set: &Set, patterns: &[&str], now: Time, steps: usize, most: usize) -> (Vec<Key>, usize) {
        let patterns = patterns.iter().map(|pattern| Pattern::new(pattern).unwrap()).collect();
        let (mut search, mut all, mut portions) = (Search::new(patterns), Vec::new(), 0);
        while !search.is_done() {
            let mut portion = Vec::new();
            search.go_on(set, now, steps, most, &mut portion);
            all.extend(portion);
            portions += 1;
        }
        (all, portions)
    }

    #[test]
    fn a_search_finds_the_same_records_in_portions_of_any_size() {
        let set = set();
        for (patterns, number) in [
            (&["*"][..], 12),
            (&["/share/b"], 3),
            (&["/share/b*", "/share/d"], 9),
            (&["/share/[bd]", "/share/b"], 6),
            (&["/none"], 0),
        ] {
            let (whole, portions) = found(&set, patterns, NOW, usize::MAX, usize::MAX);
            assert_eq!((whole.len(), portions), (number, 1), "{patterns:?}");
            for (steps, most) in [(1, usize::MAX), (usize::MAX, 1), (300, 4)] {
                let (parts, portions) = found(&set, patterns, NOW, steps, most);
                assert!(parts == whole && portions > usize::from(number > 3), "{patterns:?} {steps} {most}");
            }
        }
        assert_eq!(
            found(&set, &["*"], NOW.plus(10), usize::MAX, usize::MAX).0.len(),
            8,
            "expired records are left out"
        );
        let unique: BTreeSet<Key> = found(&set, &["*"], NOW, 1, 1).0.into_iter().collect();
        assert_eq!(unique.len(), 12);
    }

    #[test]
    fn a_portion_exceeds_its_steps_by_at_most_one_bucket_or_record_for_any_pattern() {
        let set = set();
        let hostile: Vec<Pattern> =
            (0..8).map(|_| Pattern::new(&("*a".repeat(127) + "b")).unwrap()).collect();
        let bucket: usize = hostile.iter().map(|one| one.cost(&"share/b/c".parse().unwrap())).sum();
        let mut search = Search::new(hostile);
        let mut portions = 0;
        while !search.is_done() {
            assert!(search.go_on(&set, NOW, 1000, 256, &mut Vec::new()) <= 1000 + bucket + 100);
            portions += 1;
        }
        assert!(portions >= 4, "{portions}");
    }
}
