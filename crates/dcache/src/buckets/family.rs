//! What a row of the table of bucket families says, and how paths of the family are made.

use crate::bucket::below;
use crate::who::Who;
use crate::{BucketError, BucketPath, CLOCK_LEEWAY, Pattern, PeerId};
use std::marker::PhantomData;

/// Longest validity, in seconds, that is accepted from a signer without a role: a little more than the week for which
/// files are shared. Records that last longest rank highest in the quotas, so this also limits how long a flood of
/// strangers' records can last.
pub const LONGEST_LIFETIME: u64 = 8 * 24 * 3600;

/// The buckets whose path begins with the family's names: one row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// The path as documentation shows it, such as `pri/ID/info/hostname`. A name in capitals stands for any name.
    pub path: &'static str,
    /// The glob that requests name the family by, such as `/pri/*/info/hostname`.
    pub pattern: &'static str,
    /// The fact that an item of the family states, as one sentence.
    pub holds: &'static str,
    /// Where the quotas count the family's records.
    pub quota: Quota,
    /// The rights in the open swarm, which has no roots.
    pub open: Rights,
    /// The rights in a swarm with roots.
    pub rooted: Rights,
    /// How long a statement holds.
    pub lifetime: Lifetime,
    /// How early the family's records are sent.
    pub priority: Priority,
    /// How far the family's records are meant to travel. Nothing uses this column yet.
    pub scope: Scope,
    /// What the data of an honest item is. The daemon and the CLI refuse to state in a bucket of shared files what is no
    /// CID; the set admits it, since older versions say it.
    pub form: Form,
    /// Bytes that the data of an honest item has at most. Nothing enforces this column: the limit for every item is
    /// [`crate::MAX_DATA_BYTES`].
    pub max_data: usize,
    /// The names before the variable one, or the whole path.
    pub(super) head: &'static str,
    /// The names after the variable one; empty when there are none.
    pub(super) tail: &'static str,
}

/// Who may propose an item of a family, and who may dismiss one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// The signers whose proposals count.
    pub propose: Who,
    /// The signers whose dismissals count.
    pub dismiss: Who,
}

/// Where the quotas count the records of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// In a quota group of the family's own: the family is a row of the policy. (In the open swarm the whole tree
    /// `share` is one group.)
    Own,
    /// Together with the next broader family, whose row of the policy also rules this one.
    Broader,
}

/// How long a statement holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// This many seconds; a service renews its statement when half of them are over.
    For(u64),
    /// The signer chooses.
    Chosen,
}

impl Lifetime {
    /// Returns the seconds for which a service states an item: where the signer chooses, the most that are accepted
    /// from everybody, less what [`crate::Validity::stated`] adds before.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::For(seconds) => seconds,
            Self::Chosen => LONGEST_LIFETIME - CLOCK_LEEWAY,
        }
    }
}

/// How early a record is sent when a channel cannot carry everything at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Before everything else: who is where, and which files there are.
    Leading,
    /// After that.
    Ordinary,
}

/// How far records travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// On the node's own networks, and over links whose other end asked for it.
    Network,
    /// Everywhere in this swarm.
    Swarm,
    /// Also between swarms, by servers.
    World,
}

/// What the data of an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The CID of content.
    Cid,
    /// The ID of a peer.
    Peer,
    /// Another text.
    Text,
}

impl Family {
    /// Returns whether the family's rights, lifetime and so on apply to `bucket`, unless an earlier row of the table
    /// contains it as well.
    pub fn contains(&self, bucket: &BucketPath) -> bool {
        let Some(rest) = below(bucket.as_str(), self.head) else { return false };
        self.tail.is_empty() || rest.split_once('/').is_some_and(|(_, rest)| below(rest, self.tail).is_some())
    }

    /// Returns the names before the variable one, or the whole path: what the row of the policy for it begins with.
    pub(crate) fn tree(&self) -> BucketPath {
        BucketPath::known(self.head)
    }
}

/// A row of the table whose paths can be made: `Place` says what their variable name stands for.
#[derive(Debug, PartialEq, Eq)]
pub struct Bucket<Place> {
    family: &'static Family,
    place: PhantomData<Place>,
}

/// The family has one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed;

/// The family has one path a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfPeer;

/// The family has one path a name, such as the CID of a file.
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

    /// Returns the glob that requests name the family by, such as `/pri/*/info/hostname`.
    pub const fn pattern(self) -> &'static str {
        self.family.pattern
    }

    /// Returns the matcher of the family's buckets.
    #[expect(clippy::expect_used, reason = "a test compiles the patterns of all rows")]
    pub fn matcher(self) -> Pattern {
        Pattern::new(self.family.pattern).expect("a pattern")
    }

    /// Returns the seconds for which a service states an item; it renews the statement when half of them are over.
    pub const fn lifetime(self) -> u64 {
        self.family.lifetime.seconds()
    }

    /// Returns whether `bucket` is one of the family's, or below one.
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

    /// Returns the path `name` below the path of `peer`. For a bucket of a service that needs no row of its own.
    #[expect(clippy::expect_used, reason = "the name is a literal of the program")]
    pub fn below(self, peer: PeerId, name: &'static str) -> BucketPath {
        let path = self.of(peer);
        BucketPath::new(&path.names().chain([name]).collect::<Vec<_>>()).expect("a name of a path")
    }

    /// Returns the peer of whom a bucket of the family tells.
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
    /// When `name` is not one valid name of a path.
    pub fn of(self, name: &str) -> Result<BucketPath, BucketError> {
        let names: Vec<&str> = self.family.head.split('/').chain([name]).collect();
        BucketPath::new(&names)
    }
}
