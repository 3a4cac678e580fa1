//! The records about batches: the keys of collectors, the announcements of robots, and the receipts of collectors.
//!
//! | bucket | text |
//! |---|---|
//! | `collectors` | the peer ID of a collector |
//! | `pri/COLLECTOR/collector` | `x25519 KEY`: see [`SealingPublicKey`] |
//! | `pri/ROBOT/batches` | `HISTORY AFTER LAST BYTES CID`: see [`StatedBatch`] |
//! | `pri/COLLECTOR/receipts/ROBOT` | `HISTORY LAST`: see [`StatedReceipt`] |
//! | `pri/CARRIER/carries` | the peer ID of a robot |
//!
//! # Abuse
//! Only admins name collectors. Everybody else can state something in their own tree only, where the records of one
//! peer share one quota. A reader reads a fixed number of items of each peer. A robot that announces too many batches
//! delays its own history only. A record that repeats another one replaces it, and costs no room.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::seal::{MAX_RECIPIENTS, MAX_SEALED_BYTES};
use super::{HistoryId, MAX_NUMBER, SealingPublicKey};
use cid::{Cid, Version};
use dcache::buckets::{BATCHES, COLLECTORS, RECEIPTS, SEALING_KEY};
use dcache::{BucketPath, Data, Item, Key, Kind, PeerId, Set, Statements, Time, Validity, View};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// Maximum number of collectors whose receipts count. The ones with the lowest peer IDs count.
pub const MAX_COLLECTORS: usize = 64;
/// Maximum number of announcements of one robot that are read. An honest robot has at most eight, and for a moment twice
/// as many.
pub const MAX_READ: usize = 16;
/// Maximum number of keys, or of receipts for one robot, that are read of one collector.
const MAX_READ_OF_COLLECTOR: usize = 4;
/// Codec and hash function of the CIDs that IPFS makes of files: a directory node or plain bytes, and SHA-256.
const CODECS: [u64; 2] = [0x70, 0x55];
const SHA256: u64 = 0x12;

/// Error for a text that does not have the form of its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a batch is `HISTORY AFTER LAST BYTES CID` and a receipt is `HISTORY LAST`, within the limits of a batch"
)]
pub struct NotStated;

/// A batch, as its robot announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StatedBatch {
    /// History to which the rows belong.
    pub history: HistoryId,
    /// Number of the row before the first one.
    pub after: u64,
    /// Number of the last row.
    pub last: u64,
    /// Size of the sealed batch in bytes.
    pub bytes: u64,
    /// The sealed batch in IPFS.
    pub cid: Cid,
}

impl fmt::Display for StatedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { history, after, last, bytes, cid } = self;
        write!(f, "{history} {after} {last} {bytes} {cid}")
    }
}

impl FromStr for StatedBatch {
    type Err = NotStated;

    fn from_str(text: &str) -> Result<Self, NotStated> {
        let [history, after, last, bytes, cid] = words(text)?;
        let cid = parse_cid(cid).ok_or(NotStated)?;
        let batch = Self {
            history: history.parse().map_err(|_| NotStated)?,
            after: number(after)?,
            last: number(last)?,
            bytes: number(bytes)?,
            cid,
        };
        let is_valid = batch.after < batch.last && (1..=MAX_SEALED_BYTES as u64).contains(&batch.bytes);
        // Only the canonical spelling is accepted, so that a batch has one item.
        if is_valid && batch.to_string() == text { Ok(batch) } else { Err(NotStated) }
    }
}

/// The receipt of a collector: it has stored all rows of the history up to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StatedReceipt {
    /// History of the robot.
    pub history: HistoryId,
    /// Number of the last row.
    pub last: u64,
}

impl fmt::Display for StatedReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.history, self.last)
    }
}

impl FromStr for StatedReceipt {
    type Err = NotStated;

    fn from_str(text: &str) -> Result<Self, NotStated> {
        let [history, last] = words(text)?;
        let receipt = Self { history: history.parse().map_err(|_| NotStated)?, last: number(last)? };
        if receipt.to_string() == text { Ok(receipt) } else { Err(NotStated) }
    }
}

fn words<const N: usize>(text: &str) -> Result<[&str; N], NotStated> {
    let words: Vec<&str> = text.split(' ').take(N + 1).collect();
    words.try_into().map_err(|_| NotStated)
}

fn number(text: &str) -> Result<u64, NotStated> {
    text.parse().ok().filter(|number| *number <= MAX_NUMBER).ok_or(NotStated)
}

/// Reads a CID. Only version 1 in base 32, of a file with a SHA-256, is accepted.
pub(super) fn parse_cid(text: &str) -> Option<Cid> {
    let cid = Cid::try_from(text).ok().filter(|_| text.len() <= 64)?;
    let is_file = cid.version() == Version::V1
        && CODECS.contains(&cid.codec())
        && cid.hash().code() == SHA256
        && cid.hash().size() == 32;
    (is_file && cid.to_string() == text).then_some(cid)
}

/// Returns the bucket for the receipts of a collector for a robot.
#[expect(clippy::expect_used, reason = "a peer ID is a valid name in a path")]
fn receipts_bucket(collector: PeerId, robot: PeerId) -> BucketPath {
    let (path, robot) = (RECEIPTS.of(collector), robot.to_string());
    BucketPath::new(&path.names().chain([robot.as_str()]).collect::<Vec<_>>()).expect("a name of a path")
}

/// Returns the item of an announcement.
pub fn batch_item(robot: PeerId, batch: &StatedBatch) -> Option<Item> {
    Some(Item { bucket: BATCHES.of(robot), data: Data::new(&batch.to_string()).ok()? })
}

/// Returns the item of a receipt.
pub fn receipt_item(collector: PeerId, robot: PeerId, receipt: &StatedReceipt) -> Option<Item> {
    Some(Item { bucket: receipts_bucket(collector, robot), data: Data::new(&receipt.to_string()).ok()? })
}

/// Returns the item of a collector's key.
pub fn key_item(collector: PeerId, key: SealingPublicKey) -> Option<Item> {
    Some(Item { bucket: SEALING_KEY.of(collector), data: Data::new(&key.to_string()).ok()? })
}

/// Returns the peers that roles name as collectors, at most [`MAX_COLLECTORS`].
pub fn named_collectors(set: &Set, now: Time) -> BTreeSet<PeerId> {
    let bucket = COLLECTORS.path();
    let peers = set.bucket(&bucket, now).filter_map(|view| view.item.data.as_str().parse().ok());
    peers
        .filter(|peer| !set.is_denied(*peer, now))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .take(MAX_COLLECTORS)
        .collect()
}

/// Returns whether a peer with the right to do so has dismissed a collector, now or for a later time.
pub fn is_dismissed(set: &Set, collector: PeerId, now: Time) -> bool {
    let item = Item { bucket: COLLECTORS.path(), data: Data::from(collector) };
    let is_allowed = |signer| set.may(Kind::Dismiss, &item, signer, now).is_ok();
    set.records_about(&item).iter().any(|record| {
        let is_over = record.validity().until().is_some_and(|until| until <= now);
        record.kind() == Kind::Dismiss && !is_over && is_allowed(record.signer())
    })
}

/// Returns the collectors for which batches are sealed, with their keys: at most [`MAX_RECIPIENTS`]. A collector that
/// states no key is not here.
pub fn recipients(set: &Set, now: Time) -> BTreeMap<PeerId, SealingPublicKey> {
    let keys = named_collectors(set, now).into_iter().filter_map(|peer| {
        let read = set.bucket(&SEALING_KEY.of(peer), now).take(MAX_READ_OF_COLLECTOR);
        let keys =
            read.filter_map(|view| Some((sequence(&view, peer)?, view.item.data.as_str().parse().ok()?)));
        keys.max_by_key(|(sequence, _)| *sequence).map(|(_, key)| (peer, key))
    });
    keys.take(MAX_RECIPIENTS).collect()
}

/// Returns the sequence number of the peer's own proposal of an item.
fn sequence(view: &View<'_>, peer: PeerId) -> Option<u64> {
    let own = view.proposals.iter().find(|record| record.signer() == peer)?;
    Some(own.signature().sequence)
}

/// Returns the greatest row number up to which named collectors have stored a robot's history. Greater numbers than `most`
/// are ignored: a collector cannot have rows that were never announced.
pub fn stored_up_to(set: &Set, of: (PeerId, HistoryId), most: u64, now: Time) -> Option<u64> {
    stored_by(set, &named_collectors(set, now), of, most, now)
}

/// Returns the row number of [`stored_up_to`] by the receipts of these collectors.
pub fn stored_by(
    set: &Set,
    collectors: &BTreeSet<PeerId>,
    (robot, history): (PeerId, HistoryId),
    most: u64,
    now: Time,
) -> Option<u64> {
    let read = collectors.iter().flat_map(|collector| {
        let bucket = receipts_bucket(*collector, robot);
        set.bucket(&bucket, now)
            .take(MAX_READ_OF_COLLECTOR)
            .map(|view| view.item.data.clone())
            .collect::<Vec<_>>()
    });
    let receipts = read.filter_map(|data| data.as_str().parse::<StatedReceipt>().ok());
    receipts
        .filter(|receipt| receipt.history == history && receipt.last <= most)
        .map(|receipt| receipt.last)
        .max()
}

/// Returns the batches that all robots announce, at most [`MAX_READ`] of each.
pub fn announced(set: &Set, now: Time) -> BTreeMap<PeerId, Vec<StatedBatch>> {
    let mut robots: BTreeMap<PeerId, (usize, Vec<StatedBatch>)> = BTreeMap::new();
    for view in set.matching(&BATCHES.matcher(), now) {
        let Some(robot) =
            BATCHES.peer(&view.item.bucket).filter(|robot| view.item.bucket == BATCHES.of(*robot))
        else {
            continue;
        };
        let (read, batches) = robots.entry(robot).or_default();
        *read += 1;
        if *read <= MAX_READ {
            batches.extend(view.item.data.as_str().parse::<StatedBatch>().ok());
        }
    }
    robots
        .into_iter()
        .map(|(robot, (_, batches))| (robot, batches))
        .filter(|(_, batches)| !batches.is_empty())
        .collect()
}

/// Adds the statement of an item, if it has to be made, or if half of its lifetime is over. Returns the time of the next
/// renewal.
pub(crate) fn renew(
    statements: &mut Statements,
    (set, me): (&Set, PeerId),
    item: Item,
    lifetime: u64,
    now: Time,
) -> Time {
    let own = set.get(&Key { item: item.clone(), signer: me });
    let former = own.filter(|own| own.kind() == Kind::Propose).map(|own| *own.validity());
    let margin = lifetime / 2;
    let until = former.filter(|former| former.contains(now)).and_then(|former| former.until());
    let until = until.filter(|until| *until > now.plus(margin)).unwrap_or_else(|| {
        statements.propose(item, Validity::renewed(former.as_ref(), now, lifetime));
        now.plus(lifetime)
    });
    Time(until.0.saturating_sub(margin))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::batch::SealingKey;
    use dcache::{Digest, Keypair, Limits, Policy, Record, Statement};
    use proptest::prelude::*;
    use std::num::NonZeroU8;

    pub(crate) const NOW: Time = Time(1_800_000_000);
    /// Seed of the root of the swarm of these tests.
    pub(crate) const ROOT: u8 = 100;

    pub(crate) fn key(seed: u8) -> Keypair {
        Keypair::from_seed([seed; 32])
    }

    pub(crate) fn peer(seed: u8) -> PeerId {
        key(seed).peer_id()
    }

    /// Returns the CID of some bytes.
    pub(crate) fn cid_of(bytes: &[u8]) -> Cid {
        let cid = [&[1, 0x55, 0x12, 32][..], Digest::of(bytes).as_bytes()].concat();
        Cid::try_from(cid.as_slice()).unwrap()
    }

    /// Returns the empty set of a swarm with a root.
    pub(crate) fn swarm() -> Set {
        Set::new(Policy::new([peer(ROOT)].into(), Vec::new(), NonZeroU8::MIN), Limits::default())
    }

    /// Publishes statements as a daemon does, with its checks. Returns their number.
    pub(crate) fn publish(set: &mut Set, seed: u8, mut statements: Statements, now: Time) -> usize {
        statements.keep_worthwhile(set, peer(seed), dcache::Moment::certain(now));
        admit(set, seed, statements, now)
    }

    /// Adds statements to the set, also those that do not count.
    pub(crate) fn admit(set: &mut Set, seed: u8, statements: Statements, now: Time) -> usize {
        let signable: Vec<Statement> = statements.into_signable().unwrap();
        let admitted = signable.into_iter().filter(|statement| {
            let key_of = Key { item: statement.item().clone(), signer: peer(seed) };
            let former = set.get(&key_of).map(Record::keep).unwrap_or_default();
            let sequence = set.latest_sequence(peer(seed)) + 1;
            set.admit_verified(Record::sign(statement.clone(), &key(seed), sequence, former), now).is_ok()
        });
        admitted.count()
    }

    /// Proposes an item for a day.
    pub(crate) fn propose(set: &mut Set, seed: u8, item: Item, now: Time) -> usize {
        let mut statements = Statements::new();
        statements.propose(item, Validity::stated(now, 86_400));
        admit(set, seed, statements, now)
    }

    /// Makes the root name, or not name any more, a collector.
    pub(crate) fn name(set: &mut Set, seed: u8, is_named: bool, now: Time) {
        let (mut statements, item) =
            (Statements::new(), Item { bucket: COLLECTORS.path(), data: peer(seed).into() });
        let validity = Validity::stated_until(now, None);
        match is_named {
            true => statements.propose(item, validity),
            false => statements.dismiss(item, validity),
        };
        assert_eq!(admit(set, ROOT, statements, now), 1);
    }

    /// Makes a peer state its key.
    pub(crate) fn state_key(set: &mut Set, seed: u8, now: Time) {
        propose(set, seed, key_item(peer(seed), SealingKey::of(&key(seed)).public()).unwrap(), now);
    }

    fn batch() -> StatedBatch {
        StatedBatch {
            history: HistoryId::from_bytes([0x0a; 8]),
            after: 5,
            last: 17,
            bytes: 900,
            cid: cid_of(b"batch"),
        }
    }

    #[test]
    fn only_the_canonical_text_within_the_limits_names_a_batch() {
        let text = batch().to_string();
        assert!(text.starts_with("0a0a0a0a0a0a0a0a 5 17 900 bafkrei") && text.parse() == Ok(batch()));
        let longest = StatedBatch {
            history: HistoryId::from_bytes([0xff; 8]),
            after: MAX_NUMBER - 1,
            last: MAX_NUMBER,
            bytes: MAX_SEALED_BYTES as u64,
            ..batch()
        };
        assert_eq!(longest.to_string().parse(), Ok(longest));
        assert!(longest.to_string().len() <= BATCHES.family().max_data);
        for wrong in [
            String::new(),
            text.replace(" 5 ", " 05 "),
            text.replace(" 5 ", "  5 "),
            text.replace(" 5 ", " +5 "),
            text.replace(" 5 ", " 17 "),
            text.replace(" 17 ", " 9007199254740992 "),
            text.replace(" 900 ", " 0 "),
            text.replace(" 900 ", " 10000000 "),
            text.replace("0a0a", "0A0a"),
            text.to_uppercase(),
            text[1..].to_owned(),
            format!("{text} 1"),
            format!("{} {}", &text[..26], "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"),
        ] {
            assert_eq!(wrong.parse::<StatedBatch>(), Err(NotStated), "{wrong}");
        }
        let receipt = StatedReceipt { history: HistoryId::from_bytes([1; 8]), last: 7 };
        assert_eq!(receipt.to_string().parse(), Ok(receipt));
        for wrong in [
            "",
            "0101010101010101",
            "0101010101010101 07",
            "0101010101010101 7 ",
            "1 7",
            "010101010101010g 7",
        ] {
            assert_eq!(wrong.parse::<StatedReceipt>(), Err(NotStated), "{wrong}");
        }
    }

    #[test]
    fn only_peers_that_roles_name_are_collectors() {
        let mut set = swarm();
        for seed in [2, 3, 4] {
            state_key(&mut set, seed, NOW);
        }
        assert!(recipients(&set, NOW).is_empty(), "a peer names itself only by its key");
        propose(&mut set, 3, Item { bucket: COLLECTORS.path(), data: peer(3).into() }, NOW);
        assert!(named_collectors(&set, NOW).is_empty(), "it has no role");
        name(&mut set, 2, true, NOW);
        name(&mut set, 5, true, NOW);
        assert_eq!(named_collectors(&set, NOW), [peer(2), peer(5)].into());
        assert_eq!(
            recipients(&set, NOW).into_keys().collect::<Vec<_>>(),
            [peer(2)],
            "the other one has no key"
        );
        name(&mut set, 2, false, NOW.plus(1));
        assert!(recipients(&set, NOW.plus(1)).is_empty());
        let mut open = Set::default();
        propose(&mut open, 3, Item { bucket: COLLECTORS.path(), data: peer(3).into() }, NOW);
        assert!(named_collectors(&open, NOW).is_empty(), "nobody has a role in the open swarm");
    }

    #[test]
    fn at_most_eight_collectors_get_a_batch() {
        let mut set = swarm();
        for seed in 1..=12 {
            name(&mut set, seed, true, NOW);
            state_key(&mut set, seed, NOW);
        }
        assert_eq!(recipients(&set, NOW).len(), MAX_RECIPIENTS);
    }

    #[test]
    fn receipts_count_only_if_they_are_of_named_collectors_and_possible() {
        let (mut set, history) = (swarm(), HistoryId::from_bytes([1; 8]));
        let stored = |set: &Set| stored_up_to(set, (peer(1), history), 100, NOW);
        let state = |set: &mut Set, seed: u8, about: u8, history, last| {
            let item = receipt_item(peer(seed), peer(about), &StatedReceipt { history, last }).unwrap();
            propose(set, seed, item, NOW)
        };
        state(&mut set, 2, 1, history, 50);
        assert_eq!(stored(&set), None, "it is no collector");
        name(&mut set, 2, true, NOW);
        assert_eq!(stored(&set), Some(50));
        state(&mut set, 2, 9, history, 90);
        state(&mut set, 2, 1, HistoryId::from_bytes([2; 8]), 90);
        state(&mut set, 2, 1, history, 101);
        assert_eq!(stored(&set), Some(50), "another robot, another history, rows that do not exist");
        let foreign = receipt_item(peer(2), peer(1), &StatedReceipt { history, last: 70 }).unwrap();
        assert_eq!(propose(&mut set, 3, foreign, NOW), 0, "nobody else may state it");
        name(&mut set, 3, true, NOW);
        state(&mut set, 3, 1, history, 60);
        assert_eq!(stored(&set), Some(60));
    }

    #[test]
    fn announcements_are_read_up_to_a_limit_and_only_of_their_robots() {
        let mut set = swarm();
        for number in 0..40_u64 {
            let batch = StatedBatch { after: number, last: number + 100, ..batch() };
            propose(&mut set, 1, batch_item(peer(1), &batch).unwrap(), NOW);
        }
        propose(&mut set, 2, batch_item(peer(2), &batch()).unwrap(), NOW);
        assert_eq!(propose(&mut set, 2, batch_item(peer(3), &batch()).unwrap(), NOW), 0);
        let mut below = batch_item(peer(4), &batch()).unwrap();
        below.bucket = format!("{}/x", below.bucket.as_str()).parse().unwrap();
        propose(&mut set, 4, below, NOW);
        let announced = announced(&set, NOW);
        let numbers: Vec<(PeerId, usize)> =
            announced.into_iter().map(|(robot, batches)| (robot, batches.len())).collect();
        let mut expected = vec![(peer(1), MAX_READ), (peer(2), 1)];
        expected.sort();
        assert_eq!(numbers, expected);
    }

    proptest! {
        #[test]
        fn a_text_that_is_read_is_the_same_after_writing(text in "[0-9a-f]{16} [0-9]{1,3} [0-9]{1,3} [0-9]{1,8} [a-z2-7]{5}") {
            if let Ok(batch) = text.parse::<StatedBatch>() {
                prop_assert_eq!(batch.to_string(), text);
            }
        }
    }
}
