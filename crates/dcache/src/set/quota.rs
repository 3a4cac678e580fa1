//! Quota groups: the records that a quota counts together.
//!
//! The quotas also limit the size in bytes. For this, large items have separate quotas, an eighth of the others. A
//! quota on the sum of bytes would not work. The greater of two records about one item may have fewer bytes, and
//! several small records may fit where a large one did not fit. The content of a set would then depend on the order of
//! arrival. The size of an *item* never changes, and each group counts records, so the argument of [`super`] is valid
//! in each group.

use super::Set;
use crate::policy::QuotaGroup;
use crate::{BucketPath, Item, PeerId};

/// Size of an item, in bytes of path and data together, above which it is large. Services normally state no such items:
/// the longest description of a file has about 450 bytes.
const LARGE_BYTES: usize = 512;
/// Divisor of a quota that gives the quota of large items.
const PART_OF_LARGE: usize = 8;

/// A quota group: the records in the buckets of one row of the policy, either about large items or about the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    row: QuotaGroup,
    is_large: bool,
}

impl Group {
    /// The first of all groups.
    pub(super) const MIN: Self = Self { row: QuotaGroup::MIN, is_large: false };
    pub(super) const MAX: Self = Self { row: QuotaGroup::MAX, is_large: true };

    /// Returns the group's share of a quota.
    fn part(self, quota: usize) -> usize {
        if self.is_large { quota.div_ceil(PART_OF_LARGE) } else { quota }
    }
}

impl Set {
    /// Returns the quota group of an item.
    pub(super) fn group(&self, item: &Item) -> Group {
        let bytes = item.bucket.as_str().len() + item.data.as_str().len();
        Group { row: self.policy.quota_group(&item.bucket), is_large: bytes > LARGE_BYTES }
    }

    /// Returns the quota group of the items of a bucket that are not large.
    pub(super) fn usual_group(&self, bucket: &BucketPath) -> Group {
        Group { row: self.policy.quota_group(bucket), is_large: false }
    }

    /// Returns both quota groups of the items of a bucket.
    pub(super) fn groups_of(&self, bucket: &BucketPath) -> [Group; 2] {
        let usual = self.usual_group(bucket);
        [usual, Group { is_large: true, ..usual }]
    }

    /// Returns the maximum number of records of one signer in a group.
    pub(super) fn quota(&self, signer: PeerId, group: Group) -> usize {
        let is_member = self.authority.is_member(signer);
        group.part(if is_member { self.limits.member } else { self.limits.stranger })
    }

    /// Returns the maximum number of records of all strangers together in a group.
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
    fn large_items_have_an_eighth_of_the_quota_and_do_not_evict_others() {
        let mut set = Set::new(Policy::default(), Limits { stranger: 40, ..Limits::default() });
        let large: Vec<bool> = (0..10).map(|n| say(&mut set, n, 600).is_ok()).collect();
        assert_eq!(
            large.iter().filter(|taken| **taken).count(),
            5,
            "the records that are remembered longest stay"
        );
        let usual = (10..100).filter(|n| say(&mut set, *n, 500).is_ok()).count();
        assert_eq!((usual, set.len()), (40, 45));
    }

    #[test]
    fn the_size_of_all_records_of_strangers_is_bounded_in_bytes() {
        let limits = Limits::default();
        let longest = crate::MAX_DATA_BYTES + crate::MAX_NAMES * (crate::MAX_NAME_BYTES + 1);
        let most = limits.strangers * LARGE_BYTES + limits.strangers.div_ceil(PART_OF_LARGE) * longest;
        assert!(most < limits.strangers * longest / 2, "{most}");
    }
}
