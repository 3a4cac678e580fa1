//! What a set holds, in short: for finding out whether two nodes hold the same, and what differs if not.
//!
//! Every node forgets what is over, each by its own clock, so just then they differ without anything being missed. All
//! comparisons are therefore of what is still to be remembered after a *bound* a little ahead of both clocks.

use super::Set;
use crate::{End, Record, Time};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Seconds between the bounds for which a fingerprint is at hand, whatever is held. A beacon names no other bound.
pub const BOUND_GRID: u64 = 30;
/// Steps of the grid that are summed up once more: 256 of them, some two hours, so that a bound a week ahead is the sum of
/// some 350 numbers.
const STEPS_IN_A_BLOCK: u64 = 256;

/// A set of records in 24 bytes: how many they are, and the sum of their identifiers modulo 2^128. Equal sets have equal
/// fingerprints in whatever order they grew.
///
/// Whoever can sign records can, with effort, find two sets of his own with the same sum (Wagner, *A generalized birthday
/// problem*, CRYPTO 2002). He hides a gap by that for as long as it takes until two nodes compare more than fingerprints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint {
    /// How many records.
    pub count: u64,
    /// The sum of their identifiers.
    pub sum: u128,
}

impl Fingerprint {
    /// With one record more.
    #[must_use]
    pub fn with(self, record: &Record) -> Self {
        Self { count: self.count.wrapping_add(1), sum: self.sum.wrapping_add(number(record)) }
    }

    /// With one record less.
    #[must_use]
    pub fn without(self, record: &Record) -> Self {
        Self { count: self.count.wrapping_sub(1), sum: self.sum.wrapping_sub(number(record)) }
    }

    fn plus(self, more: Self) -> Self {
        Self { count: self.count.wrapping_add(more.count), sum: self.sum.wrapping_add(more.sum) }
    }

    fn minus(self, less: Self) -> Self {
        Self { count: self.count.wrapping_sub(less.count), sum: self.sum.wrapping_sub(less.sum) }
    }
}

fn number(record: &Record) -> u128 {
    u128::from_be_bytes(record.id().0)
}

/// All records by the time until which they are to be remembered, and their fingerprint.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inventory {
    records: BTreeSet<ByExpiry>,
    all: Fingerprint,
    /// The fingerprints of the records that end after one step of the grid and by the next, by the number of the latter.
    steps: BTreeMap<u64, Fingerprint>,
    /// The same of each [`STEPS_IN_A_BLOCK`] steps.
    blocks: BTreeMap<u64, Fingerprint>,
}

/// Changes the fingerprint of a step or block, which is forgotten when it is empty.
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
        self.records.insert(ByExpiry(record));
    }

    pub(crate) fn take(&mut self, record: &Record) {
        self.sum(record, |fingerprint| fingerprint.without(record));
        self.records.remove(&ByExpiry(record.clone()));
    }

    /// Changes all sums that a record is part of.
    fn sum(&mut self, record: &Record, changed: impl Fn(Fingerprint) -> Fingerprint) {
        self.all = changed(self.all);
        if let Some(end) = record.keep().time() {
            let step = end.0.div_ceil(BOUND_GRID);
            change(&mut self.steps, step, &changed);
            change(&mut self.blocks, step / STEPS_IN_A_BLOCK, &changed);
        }
    }

    /// Returns the fingerprint of what need not be remembered after a bound on the grid.
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
    /// The fingerprint of what is still to be remembered after `bound`. For a multiple of [`BOUND_GRID`] it is at hand;
    /// for another it takes as long as there are records that are not.
    pub fn fingerprint(&self, bound: End) -> Fingerprint {
        if let Some(Time(bound)) = bound.time()
            && bound.is_multiple_of(BOUND_GRID)
        {
            return self.inventory.all.minus(self.inventory.over_at(bound / BOUND_GRID));
        }
        let over = self.inventory.records.iter().take_while(|record| record.0.keep() <= bound);
        over.fold(self.inventory.all, |fingerprint, record| fingerprint.without(&record.0))
    }

    /// The records that are still to be remembered after `bound`, in an order that is the same on all nodes.
    pub fn beyond(&self, bound: End) -> impl Iterator<Item = &Record> {
        let last_first = self.inventory.records.iter().rev().map(|record| &record.0);
        last_first.take_while(move |record| record.keep() > bound)
    }
}

/// A record, sorted by the time until which it is to be remembered.
#[derive(Clone, Debug)]
struct ByExpiry(Record);

impl Ord for ByExpiry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0.keep(), self.0.id()).cmp(&(other.0.keep(), other.0.id()))
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
