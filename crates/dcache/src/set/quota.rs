//! Quota groups: the records that a quota counts together.
//!
//! The quotas also limit the size in bytes. For this, large items have separate quotas, an eighth of the others. A
//! quota on the sum of bytes would not work. The greater of two records about one item may have fewer bytes, and
//! several small records may fit where a large one did not fit. The content of a set would then depend on the order of
//! arrival. The size of an *item* never changes, and each group counts records, so the argument of [`super`] is valid
//! in each group.

use super::Set;
use crate::authority::is_of_role;
use crate::policy::QuotaGroup;
use crate::{BucketPath, Item, Limits, PeerId, buckets};

/// Size of an item, in bytes of path and data together, above which it is large. Services normally state no such items:
/// the longest description of a file has about 450 bytes.
const LARGE_BYTES: usize = 512;
/// Divisor of a quota that gives the quota of large items.
const PART_OF_LARGE: usize = 8;

/// Maximum number of records of one signer in a quota group of roles or denials, even if the signer is a member. Each
/// change of a role computes all roles from these records. A swarm has at most some thousand members, and several
/// admins can share the work of naming them.
const ROLE_RECORDS: usize = 2048;
/// Maximum number of records of all strangers together in a bucket in which roles are given. Such a record counts only
/// if its signer gets a role later.
const ROLE_RECORDS_OF_STRANGERS: usize = 4096;

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
        let quota = if is_member { self.limits.member } else { self.limits.stranger };
        group.part(self.of_roles(group, quota, (ROLE_RECORDS, ROLE_RECORDS)))
    }

    /// Returns `quota`, or the smaller one of these two quotas in a group of roles and in the group of denials. With
    /// [`Limits::NONE`] there are no quotas.
    fn of_roles(&self, group: Group, quota: usize, (roles, denials): (usize, usize)) -> usize {
        let bucket = self.policy.bucket_of(group.row).filter(|_| self.limits != Limits::NONE);
        let is_of_denials = |bucket: &BucketPath| bucket.as_str() == buckets::PEER.family().path;
        match bucket {
            Some(bucket) if is_of_role(bucket) => quota.min(roles),
            Some(bucket) if is_of_denials(bucket) => quota.min(denials),
            _ => quota,
        }
    }

    /// Returns the maximum number of records of all strangers together in a group.
    pub(super) fn quota_of_strangers(&self, group: Group) -> usize {
        // Each present peer has a record in the group of denials, so that group has the usual quota.
        group.part(self.of_roles(group, self.limits.strangers, (ROLE_RECORDS_OF_STRANGERS, usize::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Data, End, Keypair, Kind, Policy, Record, Refusal, Statement, Time, Validity};

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
    fn a_member_has_a_smaller_quota_for_roles_and_denials_than_for_other_statements() {
        let policy =
            Policy::new([Keypair::from_seed([1; 32]).peer_id()].into(), Vec::new(), std::num::NonZeroU8::MIN);
        let set = Set::new(policy.clone(), Limits::of(&policy));
        let me = Keypair::from_seed([1; 32]).peer_id();
        let quota = |bucket: &str| set.quota(me, set.usual_group(&bucket.parse().unwrap()));
        assert_eq!(["trusted", "admin", "peer"].map(quota), [ROLE_RECORDS; 3]);
        assert_eq!(["share/files", "uploads/x"].map(quota), [Limits::of(&policy).member; 2]);
        let all = |bucket: &str| set.quota_of_strangers(set.usual_group(&bucket.parse().unwrap()));
        assert_eq!(["trusted", "peer"].map(all), [ROLE_RECORDS_OF_STRANGERS, Limits::of(&policy).strangers]);
        assert_eq!(
            Set::new(policy, Limits::NONE).quota(me, set.usual_group(&"trusted".parse().unwrap())),
            usize::MAX
        );
    }

    #[test]
    fn the_size_of_all_records_of_strangers_is_bounded_in_bytes() {
        let limits = Limits::default();
        let longest = crate::MAX_DATA_BYTES + crate::MAX_NAMES * (crate::MAX_NAME_BYTES + 1);
        let most = limits.strangers * LARGE_BYTES + limits.strangers.div_ceil(PART_OF_LARGE) * longest;
        assert!(most < limits.strangers * longest / 2, "{most}");
    }
}
