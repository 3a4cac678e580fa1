//! Lines that are being delivered. Each line is decoded once, however many nodes hear it.

use routing::{Envelope, MAX_LINE_BYTES};
use serde::Serialize;
use std::collections::BTreeMap;

/// Purpose of a line, by which the figures split the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The line carries records.
    Records,
    /// The line shows the records of its sender.
    Beacons,
    /// The line is a step of a comparison.
    Repair,
    /// Pings, pongs, requests, rubbish, and the opening of links.
    Others,
}

/// A line, with its decoded envelope.
#[derive(Debug)]
pub(crate) struct Line {
    /// The decoded line; `None` if it is malformed.
    pub(crate) envelope: Option<Envelope>,
    pub(crate) bytes: usize,
    pub(crate) kind: Kind,
    /// Text of the line, for liars that repeat lines.
    pub(crate) text: Box<str>,
}

impl Line {
    pub(crate) fn new(text: String) -> Self {
        let envelope = Envelope::decode(text.as_bytes()).ok();
        let kind = envelope.as_ref().map_or(Kind::Others, kind);
        debug_assert!(text.len() <= MAX_LINE_BYTES + 1, "no node sends a longer line");
        Self { envelope, bytes: text.len(), kind, text: text.into() }
    }
}

/// Returns the purpose of a line. If it has several, the first of these counts: records, a step of a comparison, a
/// beacon.
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

/// Number of lines, and of their bytes including headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Number of lines.
    pub lines: u64,
    /// Number of their bytes on the wire.
    pub bytes: u64,
}

impl Count {
    /// Returns the difference to an earlier count.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self { lines: self.lines - earlier.lines, bytes: self.bytes - earlier.bytes }
    }

    /// Returns the sum of both counts.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { lines: self.lines + other.lines, bytes: self.bytes + other.bytes }
    }
}

/// Traffic of one node, by purpose.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) sent: Tally,
    pub(crate) received: Tally,
}

/// Counts by purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally(BTreeMap<Kind, Count>);

impl Tally {
    pub(crate) fn add(&mut self, kind: Kind, bytes: u64) {
        let count = self.0.entry(kind).or_default();
        *count = count.plus(Count { lines: 1, bytes });
    }

    /// Returns the count of one purpose.
    pub(crate) fn of(&self, kind: Kind) -> Count {
        self.0.get(&kind).copied().unwrap_or_default()
    }

    /// Returns the sum over all purposes.
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
