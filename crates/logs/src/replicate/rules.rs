//! The inputs, besides the files, on which a node's next steps depend.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::buckets::{LIFETIME, Station};
use crate::choose::renewal_edge;
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
    /// Statements of this node that expire at this time or earlier are renewed.
    pub(super) edge: Time,
}

impl Rules {
    pub(super) fn new(set: &Set, me: PeerId, is_short: bool, now: Time) -> Self {
        let any = Item { bucket: Station::Safe.bucket(), data: Data::default() };
        let may_keep = set.may(Kind::Propose, &any, me, now).is_ok();
        let has_roles = !set.policy().roots().is_empty();
        Self { me, now, may_keep, has_roles, edge: renewal_edge(set, me, LIFETIME, is_short, now) }
    }
}
