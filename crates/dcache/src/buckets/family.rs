//! The columns of the table of bucket families, and the construction of paths.

use crate::bucket::below;
use crate::who::Who;
use crate::{BucketError, BucketPath, CLOCK_LEEWAY, Pattern, PeerId};
use std::marker::PhantomData;

/// Maximum length, in seconds, of a validity from a signer without a role: a little more than the week for which files
/// are shared. Records that last longest rank highest in the quotas. So this also limits how long a stranger's flood of
/// records can occupy a quota.
pub const LONGEST_LIFETIME: u64 = 8 * 24 * 3600;

/// One row of the table: the buckets whose path begins with the family's names.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Path as shown in the documentation, such as `pri/ID/info/hostname`. A name in capitals stands for any name.
    pub path: &'static str,
    /// Glob by which requests name the family, such as `/pri/*/info/hostname`.
    pub pattern: &'static str,
    /// Fact that an item of the family states, as one sentence.
    pub holds: &'static str,
    /// Quota group in which the family's records are counted.
    pub quota: Quota,
    /// Rights in the open swarm, which has no roots.
    pub open: Rights,
    /// Rights in a swarm with roots.
    pub rooted: Rights,
    /// Time for which a statement holds.
    pub lifetime: Lifetime,
    /// Priority with which the family's records are sent.
    pub priority: Priority,
    /// Distance over which the family's records should travel. Nothing uses this column yet.
    pub scope: Scope,
    /// Form of an honest item's data. In the buckets of shared files, the daemon and the CLI refuse data that is not a
    /// CID. The set admits such data, because older versions state it.
    pub form: Form,
    /// Maximum size, in bytes, of an honest item's data. Nothing enforces this column: the limit for every item is
    /// [`crate::MAX_DATA_BYTES`].
    pub max_data: usize,
    /// Names of the path before the variable name; the whole path if there is no variable name.
    pub(super) head: &'static str,
    /// Names of the path after the variable name; empty if there are none.
    pub(super) tail: &'static str,
}

/// The signers that may propose and dismiss items of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Signers whose proposals count.
    pub propose: Who,
    /// Signers whose dismissals count.
    pub dismiss: Who,
}

/// Quota group in which the records of a family are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// A quota group of the family's own: the family is a row of the policy. (In the open swarm, the whole tree `share`
    /// is one group.)
    Own,
    /// The group of the next broader family, whose row of the policy also applies to this one.
    Broader,
}

/// Time for which a statement holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// A number of seconds. A service renews its statement when half of this time is over.
    For(u64),
    /// A time that the signer chooses.
    Chosen,
}

impl Lifetime {
    /// Returns the time, in seconds, for which a service states an item. For [`Lifetime::Chosen`], this is the longest
    /// lifetime that is accepted from a signer without a role, minus [`crate::CLOCK_LEEWAY`].
    pub const fn seconds(self) -> u64 {
        match self {
            Self::For(seconds) => seconds,
            Self::Chosen => LONGEST_LIFETIME - CLOCK_LEEWAY,
        }
    }
}

/// Order in which records are sent if a channel cannot carry all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Sent first: the presence and the addresses of peers, and the shared files.
    Leading,
    /// Sent after the leading records.
    Ordinary,
}

/// Distance over which records travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The node's own networks, and links whose other end requested the records.
    Network,
    /// All nodes of this swarm.
    Swarm,
    /// Other swarms as well, through servers.
    World,
}

/// Form of an item's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// CID of content.
    Cid,
    /// ID of a peer.
    Peer,
    /// Any other text.
    Text,
}

impl Family {
    /// Returns whether the family's rights, lifetime and other columns apply to `bucket`, unless an earlier row of the
    /// table also contains it.
    pub fn contains(&self, bucket: &BucketPath) -> bool {
        let Some(rest) = below(bucket.as_str(), self.head) else { return false };
        self.tail.is_empty() || rest.split_once('/').is_some_and(|(_, rest)| below(rest, self.tail).is_some())
    }

    /// Returns the names of the path before the variable name, or the whole path. This is the prefix of the family's
    /// row of the policy.
    pub(crate) fn tree(&self) -> BucketPath {
        BucketPath::known(self.head)
    }
}

/// A row of the table that can construct paths. `Place` is the kind of its variable name.
#[derive(Debug, PartialEq, Eq)]
pub struct Bucket<Place> {
    family: &'static Family,
    place: PhantomData<Place>,
}

/// Kind of a family with a single path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed;

/// Kind of a family with one path for each peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfPeer;

/// Kind of a family with one path for each name, such as the CID of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfName;

impl<Place> Clone for Bucket<Place> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Place> Copy for Bucket<Place> {}

impl<Place> Bucket<Place> {
    pub(super) const fn new(family: &'static Family) -> Self {
        Self { family, place: PhantomData }
    }

    /// Returns the row of the table.
    pub const fn family(self) -> &'static Family {
        self.family
    }

    /// Returns the glob by which requests name the family, such as `/pri/*/info/hostname`.
    pub const fn pattern(self) -> &'static str {
        self.family.pattern
    }

    /// Returns the matcher of the family's buckets.
    #[expect(clippy::expect_used, reason = "a test compiles the patterns of all rows")]
    pub fn matcher(self) -> Pattern {
        Pattern::new(self.family.pattern).expect("a pattern")
    }

    /// Returns the time, in seconds, for which a service states an item. It renews the statement when half of it is
    /// over.
    pub const fn lifetime(self) -> u64 {
        self.family.lifetime.seconds()
    }

    /// Returns whether `bucket` is one of the family's buckets, or below one.
    pub fn contains(self, bucket: &BucketPath) -> bool {
        self.family.contains(bucket)
    }
}

impl Bucket<Fixed> {
    /// Returns the family's path.
    pub fn path(self) -> BucketPath {
        BucketPath::known(self.family.head)
    }
}

impl Bucket<OfPeer> {
    /// Returns the path of `peer` in the family.
    pub fn of(self, peer: PeerId) -> BucketPath {
        let Family { head, tail, .. } = self.family;
        match tail.is_empty() {
            true => BucketPath::known(&format!("{head}/{peer}")),
            false => BucketPath::known(&format!("{head}/{peer}/{tail}")),
        }
    }

    /// Returns the path `name` below the path of `peer`, for a bucket of a service that needs no row of its own.
    #[expect(clippy::expect_used, reason = "the name is a literal of the program")]
    pub fn below(self, peer: PeerId, name: &'static str) -> BucketPath {
        let path = self.of(peer);
        BucketPath::new(&path.names().chain([name]).collect::<Vec<_>>()).expect("a name of a path")
    }

    /// Returns the peer to which a bucket of the family belongs.
    pub fn peer(self, bucket: &BucketPath) -> Option<PeerId> {
        if !self.contains(bucket) {
            return None;
        }
        below(bucket.as_str(), self.family.head)?.split('/').next()?.parse().ok()
    }
}

impl Bucket<OfName> {
    /// Returns the path of `name` in the family.
    ///
    /// # Errors
    /// Returns an error if `name` is not a single valid name of a path.
    pub fn of(self, name: &str) -> Result<BucketPath, BucketError> {
        let names: Vec<&str> = self.family.head.split('/').chain([name]).collect();
        BucketPath::new(&names)
    }
}
