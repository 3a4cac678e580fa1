//! Generators for the tests in `laws.rs`. They use few items, signers, times and roles, so that records often conflict.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

pub(crate) mod reference;

use dcache::{
    BucketPath, Data, Digest, End, Item, Kind, Limits, Moment, PeerId, Policy, Record, Set, Signature,
    Statement, SwarmFile, Time, Validity,
};
use proptest::prelude::*;

/// Number of peers. The first peers are roots: see [`ROOTS`].
pub(crate) const PEERS: u8 = 7;
/// Number of peers that are roots.
pub(crate) const ROOTS: u8 = 2;
/// Time at which all histories begin.
pub(crate) const BEGIN: Time = Time(1_800_000_000);
/// Time, in seconds after [`BEGIN`], by which all records are over, except those without an end.
pub(crate) const LAST: u64 = 160;

/// Returns the number of cases for each law: 10,000, or the value of `DT_SWARM_CASES`.
pub(crate) fn cases() -> ProptestConfig {
    let told = std::env::var("DT_SWARM_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: told.unwrap_or(10_000), failure_persistence: None, ..ProptestConfig::default() }
}

/// Returns a distinct peer. It needs no real key, because the signatures of records from a disk are not verified.
pub(crate) fn peer(number: u8) -> PeerId {
    PeerId::from_public_key([number; 32])
}

/// Returns the policy of a swarm in which it takes two roots to make an admin, and two trusted peers to verify a file.
pub(crate) fn policy() -> Policy {
    let text = format!(
        "name = 'world'\nroots = ['{}', '{}']\nroot_threshold = 2\n\n\
         [[rule]]\nbucket = 'share/verified'\npropose = 'trusted'\npropose_threshold = 2\ndismiss = 'trusted'\n\n\
         [[rule]]\nbucket = 'diaries'\npropose = 'peer'\ndismiss = 'admin'\n",
        peer(0),
        peer(1)
    );
    SwarmFile::parse(&text).unwrap().policy()
}

/// Returns small quotas, equal for all signers.
pub(crate) fn same_for_all() -> Limits {
    Limits { member: 3, stranger: 3, strangers: usize::MAX, lifetime: 1000, ahead: 2000 }
}

/// Returns small quotas, which are smaller for strangers.
pub(crate) fn tight() -> Limits {
    Limits { member: 4, stranger: 2, strangers: 5, lifetime: 1000, ahead: 2000 }
}

/// Returns all items of the world.
pub(crate) fn items() -> Vec<Item> {
    let item =
        |bucket: &str, data: &str| Item { bucket: bucket.parse().unwrap(), data: Data::new(data).unwrap() };
    let mut items = Vec::new();
    items.extend(["a", "b", "c", "d", "e"].map(|data| item("share/files", data)));
    // Large items have quotas of their own.
    items.extend(["a", "b", "c"].map(|data| item("share/files", &data.repeat(600))));
    items.extend(["a", "b"].map(|data| item("share/verified", data)));
    items.extend(["a", "b"].map(|data| item("diaries", data)));
    items.extend([item("nowhere", "a"), item("admin", "nobody")]);
    items.extend((2..5).map(|number| item("admin", &peer(number).to_string())));
    items.extend((2..PEERS).map(|number| item("trusted", &peer(number).to_string())));
    items.extend((0..PEERS).map(|number| item("peer", &peer(number).to_string())));
    items
}

/// Returns the buckets of all items, in order.
pub(crate) fn buckets() -> Vec<BucketPath> {
    let buckets: std::collections::BTreeSet<BucketPath> =
        items().into_iter().map(|item| item.bucket).collect();
    buckets.into_iter().collect()
}

/// Returns a record as if it had been verified.
pub(crate) fn record(
    signer: u8,
    sequence: u64,
    kind: Kind,
    item: Item,
    validity: Validity,
    keep: End,
) -> Record {
    let statement = Statement::new(kind, item, validity).unwrap();
    // As with real signatures, no two different records have the same bytes.
    let digest = Digest::of(format!("{signer} {sequence} {keep:?} {}", statement.payload()).as_bytes());
    let bytes = std::array::from_fn(|place| digest.as_bytes()[place % 32]);
    Record::from_own_disk(statement, Signature { signer: peer(signer), sequence, keep, bytes })
}

/// Returns whether an item is about a peer that roots may deny without an end. There are no other denials in this
/// world: when a denial ends, dropped records are missing, which no bounded store can correct by itself.
fn is_deniable(item: &Item) -> bool {
    (PEERS - 2..PEERS).any(|number| item.data.as_str() == peer(number).to_string())
}

/// Replaces a dismissal of another peer's presence, by a denial without an end or by a statement that is refused.
fn denial(signer: u8, kind: Kind, item: &Item, validity: Validity) -> (Kind, Validity) {
    let is_about_another = item.bucket.as_str() == "peer" && item.data.as_str() != peer(signer).to_string();
    match kind == Kind::Dismiss && is_about_another {
        true if signer < ROOTS && is_deniable(item) => (kind, Validity::ALWAYS),
        true => (Kind::Propose, validity),
        false => (kind, validity),
    }
}

/// Generates any record. Only roots use open ends, because no record gives or withdraws the role of a root.
pub(crate) fn any_record() -> impl Strategy<Value = Record> {
    let kind = prop_oneof![3 => Just(Kind::Propose), 1 => Just(Kind::Dismiss)];
    let times = (0u64..40, 1u64..80, prop::option::weighted(0.3, 0u64..LAST), 0u8..4);
    (0..PEERS, 1u64..8, kind, prop::sample::select(items()), times).prop_map(
        |(signer, sequence, kind, item, (from, seconds, keep, open))| {
            let (from, until) = (BEGIN.plus(from), BEGIN.plus(from + seconds));
            let validity = match (signer < ROOTS, open) {
                (true, 0) => Validity::ALWAYS,
                (true, 1) => Validity::new(Some(from), None).unwrap(),
                (true, 2) => Validity::new(None, Some(until)).unwrap(),
                _ => Validity::new(Some(from), Some(until)).unwrap(),
            };
            let (kind, validity) = denial(signer, kind, &item, validity);
            let keep = keep.map_or(End::default(), |keep| End::at(BEGIN.plus(keep)));
            record(signer, sequence, kind, item, validity, keep)
        },
    )
}

/// One event in the history of a replica.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A record arrives.
    Deliver(Record),
    /// The time passes.
    Advance(u64),
}

/// Generates a history of one replica: all records, some of them twice, in any order, while time passes up to `until`.
pub(crate) fn any_history(records: Vec<Record>, until: u64) -> impl Strategy<Value = Vec<Step>> {
    let again = prop::collection::vec(any::<bool>(), records.len());
    let times = prop::collection::vec(0..=until, 3);
    (again, times).prop_flat_map(move |(again, mut times)| {
        let twice = records.iter().zip(again).filter(|(_, again)| *again).map(|(record, _)| record.clone());
        let mut steps: Vec<Step> = records.iter().cloned().chain(twice).map(Step::Deliver).collect();
        steps.extend(times.iter().map(|_| Step::Advance(0)));
        times.sort_unstable();
        Just(steps).prop_shuffle().prop_map(move |steps| in_time(steps, &times))
    })
}

/// Gives the steps their times in order, so that the time never goes back.
fn in_time(mut steps: Vec<Step>, times: &[u64]) -> Vec<Step> {
    let mut times = times.iter();
    for step in &mut steps {
        if let Step::Advance(to) = step {
            *to = times.next().copied().unwrap_or_default();
        }
    }
    steps
}

/// A set and its clock.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    pub(crate) set: Set,
    pub(crate) now: Time,
}

impl Replica {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { set: Set::new(policy(), limits), now: BEGIN }
    }

    /// Returns a replica after a history, and with its time then advanced to `until`.
    pub(crate) fn after(limits: Limits, history: &[Step], until: u64) -> Self {
        let mut replica = Self::new(limits);
        for step in history {
            match step {
                Step::Deliver(record) => replica.hear(record),
                Step::Advance(to) => replica.advance(BEGIN.plus(*to)),
            }
        }
        replica.advance(BEGIN.plus(until));
        replica
    }

    pub(crate) fn hear(&mut self, record: &Record) {
        // A refusal is part of the test.
        let _ = self.set.admit_verified(record.clone(), self.now);
    }

    pub(crate) fn advance(&mut self, to: Time) {
        self.now = to;
        self.set.advance(Moment::certain(to));
    }

    /// Returns this replica with all records of `other` added.
    pub(crate) fn merged_with(&self, other: &Self) -> Self {
        let mut merged = self.clone();
        other.set.records().for_each(|record| merged.hear(record));
        merged
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.set.records().cloned().collect()
    }

    /// Returns the answers to all queries, at several times from the current time.
    pub(crate) fn answers(&self) -> Vec<Answer> {
        [0, 1, 7, 30, 90, 200].map(|later| self.answer(self.now.plus(later))).into()
    }

    fn answer(&self, time: Time) -> Answer {
        let shown = |view: dcache::View<'_>| {
            (view.item.clone(), view.proposals.iter().map(|record| record.signer()).collect::<Vec<_>>())
        };
        let everything = dcache::Pattern::new("*").unwrap();
        let all: Vec<(Item, Vec<PeerId>)> = self.set.matching(&everything, time).map(shown).collect();
        let by_bucket =
            buckets().into_iter().flat_map(|bucket| self.set.bucket(&bucket, time).collect::<Vec<_>>());
        assert_eq!(all, by_bucket.map(shown).collect::<Vec<_>>(), "all kinds of queries give the same items");
        let one_by_one = items();
        let mut one_by_one: Vec<_> =
            one_by_one.iter().filter_map(|item| self.set.item(item, time)).map(shown).collect();
        one_by_one.sort();
        assert_eq!(all, one_by_one);
        let roles = (0..PEERS).map(|number| self.set.role(peer(number), time)).collect();
        Answer { time, items: all, roles }
    }
}

/// The answers to all queries at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) time: Time,
    pub(crate) items: Vec<(Item, Vec<PeerId>)>,
    pub(crate) roles: Vec<Option<dcache::Role>>,
}
