//! Limits of the set, and the reasons for which it refuses a record.

use crate::Policy;
use crate::buckets::LONGEST_LIFETIME;

const DAY: u64 = 24 * 3600;

/// Maximum time, in seconds, by which the end of a member's statement about itself may lie ahead: ten years. This
/// admits records at nodes whose clock is years behind. No program is used for longer than that without an update.
pub(super) const MEMBER_AHEAD: u64 = 10 * 365 * DAY;

/// Limits on the records of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of records of one member in one quota group, that is, in the buckets of one row of the policy.
    /// The greatest records stay. Records about large items (over 512 bytes) are a group of their own in each row, with
    /// an eighth of this and of the other quotas.
    pub member: usize,
    /// Maximum number of records of one stranger in one quota group.
    pub stranger: usize,
    /// Maximum number of records of all strangers together in one quota group.
    pub strangers: usize,
    /// Maximum length, in seconds, of a validity of a signer without a role; usually [`LONGEST_LIFETIME`].
    pub lifetime: u64,
    /// Maximum time, in seconds, by which the end of such a validity may lie ahead: the lifetime plus a day, because
    /// clocks differ.
    pub ahead: u64,
}

impl Limits {
    /// No limits, for a program that reads another node's answer, whose length is already limited.
    pub const NONE: Self = Self {
        member: usize::MAX,
        stranger: usize::MAX,
        strangers: usize::MAX,
        lifetime: u64::MAX,
        ahead: u64::MAX,
    };

    /// Returns the limits that suit a swarm with this policy. Strangers get higher quotas in a swarm without roles,
    /// where all signers are strangers.
    pub fn of(policy: &Policy) -> Self {
        let (stranger, strangers) = if policy.roots().is_empty() { (4096, 60_000) } else { (1024, 25_000) };
        Self { member: 4096, stranger, strangers, lifetime: LONGEST_LIFETIME, ahead: LONGEST_LIFETIME + DAY }
    }
}

impl Default for Limits {
    /// Returns the limits of the open swarm.
    fn default() -> Self {
        Self::of(&Policy::default())
    }
}

/// Reason why a record was refused. A refused record is neither stored nor forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// The bucket belongs to another peer.
    #[error("the bucket belongs to another peer than the signer")]
    NotOwner,
    /// The record could not count with any role of this swarm.
    #[error("it could not count with any role of this swarm")]
    Powerless,
    /// The record need not be remembered any more.
    #[error("its validity is over")]
    Expired,
    /// The validity has an open end or is too long, and the signer has no role.
    #[error("its validity has an open end, or is longer than allowed without a role")]
    Lifetime,
    /// The validity ends too far in the future.
    #[error("its validity ends too far in the future")]
    Ahead,
    /// A peer with a stronger role denies the signer.
    #[error("its signer is denied, by `revoke peer`")]
    Denied,
    /// The signer's quota is full of greater records.
    #[error("the quota of its signer is full of records that are remembered longer")]
    Quota,
    /// The quota of all strangers together is full of greater records.
    #[error("the quota of all strangers is full of records that are remembered longer")]
    Crowded,
    /// The signature is not valid in this swarm.
    #[error("the signature does not fit, or was made in another swarm")]
    Forged,
}
