//! Summary of a set, with which two nodes find out whether they hold the same records, and which records differ.
//!
//! Each node drops expired records by its own clock, so the sets of two nodes differ for a short time although no
//! record is missing. All comparisons are therefore limited to the records that must be remembered beyond a *bound*: a
//! time that is slightly later than both clocks show.

use super::Set;
use crate::{End, Record, RecordId, Time};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Distance, in seconds, between the bounds for which fingerprints are precomputed. Every bound in a beacon is a
/// multiple of this.
pub const BOUND_GRID: u64 = 30;
/// Number of grid steps that are summed up in one block: 256 steps, about two hours. The fingerprint for a bound a week
/// ahead is then the sum of about 350 numbers.
const STEPS_IN_A_BLOCK: u64 = 256;

/// Summary of a set of records in 24 bytes: their number, and the sum of their identifiers modulo 2^128. Equal sets
/// have equal fingerprints, in whatever order their records came.
///
/// A peer that can sign records can, with much computing time, find two sets of its own records with the same sum
/// (Wagner, *A generalized birthday problem*, CRYPTO 2002). It can thereby hide missing records until two nodes compare
/// more than fingerprints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint {
    /// Number of records.
    pub count: u64,
    /// Sum of the record identifiers modulo 2^128.
    pub sum: u128,
}

impl Fingerprint {
    /// Returns the fingerprint with one more record.
    #[must_use]
    pub fn with(self, record: &Record) -> Self {
        Self { count: self.count.wrapping_add(1), sum: self.sum.wrapping_add(number(record)) }
    }

    /// Returns the fingerprint with one record less.
    #[must_use]
    pub fn without(self, record: &Record) -> Self {
        Self { count: self.count.wrapping_sub(1), sum: self.sum.wrapping_sub(number(record)) }
    }

    /// Returns the fingerprint of two sets together that have no record in common.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self { count: self.count.wrapping_add(more.count), sum: self.sum.wrapping_add(more.sum) }
    }

    /// Returns the fingerprint without the records of another set, which all are in this set.
    #[must_use]
    pub fn minus(self, less: Self) -> Self {
        Self { count: self.count.wrapping_sub(less.count), sum: self.sum.wrapping_sub(less.sum) }
    }
}

fn number(record: &Record) -> u128 {
    u128::from_be_bytes(record.id().0)
}

/// All records, sorted by the time until which they must be remembered, and their fingerprint.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inventory {
    records: BTreeSet<ByExpiry>,
    all: Fingerprint,
    /// Fingerprints of the records that end within one step of the grid. The key is the number of the step's end.
    steps: BTreeMap<u64, Fingerprint>,
    /// Fingerprints of blocks of [`STEPS_IN_A_BLOCK`] steps.
    blocks: BTreeMap<u64, Fingerprint>,
}

/// Changes the fingerprint of a step or block, and removes it if it becomes empty.
fn change(
    parts: &mut BTreeMap<u64, Fingerprint>,
    part: u64,
    change: impl FnOnce(Fingerprint) -> Fingerprint,
) {
    let changed = change(parts.get(&part).copied().unwrap_or_default());
    match changed.count {
        0 => parts.remove(&part),
        _ => parts.insert(part, changed),
    };
}

impl Inventory {
    pub(crate) fn put(&mut self, record: Record) {
        self.sum(&record, |fingerprint| fingerprint.with(&record));
        self.records.insert(ByExpiry::of(record));
    }

    pub(crate) fn take(&mut self, record: &Record) {
        self.sum(record, |fingerprint| fingerprint.without(record));
        self.records.remove(&ByExpiry::of(record.clone()));
    }

    /// Changes all sums that include a record.
    fn sum(&mut self, record: &Record, changed: impl Fn(Fingerprint) -> Fingerprint) {
        self.all = changed(self.all);
        if let Some(end) = record.keep().time() {
            let step = end.0.div_ceil(BOUND_GRID);
            change(&mut self.steps, step, &changed);
            change(&mut self.blocks, step / STEPS_IN_A_BLOCK, &changed);
        }
    }

    /// Returns the fingerprint of the records that need not be remembered after a bound on the grid.
    fn over_at(&self, step: u64) -> Fingerprint {
        let block = step / STEPS_IN_A_BLOCK;
        let whole = self.blocks.range(..block).map(|(_, part)| part);
        let last = self.steps.range(block * STEPS_IN_A_BLOCK..=step).map(|(_, part)| part);
        whole.chain(last).fold(Fingerprint::default(), |sum, part| sum.plus(*part))
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }
}

impl Set {
    /// Returns the fingerprint of the records that must be remembered beyond `bound`. For a multiple of [`BOUND_GRID`]
    /// this is fast. For another bound the time grows with the number of records that end by then.
    pub fn fingerprint(&self, bound: End) -> Fingerprint {
        if let Some(Time(bound)) = bound.time()
            && bound.is_multiple_of(BOUND_GRID)
        {
            return self.inventory.all.minus(self.inventory.over_at(bound / BOUND_GRID));
        }
        let over = self.inventory.records.iter().take_while(|record| record.keep <= bound);
        over.fold(self.inventory.all, |fingerprint, record| fingerprint.without(&record.record))
    }

    /// Returns the records that must be remembered beyond `bound`, in an order that is the same on all nodes.
    pub fn beyond(&self, bound: End) -> impl Iterator<Item = &Record> {
        self.sorted_beyond(bound).map(|sorted| &sorted.record)
    }

    /// Returns the identifiers of the records of [`Set::beyond`], with the records. If only the identifiers are used,
    /// the records are not read from memory.
    pub fn identified_beyond(&self, bound: End) -> impl Iterator<Item = (RecordId, &Record)> {
        self.sorted_beyond(bound).map(|sorted| (sorted.id, &sorted.record))
    }

    fn sorted_beyond(&self, bound: End) -> impl Iterator<Item = &ByExpiry> {
        let last_first = self.inventory.records.iter().rev();
        last_first.take_while(move |record| record.keep > bound)
    }
}

/// A record, sorted by the time until which it must be remembered. The sort key is kept beside the record, because a
/// comparison of two nodes goes through all records. Reading each record from memory would take most of the time.
#[derive(Clone, Debug)]
struct ByExpiry {
    keep: End,
    id: RecordId,
    record: Record,
}

impl ByExpiry {
    fn of(record: Record) -> Self {
        Self { keep: record.keep(), id: record.id(), record }
    }
}

impl Ord for ByExpiry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.keep, self.id).cmp(&(other.keep, other.id))
    }
}

impl PartialOrd for ByExpiry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByExpiry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ByExpiry {}
