//! Limits the disk space per uploader, so that no uploader fills the disk alone. Members of the swarm have precedence
//! over strangers.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::index::SharedFile;
use crate::info::Description;
use dcache::{PeerId, Role, Set, Time};
use ipfs::Cid;
use std::collections::{BTreeMap, BTreeSet};

/// Divisor of the store's capacity that gives the space reserved for small uploaders: a quarter. An uploader is small
/// when it uses less than this space.
const RESERVED: u64 = 4;
/// Divisor of the store's capacity that gives the space for all strangers together in a swarm with roots: a half.
const FOR_STRANGERS: u64 = 2;

/// Disk space used by each uploader, and the uploaders that are members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Uploaders with a role; `None` in a swarm without roots, where every peer counts as a member.
    members: Option<BTreeSet<PeerId>>,
    /// Bytes of kept files, by uploader, without this node's own files.
    bytes: BTreeMap<PeerId, u64>,
}

/// Returns the peer that is accountable for a file by its signature. The uploader that an info file names is not
/// verified, since any peer could have written the info file.
pub(crate) fn uploader(file: &SharedFile) -> Option<PeerId> {
    let described = file.description.as_ref().filter(|_| file.is_described_by_uploader);
    described.map(|description| description.uploader).or_else(|| file.proposers.keys().next().copied())
}

impl Shares {
    /// Sums up the kept files of peers other than `me`.
    pub(crate) fn new(
        kept: &BTreeMap<Cid, Description>,
        files: &BTreeMap<Cid, SharedFile>,
        (set, me, now): (&Set, PeerId, Time),
    ) -> Self {
        let mut bytes: BTreeMap<PeerId, u64> = BTreeMap::new();
        for (cid, description) in kept.iter().filter(|(_, description)| description.uploader != me) {
            let uploader = files.get(cid).and_then(uploader).unwrap_or(description.uploader);
            let sum = bytes.entry(uploader).or_default();
            *sum = sum.saturating_add(description.size);
        }
        let has_roots = !set.policy().roots().is_empty();
        // Every stranger can state that it is present, so the role *peer* does not make it a member.
        let uploaders = || files.values().filter_map(uploader).chain(bytes.keys().copied());
        let of_role = |peers: BTreeSet<PeerId>| {
            peers.into_iter().filter(|peer| set.role(*peer, now) >= Some(Role::Trusted)).collect()
        };
        let members = has_roots.then(|| of_role(uploaders().collect()));
        Self { members, bytes }
    }

    /// Returns whether a peer has a role, or the swarm has no roles.
    pub(crate) fn is_member(&self, uploader: Option<PeerId>) -> bool {
        self.members.as_ref().is_none_or(|members| uploader.is_some_and(|peer| members.contains(&peer)))
    }

    /// Returns whether this node keeps a file of this uploader.
    pub(crate) fn is_proven(&self, uploader: Option<PeerId>) -> bool {
        uploader.is_some_and(|peer| self.bytes.contains_key(&peer))
    }

    /// Returns the bytes of all kept files of other peers.
    pub(crate) fn total(&self) -> u64 {
        self.bytes.values().fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }

    /// Returns whether a file of this size and uploader may be kept in a store of `capacity` bytes.
    pub(crate) fn fits(&self, uploader: Option<PeerId>, size: u64, capacity: u64) -> bool {
        let of = |peer: PeerId| self.bytes.get(&peer).copied().unwrap_or_default();
        let after = uploader.map_or(0, of).saturating_add(size);
        let is_small_share = after <= capacity / RESERVED;
        let reserved = if is_small_share { 0 } else { capacity / RESERVED };
        let all = self.total().saturating_add(size);
        if all > capacity.saturating_sub(reserved) {
            // When the store is full, the store itself reports this with a better message.
            return is_small_share;
        }
        let is_stranger = |peer: &PeerId| !self.is_member(Some(*peer));
        let of_strangers = self.bytes.iter().filter(|(peer, _)| is_stranger(peer));
        let of_strangers = of_strangers.fold(size, |sum, (_, bytes)| sum.saturating_add(*bytes));
        self.is_member(uploader) || of_strangers <= capacity / FOR_STRANGERS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buckets::Station;
    use crate::index::index;
    use crate::index::tests::{NOW, cid, description, peer, presence, say};
    use dcache::{Kind, Limits, Policy};
    use std::num::NonZeroU8;

    fn shares(bytes: &[(u8, u64)], members: Option<&[u8]>) -> Shares {
        let members = members.map(|members| members.iter().map(|seed| peer(*seed)).collect());
        Shares { members, bytes: bytes.iter().map(|(seed, bytes)| (peer(*seed), *bytes)).collect() }
    }

    #[test]
    fn one_peer_cannot_fill_the_disk_and_the_rest_is_for_other_peers() {
        let full = shares(&[(1, 750)], None);
        assert!(!full.fits(Some(peer(1)), 1, 1000));
        assert!(full.fits(Some(peer(2)), 200, 1000));
        assert!(!full.fits(Some(peer(2)), 300, 1000), "the store is full");
        assert!(shares(&[], None).fits(Some(peer(1)), 750, 1000), "one uploader may use three quarters");
    }

    #[test]
    fn all_strangers_together_leave_half_to_members() {
        let strangers = shares(&[(1, 200), (2, 200)], Some(&[9]));
        assert!(strangers.fits(Some(peer(3)), 100, 1000));
        assert!(!strangers.fits(Some(peer(3)), 101, 1000));
        assert!(strangers.fits(Some(peer(9)), 350, 1000));
    }

    #[test]
    fn a_file_counts_for_the_peer_that_signed_its_proposal() {
        let root = peer(9);
        let mut set = Set::new(Policy::new([root].into(), Vec::new(), NonZeroU8::MIN), Limits::default());
        // The info file names peer 1, but only peer 2 signed a proposal. Its presence does not make it a member.
        say(&mut set, 2, Kind::Propose, presence(2), 100);
        say(&mut set, 2, Kind::Propose, Station::Files.item(&cid()), 100);
        let kept = BTreeMap::from([(cid(), description(1, "a.bag"))]);
        let shares = Shares::new(&kept, &index(&set, NOW), (&set, peer(7), NOW));
        assert_eq!(shares.bytes, BTreeMap::from([(peer(2), 5)]));
        assert!(!shares.is_member(Some(peer(2))) && shares.is_proven(Some(peer(2))));
        assert!(Shares::new(&kept, &index(&set, NOW), (&set, peer(1), NOW)).bytes.is_empty(), "own files");
    }
}
