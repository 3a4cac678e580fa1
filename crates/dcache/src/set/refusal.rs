//! What the set does not take.

use crate::Policy;
use crate::buckets::LONGEST_LIFETIME;

const DAY: u64 = 24 * 3600;

/// How far ahead, in seconds, the end of what a member states of itself may lie: ten years, for nodes whose clock is that far
/// behind. No program is used for longer without an update.
pub(super) const MEMBER_AHEAD: u64 = 10 * 365 * DAY;

/// How much the set takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records of one member in one quota group, that is, in the buckets of one row of the policy; of more, the
    /// greatest stay. Records about large items (of more than 512 bytes) are a group of their own in each row, with an
    /// eighth of this and of the other quotas.
    pub member: usize,
    /// The same for a stranger.
    pub stranger: usize,
    /// Records of all strangers together in one quota group.
    pub strangers: usize,
    /// The longest validity of a signer without a role, in seconds; usually [`LONGEST_LIFETIME`].
    pub lifetime: u64,
    /// How far ahead, in seconds, the end of such a validity may lie: the lifetime, and a day for clocks that differ.
    pub ahead: u64,
}

impl Limits {
    /// No limits: for whoever reads an answer whose length is bounded already.
    pub const NONE: Self = Self {
        member: usize::MAX,
        stranger: usize::MAX,
        strangers: usize::MAX,
        lifetime: u64::MAX,
        ahead: u64::MAX,
    };

    /// What suits a swarm with this policy: where nobody has a role, strangers are all there are.
    pub fn of(policy: &Policy) -> Self {
        let (stranger, strangers) = if policy.roots().is_empty() { (4096, 60_000) } else { (1024, 25_000) };
        Self { member: 4096, stranger, strangers, lifetime: LONGEST_LIFETIME, ahead: LONGEST_LIFETIME + DAY }
    }
}

impl Default for Limits {
    /// Those of the open swarm.
    fn default() -> Self {
        Self::of(&Policy::default())
    }
}

/// Why a record was not let in. Nothing that is refused is stored or passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// The bucket belongs to another peer.
    #[error("the bucket belongs to another peer than the signer")]
    NotOwner,
    /// No role of this swarm could ever make it count.
    #[error("nobody can ever make it count in this swarm")]
    Powerless,
    /// It need not be remembered any more.
    #[error("its validity is over")]
    Expired,
    /// Its validity has an open end or is too long, and its signer has no role.
    #[error("its validity has an open end, or is longer than allowed without a role")]
    Lifetime,
    /// It is about times that are too far ahead.
    #[error("its validity ends too far in the future")]
    Ahead,
    /// Somebody with a stronger role denies its signer.
    #[error("its signer is denied, by `revoke peer`")]
    Denied,
    /// Its signer has many greater records.
    #[error("its signer has said too much else")]
    Quota,
    /// Strangers together have many greater records.
    #[error("strangers have said too much else")]
    Crowded,
    /// The signature does not fit in this swarm.
    #[error("the signature does not fit, or was made in another swarm")]
    Forged,
}
