//! Chooses the files of this robot that it deletes from its shared folders to free space, since they are safe elsewhere.
//!
//! A file is *safe elsewhere* if enough other robots that are present state that they keep it, or if a peer whose statement
//! counts states that it is in a storage. Enough is one copy less than the swarm should have, because the copy of the
//! uploader counts as one of them, and the others make another copy when it has gone. The last copy never goes. Two robots
//! could let go of the last two copies at the same time, each relying on the other (see `replicate/leaving.rs`). Therefore
//! a file stays for [`PAUSE`] after this robot last stated that it keeps the file: a robot that relies on that statement
//! has taken back its own one long before.
//!
//! In the open swarm any host can state that it keeps a file, under any number of keys. There the statements of others
//! count only if the user or the owner of this robot says so.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::buckets::{LIFETIME, Station};
use crate::catalog::known::Counting;
use crate::index::{SharedFile, State};
use crate::receipts::receipts;
use crate::replicate::USUAL_COPIES;
use dcache::{Key, Moment, PeerId, Role, Set, Time};
use ipfs::Cid;
use std::collections::BTreeMap;

/// Time, in seconds, after its last statement that it keeps a file for which a robot does not free it. Other robots rely
/// on a statement for at most 60 s after they took back their own ones.
const PAUSE: u64 = 120;
/// Difference, in seconds, between the own clock and those of the neighbours up to which a robot frees files.
const CLOSE: u64 = 60;

/// Where a file is, apart from this robot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    /// Number of other robots that are present and state that they keep the file.
    pub(crate) holders: usize,
    /// Whether a peer whose statement counts states that the file is in a storage.
    pub(crate) is_uploaded: bool,
}

/// Whose statements suffice to free a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Peer ID of this robot.
    pub(crate) me: PeerId,
    /// Number of copies that the swarm should have; 0 means that each robot keeps every file.
    pub(crate) copies: usize,
    /// Whether the copies of others count in the open swarm.
    pub(crate) believes_strangers: bool,
}

/// Returns where a file of this robot is safe, apart from this robot; `None` if it is not safe there. `file` is the file by
/// its records, if it has any. `size` is its size in bytes. A catalogue may be some minutes older than the copies of its
/// robot, so only records of copies count. A receipt for fewer bytes is not one of the file; a folder is stored as an
/// archive, which is larger than its files.
pub(crate) fn safe_elsewhere(
    counting: &Counting<'_>,
    (cid, file, size): (&Cid, Option<&SharedFile>, u64),
    Terms { me, copies, believes_strangers }: Terms,
    now: Moment,
) -> Option<Elsewhere> {
    let is_known = now.is_certain && now.time.0.abs_diff(now.neighbours.0) <= CLOSE;
    if !is_known || file.is_some_and(|file| file.state == State::Discarded) {
        return None;
    }
    let set = counting.set();
    let present = set.holders(Role::Peer, now.time);
    let others = file.into_iter().flat_map(|file| file.holders.keys());
    let others = others.filter(|peer| **peer != me && present.contains(*peer));
    let needed = if copies == 0 { USUAL_COPIES } else { copies.saturating_sub(1).max(1) };
    let is_believed = believes_strangers || !set.policy().roots().is_empty();
    let holders = if is_believed { others.count() } else { 0 };
    let is_uploaded = receipts(counting, cid).iter().any(|(receipt, _)| receipt.bytes >= size);
    let is_safe = is_uploaded || holders >= needed && is_settled(set, cid, me, now.time);
    is_safe.then_some(Elsewhere { holders, is_uploaded })
}

/// Returns whether the last statement of `me` about its copy is older than [`PAUSE`].
fn is_settled(set: &Set, cid: &Cid, me: PeerId, now: Time) -> bool {
    let record = set.get(&Key { item: Station::Safe.item(cid), signer: me });
    let signed = record.map(|record| record.validity().until().map(|until| until.0.saturating_sub(LIFETIME)));
    match signed {
        None => true,
        // A statement without end has no time.
        Some(None) => false,
        Some(Some(signed)) => Time(signed).plus(PAUSE) <= now,
    }
}

/// A file of this robot that is safe elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Freeable {
    pub(crate) cid: Cid,
    /// Size of the file in bytes.
    pub(crate) bytes: u64,
    /// Time of the last change of the file.
    pub(crate) changed: Time,
    /// Number of the disk that holds the file.
    pub(crate) disk: u64,
}

/// The files that are freed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FreeRule {
    /// Minimum time, in seconds, since the last change of a file.
    pub(crate) older_than: u64,
    /// Number of bytes that are free and that should be free on each disk. Files of other disks stay. Without this, all
    /// files are freed.
    pub(crate) until_free: Option<BTreeMap<u64, (u64, u64)>>,
}

/// Returns the files to free, the oldest first.
pub(crate) fn choose_freed(mut files: Vec<Freeable>, rule: &FreeRule, now: Time) -> Vec<Freeable> {
    files.retain(|file| file.changed.plus(rule.older_than) <= now);
    files.sort_by_key(|file| (file.changed, file.cid));
    let Some(mut disks) = rule.until_free.clone() else { return files };
    files.retain(|file| {
        let Some((free, wanted)) = disks.get_mut(&file.disk) else { return false };
        let is_needed = *free < *wanted;
        if is_needed {
            *free = free.saturating_add(file.bytes);
        }
        is_needed
    });
    files
}

#[cfg(test)]
mod tests;
