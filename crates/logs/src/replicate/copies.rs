//! Decides which robots keep a file.
//!
//! A file should have a number of copies (its *target*), not one on every robot. Each robot decides from the records
//! alone whether it makes a missing copy. The willing robots are ranked by rendezvous hashing over the CID and the peer
//! ID, and the first ones make the missing copies. All robots compute the same ranks, so no message is needed.
//!
//! - The copy of the uploader counts, as do all copies that peers state in `share/safe`.
//! - A robot is *willing* for a file if it is present and its offer in `pri/ID/keeps` is at least as large as the file.
//! - The copy of an absent holder counts for the *healing delay* after its presence ended. So a short absence or a
//!   partition makes nobody copy a file.
//! - If a copy is still missing after the healing delay, twice as many of the willing robots make it, and so on.
//! - If there are no more willing robots than missing copies, there is nothing to choose: each of them keeps the file.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::leaving::{Leaving, View};
use crate::index::SharedFile;
use crate::info::Description;
use crate::offer::Offer;
use crate::shares::uploader;
use dcache::{Digest, Moment, PeerId, Role, Set, Statements, Time};
use ipfs::Cid;
use std::collections::{BTreeMap, BTreeSet};

/// Number of copies of each file that a robot wants unless it is configured otherwise.
pub const USUAL_COPIES: usize = 3;
/// Default healing delay in seconds.
pub(crate) const USUAL_HEAL: u64 = 3600;
/// Time, in seconds, for which a file must lack copies before one of several willing robots fetches it. In this time
/// the records of the other robots arrive.
const HOLD_OFF: u64 = 2;
/// Maximum time, in seconds, that counts between two decisions. A longer time means that the clock was set or that the
/// robot was suspended. The daemon decides at least once a minute.
const LONGEST_STEP: u64 = 90;
/// Maximum number of present robots whose offers are read, those with a role first. In the open swarm a stranger may make
/// any number of keys, and each robot costs work for each file.
const MAX_PEERS: usize = 1024;
/// Maximum number of absent peers, and of files that lack copies, whose times are remembered.
const MAX_NOTED: usize = 8192;

/// The number of copies that the swarm should have of each file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyRules {
    /// Number of copies, with that of the uploader. With 0, every willing robot keeps every file.
    pub copies: usize,
    /// Healing delay: time, in seconds, after which the copy of an absent holder no longer counts.
    pub heal: u64,
}

impl Default for CopyRules {
    fn default() -> Self {
        Self { copies: USUAL_COPIES, heal: USUAL_HEAL }
    }
}

/// A present robot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// Identifies the robot in rendezvous hashing.
    token: u64,
    /// Size up to which it keeps files.
    pub(super) bytes: u64,
    /// Whether its statement that it keeps a file counts.
    may_state: bool,
}

/// The robots that are present at a decision.
#[derive(Clone, Debug)]
pub(super) struct Peers {
    present: BTreeSet<PeerId>,
    /// At most [`MAX_PEERS`] of them, and this node.
    known: BTreeMap<PeerId, Peer>,
}

impl Peers {
    fn read(set: &Set, (me, offer): (PeerId, Offer), now: Time) -> Self {
        let has_roles = !set.policy().roots().is_empty();
        let mut present = set.holders(Role::Peer, now);
        present.insert(me);
        let roles = [Role::Root, Role::Admin, Role::Trusted];
        let with_role: BTreeSet<PeerId> = roles.into_iter().flat_map(|role| set.holders(role, now)).collect();
        let read = |peer: PeerId| {
            let offer = if peer == me { offer } else { Offer::of(set, peer, now).unwrap_or_default() };
            let may_state = !has_roles || with_role.contains(&peer);
            Peer { token: word(peer.to_string().as_bytes()), bytes: offer.bytes, may_state }
        };
        let others = present.difference(&with_role);
        let chosen = with_role.intersection(&present).chain(others).take(MAX_PEERS).chain([&me]);
        let known = chosen.map(|peer| (*peer, read(*peer))).collect();
        Self { present, known }
    }

    pub(super) fn is_present(&self, peer: PeerId) -> bool {
        self.present.contains(&peer)
    }

    /// Returns the rank of a present robot among the holders of a file. The highest ranks keep it.
    pub(super) fn rank(&self, peer: PeerId, file: &SharedFile) -> Option<(bool, bool, u64, PeerId)> {
        let known = self.known.get(&peer)?;
        let is_uploader = uploader(file) == Some(peer);
        Some((is_uploader, known.bytes > 0, score(known.token, &file.cid), peer))
    }
}

/// Returns the first 8 bytes of the hash of `bytes`.
fn word(bytes: &[u8]) -> u64 {
    let digest = Digest::of(bytes);
    digest.as_bytes().iter().take(8).fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Returns the score of a robot for a file.
fn score(token: u64, cid: &Cid) -> u64 {
    let tail = cid.hash().digest().rchunks(8).next().unwrap_or_default();
    let file = tail.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    mix(token ^ mix(file))
}

/// The finalizer of splitmix64 (Steele, Lea and Flood, 2014). Each input bit changes about half of the output bits.
fn mix(mut word: u64) -> u64 {
    word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Measures the time between decisions in seconds, without the jumps of a clock that is set.
#[derive(Clone, Copy, Debug, Default)]
struct Stopwatch {
    last: Option<Time>,
    elapsed: u64,
}

impl Stopwatch {
    fn read(&mut self, now: Time) -> u64 {
        let step = self.last.map_or(0, |last| now.since(last)).min(LONGEST_STEP);
        self.last = Some(now);
        self.elapsed += step;
        self.elapsed
    }
}

/// The space on the disk that this node lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Number of bytes of copies to let go of. With 0, there is enough space.
    pub bytes: u64,
    /// Whether copies may go of which other robots have too few, but at least one.
    pub is_urgent: bool,
}

/// Reason for which a node lets go of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseReason {
    /// There are more copies than there should be.
    Surplus,
    /// The disk has too little free space.
    Space,
}

/// The decision about copies, as a part of the whole decision.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) statements: Statements,
    /// Kept files that this node may unpin now.
    pub(super) released: Vec<(Cid, ReleaseReason)>,
    /// Time at which to decide again.
    pub(super) wake: Option<Time>,
}

/// The part of the decider about the number of copies.
#[derive(Clone, Debug)]
pub(super) struct Copies {
    pub(super) rules: CopyRules,
    /// Room, in bytes, that this node has for files of other robots.
    pub(super) room: u64,
    /// Space on the disk that this node lacks.
    pub(super) pressure: Pressure,
    /// Files that a person pinned on this node.
    pub(super) pinned: BTreeSet<Cid>,
    /// Files of which another service of this node needs a copy.
    pub(super) wanted: BTreeSet<Cid>,
    offer: Offer,
    stopwatch: Stopwatch,
    /// When each absent holder was first found absent.
    absent: BTreeMap<PeerId, u64>,
    /// When each file was first found to lack copies.
    short: BTreeMap<Cid, u64>,
    /// Files that this node should fetch now.
    assigned: BTreeSet<Cid>,
    pub(super) leaving: Leaving,
}

impl Default for Copies {
    /// Until rules are set, every robot keeps every file, and this node makes no offer.
    fn default() -> Self {
        let rules = CopyRules { copies: 0, ..CopyRules::default() };
        Self {
            rules,
            room: 0,
            pressure: Pressure::default(),
            pinned: BTreeSet::new(),
            wanted: BTreeSet::new(),
            offer: Offer::default(),
            stopwatch: Stopwatch::default(),
            absent: BTreeMap::new(),
            short: BTreeMap::new(),
            assigned: BTreeSet::new(),
            leaving: Leaving::default(),
        }
    }
}

impl Copies {
    /// Decides which files this node fetches and which copies it may let go of. `has_quota` tells whether it has records
    /// left to state that it keeps more files.
    pub(super) fn look(
        &mut self,
        set: &Set,
        (files, kept, catalogued): (&BTreeMap<Cid, SharedFile>, &BTreeMap<Cid, Description>, &BTreeSet<Cid>),
        (me, now, has_quota): (PeerId, Moment, bool),
    ) -> Outcome {
        let elapsed = self.stopwatch.read(now.time);
        let room = if has_quota { self.room } else { 0 };
        self.offer = Offer { copies: self.rules.copies, ..self.offer }.with_room(room);
        let mut outcome =
            Outcome { statements: self.offer.statements(set, me, now.time), ..Outcome::default() };
        let peers = Peers::read(set, (me, self.offer), now.time);
        self.assigned.clear();
        let mut next = None;
        if self.rules.copies > 0 {
            next = self.note_absent(&peers, files, elapsed);
            for file in files.values().filter(|file| !kept.contains_key(&file.cid)) {
                next = earlier(next, self.assign(file, &peers, (me, elapsed)));
            }
        }
        self.short.retain(|cid, _| !kept.contains_key(cid));
        crop(&mut self.short);
        let (needed, pressure) = ((&self.pinned, &self.wanted), self.pressure);
        let view = View { set, peers: &peers, files, kept, catalogued, needed, pressure, me, now, elapsed };
        next = earlier(next, self.leaving.look(&view, self.rules, &mut outcome));
        outcome.wake = next.map(|at| now.time.plus(at.saturating_sub(elapsed).max(1)));
        outcome
    }

    /// Notes since when holders are absent. Returns the time at which the next one no longer counts.
    fn note_absent(&mut self, peers: &Peers, files: &BTreeMap<Cid, SharedFile>, elapsed: u64) -> Option<u64> {
        let holders: BTreeSet<PeerId> =
            files.values().flat_map(|file| file.holders.keys().copied()).collect();
        let proposers = files.values().filter_map(uploader);
        for peer in holders.into_iter().chain(proposers).filter(|peer| !peers.is_present(*peer)) {
            self.absent.entry(peer).or_insert(elapsed);
        }
        self.absent.retain(|peer, _| !peers.is_present(*peer));
        crop(&mut self.absent);
        self.absent.values().map(|since| since + self.rules.heal).filter(|at| *at > elapsed).min()
    }

    /// Returns whether the copy of a holder counts: the holder is present, or has not been absent for long.
    fn counts(&self, peer: PeerId, elapsed: u64) -> bool {
        self.absent.get(&peer).is_none_or(|since| elapsed < since + self.rules.heal)
    }

    /// Decides whether this node fetches a file that it does not keep. Returns the time at which that may change.
    fn assign(&mut self, file: &SharedFile, peers: &Peers, (me, elapsed): (PeerId, u64)) -> Option<u64> {
        let cid = file.cid;
        if is_own(file, me) || self.pinned.contains(&cid) || self.wanted.contains(&cid) {
            self.assigned.insert(cid);
            return None;
        }
        let mut holders: BTreeSet<PeerId> = file.holders.keys().copied().collect();
        // An uploader states that it keeps its file once another robot keeps it. Until then it only shares the file.
        holders.extend(uploader(file).filter(|peer| file.proposers.contains_key(peer)));
        let copies = holders.iter().filter(|peer| **peer != me && self.counts(**peer, elapsed)).count();
        let missing = self.rules.copies.saturating_sub(copies);
        if missing == 0 {
            self.short.remove(&cid);
            return None;
        }
        let since = *self.short.entry(cid).or_insert(elapsed);
        let size = file.description.as_ref().map_or(1, |known| known.size.max(1));
        let rank = |peer: &PeerId, known: &Peer| (known.may_state, score(known.token, &cid), *peer);
        let is_candidate = |peer: &PeerId, known: &Peer| known.bytes >= size && !holders.contains(peer);
        let mine = peers.known.get(&me).filter(|known| known.bytes >= size).map(|known| rank(&me, known));
        let others = peers.known.iter().filter(|(peer, known)| **peer != me && is_candidate(peer, known));
        let ranks: Vec<_> = others.map(|(peer, known)| rank(peer, known)).collect();
        if ranks.len() < missing {
            // This robot is needed. If it has no room, the file waits for room.
            self.assigned.insert(cid);
            return None;
        }
        let mine = mine?;
        let age = elapsed - since;
        let rounds = age / self.rules.heal.max(1);
        let allowed = missing.saturating_mul(1 << rounds.min(16));
        let better = ranks.iter().filter(|rank| **rank > mine).count();
        if age < HOLD_OFF {
            return Some(since + HOLD_OFF);
        }
        if better < allowed {
            self.assigned.insert(cid);
            return None;
        }
        Some(since + (rounds + 1) * self.rules.heal.max(1))
    }

    /// Notes that this node states that it keeps a file.
    pub(super) fn note_stated(&mut self, cid: Cid) {
        self.leaving.note_stated(cid, self.stopwatch.elapsed);
    }

    /// Ends the attempt to let go of a file.
    pub(super) fn stay(&mut self, cid: Cid) {
        self.leaving.cancel(cid, self.stopwatch.elapsed);
    }

    /// Returns whether this node should fetch a file that it does not keep.
    pub(super) fn is_assigned(&self, cid: &Cid) -> bool {
        self.rules.copies == 0 || self.assigned.contains(cid)
    }
}

/// Returns whether a file is, by its records, in the shared folder of `me`.
fn is_own(file: &SharedFile, me: PeerId) -> bool {
    let described = file.description.as_ref().is_some_and(|known| known.uploader == me);
    described || file.proposers.contains_key(&me)
}

pub(super) fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

/// Removes the newest entries of a table that has more than [`MAX_NOTED`].
fn crop<K: Ord + Copy>(table: &mut BTreeMap<K, u64>) {
    if table.len() > MAX_NOTED {
        let mut times: Vec<u64> = table.values().copied().collect();
        times.sort_unstable();
        let last = times.get(MAX_NOTED - 1).copied().unwrap_or_default();
        let mut left = MAX_NOTED;
        table.retain(|_, time| {
            let stays = *time <= last && left > 0;
            left -= usize::from(stays);
            stays
        });
    }
}
