//! The pure decider of a carrier: a node that keeps batches of other robots until a collector has them.
//!
//! - A node carries while it has the role trusted or a stronger one, is willing, and the swarm has collectors that are
//!   other nodes.
//! - It carries at most [`MAX_OF_ROBOT`] bytes of a robot, and its own limit in total. Robots with a role go first. Then
//!   each robot gets a place for its first batch before another one gets a place for its second batch. Among equal ones,
//!   those go first that are here already. So a stranger that announces many batches does not replace those of others.
//! - It drops a batch that its robot does not announce any more, or for which there is a receipt.
//! - It states for each robot that it has batches of it, so that collectors know whom to ask.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::stated::{StatedBatch, announced, named_collectors, renew, stored_up_to};
use cid::Cid;
use dcache::buckets::{BATCHES, CARRIES, COLLECTORS, RECEIPTS};
use dcache::{BucketPath, Data, Item, Moment, PeerId, Role, Set, Statements, Time, Validity};
use serde::{Deserialize, Serialize};
use service::{Decide, Decision};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of bytes that are carried of one robot. A month of history has about 6 MB.
pub const MAX_OF_ROBOT: u64 = 16 << 20;
/// Maximum number of batches that are carried. Each of them is a pin.
pub const MAX_CARRIED: usize = 1024;
/// Maximum number of robots whose batches are carried. For each of them there is a record.
pub const MAX_ROBOTS: usize = 256;
/// Maximum number of batches that are fetched at the same time.
const MAX_FETCHES: usize = 2;
/// Seconds after which a batch that could not be fetched is tried again. The time doubles with each failure.
const RETRY: u64 = 30;
/// Maximum number of doublings of the time: half an hour.
const MAX_DOUBLINGS: u32 = 6;

/// A batch that this node has or wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Carried {
    /// Robot that announces the batch.
    pub robot: PeerId,
    /// Size of the sealed batch in bytes.
    pub bytes: u64,
}

/// Work for the I/O shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CarryAction {
    /// Fetch a batch of at most this size, and pin it. Then call [`Carrying::kept`] or [`Carrying::failed`].
    Fetch(Cid, Carried),
    /// End a fetch: the batch is not wanted any more.
    Cancel(Cid),
    /// Unpin a batch, and then call [`Carrying::dropped`].
    Drop(Cid),
}

/// Decides which batches this node carries.
#[derive(Clone, Debug)]
pub struct Carrying {
    me: PeerId,
    /// Maximum number of bytes of all batches.
    limit: u64,
    kept: BTreeMap<Cid, Carried>,
    fetching: BTreeMap<Cid, Carried>,
    /// Number of attempts that failed, and the time of the next one.
    failures: BTreeMap<Cid, (u32, Time)>,
}

impl Carrying {
    /// Creates the decider of the node `me`, with the batches that it has already, and its limit in bytes.
    pub const fn new(me: PeerId, limit: u64, kept: BTreeMap<Cid, Carried>) -> Self {
        Self { me, limit, kept, fetching: BTreeMap::new(), failures: BTreeMap::new() }
    }

    /// Returns the batches that this node has.
    pub const fn carried(&self) -> &BTreeMap<Cid, Carried> {
        &self.kept
    }

    /// Notes that a batch is here and pinned.
    pub fn kept(&mut self, cid: Cid, carried: Carried) {
        self.fetching.remove(&cid);
        self.failures.remove(&cid);
        self.kept.insert(cid, carried);
    }

    /// Notes that a batch was unpinned.
    pub fn dropped(&mut self, cid: &Cid) {
        self.kept.remove(cid);
    }

    /// Notes that a batch could not be fetched. It is tried again later.
    pub fn failed(&mut self, cid: Cid, now: Time) {
        self.fetching.remove(&cid);
        let attempts = self.failures.get(&cid).map_or(1, |(attempts, _)| attempts.saturating_add(1));
        let wait = RETRY << (attempts - 1).min(MAX_DOUBLINGS);
        self.failures.insert(cid, (attempts, now.plus(wait)));
    }
}

impl Decide for Carrying {
    type Action = CarryAction;

    fn decide(&mut self, set: &Set, now: Moment) -> Decision<CarryAction> {
        let time = now.time;
        let wanted = self.wanted(set, now);
        self.failures.retain(|cid, _| wanted.contains_key(cid));
        let mut actions = Vec::new();
        // Roles that are not known for sure must not destroy what was carried here.
        if now.is_certain {
            let surplus = self.kept.keys().filter(|cid| !wanted.contains_key(*cid));
            actions.extend(surplus.map(|cid| CarryAction::Drop(*cid)));
        }
        let ended: Vec<Cid> =
            self.fetching.keys().filter(|cid| !wanted.contains_key(*cid)).copied().collect();
        for cid in ended {
            self.fetching.remove(&cid);
            actions.push(CarryAction::Cancel(cid));
        }
        for (cid, carried) in &wanted {
            let is_due = self.failures.get(cid).is_none_or(|(_, at)| *at <= time);
            let is_here = self.kept.contains_key(cid) || self.fetching.contains_key(cid);
            if is_due && !is_here && self.fetching.len() < MAX_FETCHES {
                self.fetching.insert(*cid, *carried);
                actions.push(CarryAction::Fetch(*cid, *carried));
            }
        }
        let (statements, renewal) = self.state(set, time);
        let edge = set.next_edge(&[COLLECTORS.matcher(), BATCHES.matcher()], time);
        let retry = self.failures.values().map(|(_, at)| *at).filter(|at| *at > time).min();
        Decision { statements, actions, wake: renewal.into_iter().chain(edge).chain(retry).min() }
    }
}

impl Carrying {
    /// Returns the batches that this node should have.
    fn wanted(&self, set: &Set, now: Moment) -> BTreeMap<Cid, Carried> {
        let time = now.time;
        let collectors = named_collectors(set, time);
        let is_carrier = set.role(self.me, time) >= Some(Role::Trusted);
        // Before the time is known, roles and announcements seem to be missing.
        if self.limit == 0 || !is_carrier || collectors.is_empty() || collectors.contains(&self.me) {
            return BTreeMap::new();
        }
        let mut ranked = Vec::new();
        for (robot, batches) in announced(set, time).into_iter().filter(|(robot, _)| *robot != self.me) {
            let role = set.role(robot, time);
            for (place, batch) in needed(set, robot, batches, time).into_iter().enumerate() {
                let is_new = !self.kept.contains_key(&batch.cid);
                ranked.push((Reverse(role), place, is_new, robot, batch));
            }
        }
        ranked.sort_unstable();
        let (mut wanted, mut bytes, mut robots) = (BTreeMap::new(), 0_u64, BTreeSet::new());
        for (.., robot, batch) in ranked {
            let has_place = robots.contains(&robot) || robots.len() < MAX_ROBOTS;
            let has_room = bytes.saturating_add(batch.bytes) <= self.limit && wanted.len() < MAX_CARRIED;
            if has_place && has_room {
                bytes += batch.bytes;
                robots.insert(robot);
                wanted.insert(batch.cid, Carried { robot, bytes: batch.bytes });
            }
        }
        wanted
    }

    /// States whose batches this node has, and withdraws others. Returns the time of the next renewal.
    fn state(&self, set: &Set, now: Time) -> (Statements, Option<Time>) {
        let bucket = CARRIES.of(self.me);
        let robots: BTreeSet<PeerId> = self.kept.values().map(|carried| carried.robot).collect();
        let items = robots.iter().map(|robot| Item { bucket: bucket.clone(), data: Data::from(*robot) });
        let wanted: BTreeSet<Item> = items.take(MAX_ROBOTS).collect();
        let mut statements = Statements::new();
        let renewal = wanted
            .iter()
            .map(|item| renew(&mut statements, (set, self.me), item.clone(), CARRIES.lifetime(), now))
            .min();
        for view in set.bucket(&bucket, now).filter(|view| !wanted.contains(view.item)) {
            statements.propose(view.item.clone(), Validity::over(now));
        }
        (statements, renewal)
    }
}

/// Returns the batches of a robot that no collector has: the oldest first, and at most [`MAX_OF_ROBOT`] bytes.
fn needed(set: &Set, robot: PeerId, mut batches: Vec<StatedBatch>, now: Time) -> Vec<StatedBatch> {
    batches.sort_unstable_by_key(|batch| (batch.after, Reverse(batch.last)));
    let most = batches.iter().map(|batch| batch.last).max().unwrap_or_default();
    let mut stored: BTreeMap<_, Option<u64>> = BTreeMap::new();
    batches.retain(|batch| {
        let history = batch.history;
        let stored = stored.entry(history).or_insert_with(|| stored_up_to(set, (robot, history), most, now));
        stored.is_none_or(|stored| batch.last > stored)
    });
    let mut bytes = 0_u64;
    batches.retain(|batch| {
        bytes = bytes.saturating_add(batch.bytes);
        bytes <= MAX_OF_ROBOT
    });
    batches
}

/// Returns the peers that state that they carry batches of a robot, and the robot itself.
pub fn holders(set: &Set, robot: PeerId, now: Time) -> Vec<PeerId> {
    let data = Data::from(robot);
    let matcher = CARRIES.matcher();
    let carriers = set.matching(&matcher, now).filter(|view| view.item.data == data);
    carriers.filter_map(|view| CARRIES.peer(&view.item.bucket)).chain([robot]).collect()
}

/// Returns whether a record in a bucket can change the decisions of a carrier.
pub fn is_of_interest(bucket: &BucketPath) -> bool {
    BATCHES.contains(bucket) || COLLECTORS.contains(bucket) || RECEIPTS.contains(bucket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::HistoryId;
    use crate::batch::seal::MAX_SEALED_BYTES;
    use crate::batch::stated::StatedReceipt;
    use crate::batch::stated::tests::{NOW, ROOT, cid_of, key, name, peer, propose, publish, swarm};
    use crate::batch::stated::{batch_item, receipt_item};
    use dcache::buckets::TRUSTED;

    const CARRIER: u8 = 2;
    const COLLECTOR: u8 = 3;

    fn batch(robot: u8, number: u64, bytes: u64) -> StatedBatch {
        let cid = cid_of(&[robot, number as u8]);
        let history = HistoryId::from_bytes([robot; 8]);
        StatedBatch { history, after: number * 10, last: number * 10 + 10, bytes, cid }
    }

    fn announce(set: &mut Set, robot: u8, batch: &StatedBatch) {
        propose(set, robot, batch_item(peer(robot), batch).unwrap(), NOW);
    }

    fn trust(set: &mut Set, seed: u8) {
        let item = Item { bucket: TRUSTED.path(), data: peer(seed).into() };
        propose(set, ROOT, item, NOW);
        set.update_roles(Moment::certain(NOW));
    }

    fn class() -> Set {
        let mut set = swarm();
        name(&mut set, COLLECTOR, true, NOW);
        trust(&mut set, CARRIER);
        set
    }

    fn carrying(limit: u64) -> Carrying {
        Carrying::new(peer(CARRIER), limit, BTreeMap::new())
    }

    fn fetched(actions: &[CarryAction]) -> Vec<Cid> {
        let fetch = |action: &CarryAction| match action {
            CarryAction::Fetch(cid, _) => Some(*cid),
            _ => None,
        };
        actions.iter().filter_map(fetch).collect()
    }

    #[test]
    fn a_batch_is_carried_until_a_collector_has_it() {
        let mut set = class();
        let (batch, mut carrying) = (batch(10, 0, 1000), carrying(1 << 20));
        announce(&mut set, 10, &batch);
        let decision = carrying.decide(&set, Moment::certain(NOW));
        assert_eq!(fetched(&decision.actions), [batch.cid]);
        carrying.kept(batch.cid, Carried { robot: peer(10), bytes: 1000 });
        let decision = carrying.decide(&set, Moment::certain(NOW));
        assert_eq!((decision.actions, decision.statements.is_empty()), (vec![], false));
        assert_eq!(publish(&mut set, CARRIER, decision.statements, NOW), 1);
        assert_eq!(holders(&set, peer(10), NOW), [peer(CARRIER), peer(10)]);
        let receipt = StatedReceipt { history: batch.history, last: batch.last };
        propose(&mut set, COLLECTOR, receipt_item(peer(COLLECTOR), peer(10), &receipt).unwrap(), NOW);
        let uncertain = Moment { is_certain: false, ..Moment::certain(NOW) };
        assert_eq!(carrying.decide(&set, uncertain).actions, []);
        let decision = carrying.decide(&set, Moment::certain(NOW));
        assert_eq!(decision.actions, [CarryAction::Drop(batch.cid)]);
        carrying.dropped(&batch.cid);
        let decision = carrying.decide(&set, Moment::certain(NOW));
        assert_eq!(publish(&mut set, CARRIER, decision.statements, NOW), 1);
        assert_eq!(holders(&set, peer(10), NOW), [peer(10)]);
    }

    #[test]
    fn only_willing_nodes_with_a_role_carry() {
        let mut set = class();
        announce(&mut set, 10, &batch(10, 0, 1000));
        assert_eq!(carrying(0).decide(&set, Moment::certain(NOW)).actions, []);
        for seed in [COLLECTOR, 10, 11] {
            let mut other = Carrying::new(peer(seed), 1 << 20, BTreeMap::new());
            assert_eq!(other.decide(&set, Moment::certain(NOW)).actions, [], "{seed}");
        }
        assert_eq!(fetched(&carrying(1 << 20).decide(&set, Moment::certain(NOW)).actions).len(), 1);
    }

    #[test]
    fn robots_share_the_room_and_nobody_is_pushed_out() {
        let mut set = class();
        announce(&mut set, 10, &batch(10, 0, 1000));
        let mut carrying = carrying(3000);
        carrying.decide(&set, Moment::certain(NOW));
        carrying.kept(batch(10, 0, 1000).cid, Carried { robot: peer(10), bytes: 1000 });
        for robot in 11..=20 {
            for number in 0..8 {
                announce(&mut set, robot, &batch(robot, number, 900));
            }
        }
        let wanted = carrying.wanted(&set, Moment::certain(NOW));
        assert!(wanted.contains_key(&batch(10, 0, 1000).cid), "it is here already");
        let robots: BTreeSet<PeerId> = wanted.values().map(|carried| carried.robot).collect();
        assert_eq!((wanted.len(), robots.len()), (3, 3));
        trust(&mut set, 20);
        let wanted = carrying.wanted(&set, Moment::certain(NOW));
        assert_eq!(wanted.values().filter(|carried| carried.robot == peer(20)).count(), 3);
        assert_eq!(fetched(&carrying.decide(&set, Moment::certain(NOW)).actions).len(), MAX_FETCHES);
    }

    #[test]
    fn a_robot_has_a_limit_and_a_failed_fetch_waits() {
        let mut set = class();
        let (bytes, most) = (MAX_SEALED_BYTES as u64, MAX_OF_ROBOT / MAX_SEALED_BYTES as u64);
        for number in 0..most + 3 {
            announce(&mut set, 10, &batch(10, number, bytes));
        }
        let mut carrying = carrying(1 << 30);
        assert_eq!(carrying.wanted(&set, Moment::certain(NOW)).len() as u64, most);
        let first = fetched(&carrying.decide(&set, Moment::certain(NOW)).actions);
        carrying.failed(first[0], NOW);
        let next = carrying.decide(&set, Moment::certain(NOW));
        assert!(
            !fetched(&next.actions).contains(&first[0])
                && next.wake.is_some_and(|wake| wake <= NOW.plus(RETRY))
        );
        carrying.kept(first[1], Carried { robot: key(10).peer_id(), bytes });
        let later = carrying.decide(&set, Moment::certain(NOW.plus(RETRY)));
        assert!(fetched(&later.actions).contains(&first[0]), "{:?}", later.actions);
    }
}
