//! A small world, in which items, signers, times and roles often meet.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the report")]

pub(crate) mod reference;

use dcache::{
    BucketPath, Data, Digest, End, Item, Kind, Limits, Moment, PeerId, Policy, Record, Set, Signature,
    Statement, SwarmFile, Time, Validity,
};
use proptest::prelude::*;

/// The peers, by number. The first two are roots.
pub(crate) const PEERS: u8 = 7;
/// How many of them are roots.
pub(crate) const ROOTS: u8 = 2;
/// When all histories begin.
pub(crate) const BEGIN: Time = Time(1_800_000_000);
/// By when all of it is over but what has no end.
pub(crate) const LAST: u64 = 160;

/// How many cases a law is tried in: 10,000, or what `DT_SWARM_CASES` says.
pub(crate) fn cases() -> ProptestConfig {
    let told = std::env::var("DT_SWARM_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: told.unwrap_or(10_000), failure_persistence: None, ..ProptestConfig::default() }
}

/// Who nobody else is. Signatures are not verified where records come from a disk, so these need no key.
pub(crate) fn peer(number: u8) -> PeerId {
    PeerId::from_public_key([number; 32])
}

/// A swarm in which two roots make an admin, and two trusted peers make a file verified.
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

/// Quotas that are soon full, the same for everybody.
pub(crate) fn same_for_all() -> Limits {
    Limits { member: 3, stranger: 3, strangers: usize::MAX, lifetime: 1000, ahead: 2000 }
}

/// Quotas that are soon full, for strangers sooner.
pub(crate) fn tight() -> Limits {
    Limits { member: 4, stranger: 2, strangers: 5, lifetime: 1000, ahead: 2000 }
}

/// Everything that is spoken about.
pub(crate) fn items() -> Vec<Item> {
    let item =
        |bucket: &str, data: &str| Item { bucket: bucket.parse().unwrap(), data: Data::new(data).unwrap() };
    let mut items = Vec::new();
    items.extend(["a", "b", "c", "d", "e"].map(|data| item("share/files", data)));
    // Large ones have quotas of their own.
    items.extend(["a", "b", "c"].map(|data| item("share/files", &data.repeat(600))));
    items.extend(["a", "b"].map(|data| item("share/verified", data)));
    items.extend(["a", "b"].map(|data| item("diaries", data)));
    items.extend([item("nowhere", "a"), item("admin", "nobody")]);
    items.extend((2..5).map(|number| item("admin", &peer(number).to_string())));
    items.extend((2..PEERS).map(|number| item("trusted", &peer(number).to_string())));
    items.extend((0..PEERS).map(|number| item("peer", &peer(number).to_string())));
    items
}

/// Its buckets, in order.
pub(crate) fn buckets() -> Vec<BucketPath> {
    let buckets: std::collections::BTreeSet<BucketPath> =
        items().into_iter().map(|item| item.bucket).collect();
    buckets.into_iter().collect()
}

/// A record as if it had been verified.
pub(crate) fn record(
    signer: u8,
    sequence: u64,
    kind: Kind,
    item: Item,
    validity: Validity,
    keep: End,
) -> Record {
    let statement = Statement::new(kind, item, validity).unwrap();
    // As of a real signature: no two different records have the same.
    let digest = Digest::of(format!("{signer} {sequence} {keep:?} {}", statement.payload()).as_bytes());
    let bytes = std::array::from_fn(|place| digest.as_bytes()[place % 32]);
    Record::from_own_disk(statement, Signature { signer: peer(signer), sequence, keep, bytes })
}

/// Whom roots may deny, for ever. Nobody else denies anybody here: when a denial ends, what was dropped is not there, which
/// no bounded store can mend by itself.
fn is_deniable(item: &Item) -> bool {
    (PEERS - 2..PEERS).any(|number| item.data.as_str() == peer(number).to_string())
}

/// A statement about the presence of another peer, if it is one, is a denial for ever or one that is refused.
fn denial(signer: u8, kind: Kind, item: &Item, validity: Validity) -> (Kind, Validity) {
    let is_about_another = item.bucket.as_str() == "peer" && item.data.as_str() != peer(signer).to_string();
    match kind == Kind::Dismiss && is_about_another {
        true if signer < ROOTS && is_deniable(item) => (kind, Validity::ALWAYS),
        true => (Kind::Propose, validity),
        false => (kind, validity),
    }
}

/// Any record; open ends are for roots, whose role nobody gives or takes.
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

/// What happens to a replica.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A record comes.
    Deliver(Record),
    /// Time passes.
    Advance(u64),
}

/// A history of one replica: all the records, some of them twice, in any order, while time passes up to `until`.
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

/// Time only grows, whatever the order of the steps.
fn in_time(mut steps: Vec<Step>, times: &[u64]) -> Vec<Step> {
    let mut times = times.iter();
    for step in &mut steps {
        if let Step::Advance(to) = step {
            *to = times.next().copied().unwrap_or_default();
        }
    }
    steps
}

/// A set, and its clock.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    pub(crate) set: Set,
    pub(crate) now: Time,
}

impl Replica {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { set: Set::new(policy(), limits), now: BEGIN }
    }

    /// A replica that lived through a history, and then until `until`.
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
        // That it may be refused is what is tested.
        let _ = self.set.admit_verified(record.clone(), self.now);
    }

    pub(crate) fn advance(&mut self, to: Time) {
        self.now = to;
        self.set.advance(Moment::certain(to));
    }

    /// With everything that `other` holds.
    pub(crate) fn merged_with(&self, other: &Self) -> Self {
        let mut merged = self.clone();
        other.set.records().for_each(|record| merged.hear(record));
        merged
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.set.records().cloned().collect()
    }

    /// What it answers to every query, at several times from now on.
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
        assert_eq!(all, by_bucket.map(shown).collect::<Vec<_>>(), "however one asks");
        let one_by_one = items();
        let mut one_by_one: Vec<_> =
            one_by_one.iter().filter_map(|item| self.set.item(item, time)).map(shown).collect();
        one_by_one.sort();
        assert_eq!(all, one_by_one);
        let roles = (0..PEERS).map(|number| self.set.role(peer(number), time)).collect();
        Answer { time, items: all, roles }
    }
}

/// Everything that can be asked at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) time: Time,
    pub(crate) items: Vec<(Item, Vec<PeerId>)>,
    pub(crate) roles: Vec<Option<dcache::Role>>,
}
