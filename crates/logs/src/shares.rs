//! Shares of the disk for uploaders, so that none fills it alone, and who of them is a member.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::index::SharedFile;
use crate::info::Description;
use dcache::{PeerId, Set, Time};
use ipfs::Cid;
use std::collections::{BTreeMap, BTreeSet};

/// Part of the store that stays for uploaders who have less than this part of it: a quarter.
const RESERVED: u64 = 4;
/// Part of the store that all who are no members fill together in a swarm with roots: a half.
const FOR_STRANGERS: u64 = 2;

/// What the files of each uploader take, and who is a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Uploaders with a role; `None` in a swarm without roots, where everybody is as good.
    members: Option<BTreeSet<PeerId>>,
    /// Bytes of kept files of each other peer.
    bytes: BTreeMap<PeerId, u64>,
}

/// Returns the peer that answers for a file by its signature. What an info file says of its uploader is the word of the
/// stranger who made it.
pub(crate) fn uploader(file: &SharedFile) -> Option<PeerId> {
    let described = file.description.as_ref().filter(|_| file.is_described_by_uploader);
    described.map(|description| description.uploader).or_else(|| file.proposers.keys().next().copied())
}

impl Shares {
    /// Adds up the kept files of other peers than `me`.
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
        let uploaders = || files.values().filter_map(uploader).chain(bytes.keys().copied());
        let of_role = |peers: BTreeSet<PeerId>| {
            peers.into_iter().filter(|peer| set.role(*peer, now).is_some()).collect()
        };
        let members = has_roots.then(|| of_role(uploaders().collect()));
        Self { members, bytes }
    }

    /// Returns whether a peer has a role, or nobody has one.
    pub(crate) fn is_member(&self, uploader: Option<PeerId>) -> bool {
        self.members.as_ref().is_none_or(|members| uploader.is_some_and(|peer| members.contains(&peer)))
    }

    /// Returns whether a file of this uploader is kept.
    pub(crate) fn is_proven(&self, uploader: Option<PeerId>) -> bool {
        uploader.is_some_and(|peer| self.bytes.contains_key(&peer))
    }

    /// Returns the bytes of all kept files of other peers.
    pub(crate) fn total(&self) -> u64 {
        self.bytes.values().fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }

    /// Returns whether a file of this size and uploader may be kept in a store for `capacity` bytes.
    pub(crate) fn fits(&self, uploader: Option<PeerId>, size: u64, capacity: u64) -> bool {
        let of = |peer: PeerId| self.bytes.get(&peer).copied().unwrap_or_default();
        let after = uploader.map_or(0, of).saturating_add(size);
        let is_small_share = after <= capacity / RESERVED;
        let reserved = if is_small_share { 0 } else { capacity / RESERVED };
        let all = self.total().saturating_add(size);
        if all > capacity.saturating_sub(reserved) {
            // What is full is said by the store itself, in better words.
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
    use crate::index::tests::{NOW, cid, description, peer, say};
    use dcache::{Kind, Limits, Policy};
    use std::num::NonZeroU8;

    fn shares(bytes: &[(u8, u64)], members: Option<&[u8]>) -> Shares {
        let members = members.map(|members| members.iter().map(|seed| peer(*seed)).collect());
        Shares { members, bytes: bytes.iter().map(|(seed, bytes)| (peer(*seed), *bytes)).collect() }
    }

    #[test]
    fn one_peer_cannot_fill_the_disk_and_others_find_room_in_what_it_leaves() {
        let full = shares(&[(1, 750)], None);
        assert!(!full.fits(Some(peer(1)), 1, 1000));
        assert!(full.fits(Some(peer(2)), 200, 1000));
        assert!(!full.fits(Some(peer(2)), 300, 1000), "the store is full");
        assert!(shares(&[], None).fits(Some(peer(1)), 750, 1000), "three quarters are for one alone");
    }

    #[test]
    fn all_strangers_together_leave_half_to_members() {
        let strangers = shares(&[(1, 200), (2, 200)], Some(&[9]));
        assert!(strangers.fits(Some(peer(3)), 100, 1000));
        assert!(!strangers.fits(Some(peer(3)), 101, 1000));
        assert!(strangers.fits(Some(peer(9)), 350, 1000));
    }

    #[test]
    fn a_file_counts_for_who_signed_that_it_shares_it() {
        let root = peer(9);
        let mut set = Set::new(Policy::new([root].into(), Vec::new(), NonZeroU8::MIN), Limits::default());
        // The info file names peer 1; peer 2 alone signed.
        say(&mut set, 2, Kind::Propose, Station::Files.item(&cid()), 100);
        let kept = BTreeMap::from([(cid(), description(1, "a.bag"))]);
        let shares = Shares::new(&kept, &index(&set, NOW), (&set, peer(7), NOW));
        assert_eq!(shares.bytes, BTreeMap::from([(peer(2), 5)]));
        assert!(!shares.is_member(Some(peer(2))) && shares.is_proven(Some(peer(2))));
        assert!(Shares::new(&kept, &index(&set, NOW), (&set, peer(1), NOW)).bytes.is_empty(), "own files");
    }
}
