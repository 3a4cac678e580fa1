//! What the quotas count together. They bound bytes as well as records: large items have quotas of their own, an eighth of
//! those of the others.
//!
//! Why not a sum of bytes? Of two records about one item the greater may be the shorter, and of many records the short
//! ones fit where a long one did not. So what a set holds would depend on what came when. How long an *item* is never
//! changes, and each group still counts records; so the argument of [`super`] holds in each.

use super::Set;
use crate::policy::QuotaGroup;
use crate::{BucketPath, Item, PeerId};

/// Bytes of an item, path and data together, above which it is large. No service states such items as a rule: the longest
/// description of a file has some 450.
const LARGE_BYTES: usize = 512;
/// The part of a quota that large items have.
const PART_OF_LARGE: usize = 8;

/// The records that a quota counts together: those in the buckets of one row of the policy, about large items or others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    row: QuotaGroup,
    is_large: bool,
}

impl Group {
    /// The first and the last of all.
    pub(super) const MIN: Self = Self { row: QuotaGroup::MIN, is_large: false };
    pub(super) const MAX: Self = Self { row: QuotaGroup::MAX, is_large: true };

    /// Returns the part of a quota that the group has.
    fn part(self, quota: usize) -> usize {
        if self.is_large { quota.div_ceil(PART_OF_LARGE) } else { quota }
    }
}

impl Set {
    /// Returns the group of an item.
    pub(super) fn group(&self, item: &Item) -> Group {
        let bytes = item.bucket.as_str().len() + item.data.as_str().len();
        Group { row: self.policy.quota_group(&item.bucket), is_large: bytes > LARGE_BYTES }
    }

    /// Returns the group of the items of a bucket that are not large.
    pub(super) fn usual_group(&self, bucket: &BucketPath) -> Group {
        Group { row: self.policy.quota_group(bucket), is_large: false }
    }

    /// Returns the groups of all items of a bucket.
    pub(super) fn groups_of(&self, bucket: &BucketPath) -> [Group; 2] {
        let usual = self.usual_group(bucket);
        [usual, Group { is_large: true, ..usual }]
    }

    /// Returns how many records of a signer a group takes.
    pub(super) fn quota(&self, signer: PeerId, group: Group) -> usize {
        let is_member = self.authority.is_member(signer);
        group.part(if is_member { self.limits.member } else { self.limits.stranger })
    }

    /// Returns how many records of all strangers together a group takes.
    pub(super) fn quota_of_strangers(&self, group: Group) -> usize {
        group.part(self.limits.strangers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Data, End, Keypair, Kind, Limits, Policy, Record, Refusal, Statement, Time, Validity};

    const NOW: Time = Time(1_800_000_000);

    fn say(set: &mut Set, sequence: u64, bytes: usize) -> Result<(), Refusal> {
        let data = Data::new(&format!("{sequence:0>bytes$}")).unwrap();
        let item = Item { bucket: "share/notes".parse().unwrap(), data };
        let statement =
            Statement::new(Kind::Propose, item, Validity::starting(NOW, 1000 - sequence)).unwrap();
        let record = Record::sign(statement, &Keypair::from_seed([1; 32]), sequence, End::default());
        set.admit_verified(record, NOW).map(|_| ())
    }

    #[test]
    fn large_items_have_an_eighth_of_the_room_and_take_none_from_the_others() {
        let mut set = Set::new(Policy::default(), Limits { stranger: 40, ..Limits::default() });
        let large: Vec<bool> = (0..10).map(|n| say(&mut set, n, 600).is_ok()).collect();
        assert_eq!(large.iter().filter(|taken| **taken).count(), 5, "those that are remembered longest");
        let usual = (10..100).filter(|n| say(&mut set, *n, 500).is_ok()).count();
        assert_eq!((usual, set.len()), (40, 45));
    }

    #[test]
    fn what_strangers_can_make_a_set_hold_is_bounded_in_bytes() {
        let limits = Limits::default();
        let longest = crate::MAX_DATA_BYTES + crate::MAX_NAMES * (crate::MAX_NAME_BYTES + 1);
        let most = limits.strangers * LARGE_BYTES + limits.strangers.div_ceil(PART_OF_LARGE) * longest;
        assert!(most < limits.strangers * longest / 2, "{most}");
    }
}
