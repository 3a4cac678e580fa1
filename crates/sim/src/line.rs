//! Lines on their way: decoded once, however many hear them.

use routing::{Envelope, MAX_LINE_BYTES};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a line is for, as the bytes are split in the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It carries records.
    Records,
    /// It shows what its sender holds.
    Beacons,
    /// It is a step of a comparison.
    Repair,
    /// Pings, pongs, requests, rubbish, and the opening of links.
    Others,
}

/// A line.
#[derive(Debug)]
pub(crate) struct Line {
    /// What a reader makes of it; `None` when it is none.
    pub(crate) envelope: Option<Envelope>,
    pub(crate) bytes: usize,
    pub(crate) kind: Kind,
    /// For liars, who say again what they heard.
    pub(crate) text: Box<str>,
}

impl Line {
    pub(crate) fn new(text: String) -> Self {
        let envelope = Envelope::decode(text.as_bytes()).ok();
        let kind = envelope.as_ref().map_or(Kind::Others, kind);
        debug_assert!(text.len() <= MAX_LINE_BYTES + 1, "nobody sends more than that");
        Self { envelope, bytes: text.len(), kind, text: text.into() }
    }
}

/// A line that carries records is that, whatever else it has; then a step of a comparison, then a beacon.
fn kind(envelope: &Envelope) -> Kind {
    if !envelope.signatures.is_empty() || !envelope.records.is_empty() {
        Kind::Records
    } else if envelope.repair.is_some() {
        Kind::Repair
    } else if envelope.beacon.is_some() {
        Kind::Beacons
    } else {
        Kind::Others
    }
}

/// Lines and bytes, those of headers included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// How many lines.
    pub lines: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
}

impl Count {
    /// What was counted since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self { lines: self.lines - earlier.lines, bytes: self.bytes - earlier.bytes }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { lines: self.lines + other.lines, bytes: self.bytes + other.bytes }
    }
}

/// What one node sent and received, by kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) sent: Tally,
    pub(crate) received: Tally,
}

/// Counts by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally(BTreeMap<Kind, Count>);

impl Tally {
    pub(crate) fn add(&mut self, kind: Kind, bytes: u64) {
        let count = self.0.entry(kind).or_default();
        *count = count.plus(Count { lines: 1, bytes });
    }

    /// Those of one kind.
    pub(crate) fn of(&self, kind: Kind) -> Count {
        self.0.get(&kind).copied().unwrap_or_default()
    }

    /// All kinds together.
    pub(crate) fn all(&self) -> Count {
        self.0.values().fold(Count::default(), |sum, count| sum.plus(*count))
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            let sum = self.0.entry(*kind).or_default();
            *sum = sum.plus(*count);
        }
    }

    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self(self.0.iter().map(|(kind, count)| (*kind, count.since(earlier.of(*kind)))).collect())
    }
}
