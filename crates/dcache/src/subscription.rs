//! Subscriptions to changes in the buckets that match a pattern: items that appear or disappear, and changes of their
//! signers.

use crate::{Item, Pattern, PeerId, Set, Time};
use std::collections::{BTreeMap, BTreeSet};

/// A change of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The item is now in its bucket.
    Appeared {
        /// Item that appeared.
        item: Item,
        /// Signers of its accepted proposals.
        signers: BTreeSet<PeerId>,
    },
    /// The item is still in its bucket, but the signers of its accepted proposals have changed.
    Signers {
        /// Item whose signers changed.
        item: Item,
        /// Signers of its accepted proposals now.
        signers: BTreeSet<PeerId>,
    },
    /// The item is not in its bucket any more.
    Gone {
        /// Item that is gone.
        item: Item,
    },
}

/// A subscription, with the state that was last reported. The owner of the set calls [`Subscription::changes`] when the
/// set may have changed, and at the time of [`Subscription::next`]. The first call reports all items as new.
#[derive(Clone, Debug)]
pub struct Subscription {
    pattern: Pattern,
    shown: BTreeMap<Item, BTreeSet<PeerId>>,
}

impl Subscription {
    /// Subscribes to the items in matching buckets.
    pub fn new(pattern: Pattern) -> Self {
        Self { pattern, shown: BTreeMap::new() }
    }

    /// Returns the pattern of the buckets.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Returns the changes since the last call, in the order of the items.
    pub fn changes(&mut self, set: &Set, now: Time) -> Vec<Change> {
        let mut before = std::mem::take(&mut self.shown);
        let mut changes = BTreeMap::new();
        for view in set.matching(&self.pattern, now) {
            let signers: BTreeSet<PeerId> = view.proposals.iter().map(|record| record.signer()).collect();
            let (item, now) = (view.item.clone(), signers.clone());
            let change = match before.remove(&item) {
                None => Some(Change::Appeared { item, signers: now }),
                Some(before) if before != now => Some(Change::Signers { item, signers: now }),
                Some(_) => None,
            };
            changes.extend(change.map(|change| (view.item.clone(), change)));
            self.shown.insert(view.item.clone(), signers);
        }
        changes.extend(before.into_keys().map(|item| (item.clone(), Change::Gone { item })));
        changes.into_values().collect()
    }

    /// Returns when items may change without a new record, because a record begins or ceases to hold.
    pub fn next(&self, set: &Set, now: Time) -> Option<Time> {
        set.next_edge(std::slice::from_ref(&self.pattern), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Data, End, Keypair, Kind, Record, Statement, Validity};

    const NOW: Time = Time(1_800_000_000);

    fn say(set: &mut Set, seed: u8, sequence: u64, kind: Kind, data: &str, from: u64, seconds: u64) {
        let item = Item { bucket: "share/files".parse().unwrap(), data: Data::new(data).unwrap() };
        let statement = Statement::new(kind, item, Validity::starting(NOW.plus(from), seconds)).unwrap();
        let record = Record::sign(statement, &Keypair::from_seed([seed; 32]), sequence, End::default());
        set.admit_verified(record, NOW).unwrap();
    }

    fn told(subscription: &mut Subscription, set: &Set, seconds: u64) -> Vec<String> {
        let text = |change| match change {
            Change::Appeared { item, signers } => format!("+{} {}", item.data, signers.len()),
            Change::Signers { item, signers } => format!("={} {}", item.data, signers.len()),
            Change::Gone { item } => format!("-{}", item.data),
        };
        subscription.changes(set, NOW.plus(seconds)).into_iter().map(text).collect()
    }

    #[test]
    fn changes_are_reported_whether_records_or_the_time_cause_them() {
        let mut set = Set::default();
        let mut all = Subscription::new(Pattern::new("/share/*").unwrap());
        say(&mut set, 1, 1, Kind::Propose, "a", 0, 100);
        say(&mut set, 1, 2, Kind::Propose, "later", 50, 10);
        assert_eq!(told(&mut all, &set, 0), ["+a 1"]);
        assert!(told(&mut all, &set, 1).is_empty());
        say(&mut set, 2, 1, Kind::Propose, "a", 0, 20);
        assert_eq!(told(&mut all, &set, 1), ["=a 2"]);
        let edges = [0, 20, 50, 60].map(|after| all.next(&set, NOW.plus(after)));
        assert_eq!(edges, [20, 50, 60, 100].map(|at| Some(NOW.plus(at))));
        assert_eq!(told(&mut all, &set, 20), ["=a 1"]);
        assert_eq!(told(&mut all, &set, 50), ["+later 1"]);
        say(&mut set, 3, 1, Kind::Dismiss, "a", 50, 10);
        assert_eq!(told(&mut all, &set, 55), ["-a"]);
        assert_eq!(told(&mut all, &set, 60), ["+a 1", "-later"]);
        assert_eq!(all.next(&set, NOW.plus(100)), None);
    }
}
