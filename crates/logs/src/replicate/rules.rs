//! The inputs, besides the files, on which a node's next steps depend.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::buckets::{LIFETIME, Station};
use crate::choose::{lifetime_of_own, renewal_edge};
use dcache::{Data, Item, Kind, PeerId, Set, Time};

/// The inputs of the next steps other than the files.
pub(super) struct Rules {
    pub(super) me: PeerId,
    pub(super) now: Time,
    /// Whether this node may state that it keeps a file. If so, it need not state that it verified the file, which
    /// saves a record.
    pub(super) may_keep: bool,
    /// Whether this swarm has roles. Without roles, every signer is a stranger.
    pub(super) has_roles: bool,
    /// Lifetime of statements about files of other peers, and about own files.
    lifetimes: (u64, u64),
    /// Statements of this node that expire at these times or earlier are renewed: those about files of other peers, and
    /// those about own files.
    edges: (Time, Time),
}

impl Rules {
    /// `has_many_own` tells whether this node shares so many files that its catalogue lists them.
    pub(super) fn new(set: &Set, me: PeerId, (is_short, has_many_own): (bool, bool), now: Time) -> Self {
        let any = Item { bucket: Station::Safe.bucket(), data: Data::default() };
        let may_keep = set.may(Kind::Propose, &any, me, now).is_ok();
        let has_roles = !set.policy().roots().is_empty();
        let lifetimes = (LIFETIME, lifetime_of_own(has_many_own));
        let edge = |lifetime| renewal_edge(set, me, lifetime, is_short, now);
        Self { me, now, may_keep, has_roles, lifetimes, edges: (edge(lifetimes.0), edge(lifetimes.1)) }
    }

    /// Returns the lifetime of a statement about a file.
    pub(super) fn lifetime(&self, is_own: bool) -> u64 {
        if is_own { self.lifetimes.1 } else { self.lifetimes.0 }
    }

    /// Returns the time until which a statement about a file must last. A statement that ends earlier is renewed.
    pub(super) fn edge(&self, is_own: bool) -> Time {
        if is_own { self.edges.1 } else { self.edges.0 }
    }
}
