//! The state of a robot's batches, which survives a restart.
//!
//! If it is lost, the robot seals its history again, under a new [`HistoryId`]. The collectors recognise rows that they
//! have. So a lost state costs time, and no row is stored twice.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::HistoryId;
use super::stated::{StatedBatch, parse_cid};
use cid::Cid;
use dcache::PeerId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Maximum number of batches without a receipt. Full batches of so many hold more than the ring of minutes.
pub const MAX_OUTSTANDING: usize = 8;

/// The CID of a batch, which is text on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BatchCid(pub Cid);

impl From<BatchCid> for String {
    fn from(cid: BatchCid) -> Self {
        cid.0.to_string()
    }
}

impl TryFrom<String> for BatchCid {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        parse_cid(&text).map(Self).ok_or("it is no CID of a file")
    }
}

/// A batch that no collector has confirmed yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outstanding {
    /// The sealed batch in IPFS.
    pub cid: BatchCid,
    /// Number of the row before the first one of its range.
    pub after: u64,
    /// Number of its first row. There may be no rows for the first numbers of the range.
    pub first: u64,
    /// Number of its last row.
    pub last: u64,
    /// Number of its rows.
    pub rows: usize,
    /// Size of the sealed batch in bytes.
    pub bytes: u64,
    /// The collectors for which it was to be sealed.
    pub sealed_for: BTreeSet<PeerId>,
}

impl Outstanding {
    /// Returns the batch as it is announced.
    pub const fn stated(&self, history: HistoryId) -> StatedBatch {
        StatedBatch { history, after: self.after, last: self.last, bytes: self.bytes, cid: self.cid.0 }
    }
}

/// The state of a robot's batches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchState {
    /// ID of the history to which the numbers belong.
    pub history: HistoryId,
    /// Number of the last row that no collector has to store any more.
    pub base: u64,
    /// Batches without a receipt. Each begins after the last row of the one before.
    pub outstanding: Vec<Outstanding>,
    /// Number of rows that no collector got, because they were older than the history on the disk.
    pub lost: u64,
    /// The collectors that roles named when the time of day was last known.
    #[serde(default)]
    pub known: BTreeSet<PeerId>,
}

impl BatchState {
    /// Returns the state of a new history.
    pub const fn new(history: HistoryId) -> Self {
        Self { history, base: 0, outstanding: Vec::new(), lost: 0, known: BTreeSet::new() }
    }

    /// Returns the number of the last row that is in a batch, or that needs none.
    pub fn batched(&self) -> u64 {
        self.outstanding.last().map_or(self.base, |last| last.last).max(self.base)
    }

    /// Drops the batches from the first one on that does not fit to those before. A state that was written by this
    /// program loses nothing.
    pub(super) fn repair(&mut self) {
        let mut end = None;
        let fits = |batch: &&Outstanding| {
            let is_next = end.is_none_or(|end| batch.after == end) && batch.after < batch.first;
            end = Some(batch.last);
            is_next && batch.first <= batch.last && batch.last > self.base
        };
        let sound = self.outstanding.iter().take(MAX_OUTSTANDING).take_while(fits).count();
        self.outstanding.truncate(sound);
        if self.outstanding.first().is_some_and(|first| first.after > self.base) {
            self.outstanding.clear();
        }
    }

    /// Notes that all rows up to a number are stored. Returns the batches that are not needed any more.
    pub(super) fn confirm(&mut self, stored: u64) -> Vec<BatchCid> {
        self.base = self.base.max(stored);
        let base = self.base;
        let (done, left) =
            std::mem::take(&mut self.outstanding).into_iter().partition(|batch| batch.last <= base);
        self.outstanding = left;
        cids(done)
    }

    /// Forgets the batches from a place on. Their rows need a batch again.
    pub(super) fn reopen(&mut self, from: usize) -> Vec<BatchCid> {
        let from = from.min(self.outstanding.len());
        cids(self.outstanding.split_off(from))
    }

    /// Gives up the oldest batch. Its rows are lost.
    pub(super) fn give_up_oldest(&mut self) -> Vec<BatchCid> {
        if self.outstanding.is_empty() {
            return Vec::new();
        }
        let oldest = self.outstanding.remove(0);
        self.base = self.base.max(oldest.last);
        self.lost = self.lost.saturating_add(oldest.rows as u64);
        vec![oldest.cid]
    }
}

fn cids(batches: Vec<Outstanding>) -> Vec<BatchCid> {
    batches.into_iter().map(|batch| batch.cid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::stated::tests::{cid_of, peer};

    fn batch(after: u64, last: u64) -> Outstanding {
        let cid = BatchCid(cid_of(&last.to_be_bytes()));
        Outstanding { cid, after, first: after + 1, last, rows: 3, bytes: 9, sealed_for: [peer(1)].into() }
    }

    fn state(base: u64, ranges: &[(u64, u64)]) -> BatchState {
        let outstanding = ranges.iter().map(|(after, last)| batch(*after, *last)).collect();
        BatchState { base, outstanding, ..BatchState::new(HistoryId::from_bytes([1; 8])) }
    }

    #[test]
    fn a_state_is_the_same_after_writing_and_reading() {
        let state = state(5, &[(3, 9), (9, 20)]);
        let text = serde_json::to_string(&state).unwrap();
        let mut read: BatchState = serde_json::from_str(&text).unwrap();
        read.repair();
        assert_eq!((&read, read.batched()), (&state, 20));
        assert!(serde_json::from_str::<BatchState>(&text.replace("bafkrei", "qafkrei")).is_err());
        println!("{} bytes", text.len());
    }

    #[test]
    fn of_an_impossible_state_the_first_possible_part_is_kept() {
        let sound = |base, ranges: &[(u64, u64)]| {
            let mut state = state(base, ranges);
            state.repair();
            state.outstanding.len()
        };
        assert_eq!(sound(5, &[(5, 9), (9, 12), (13, 20)]), 2, "a gap");
        assert_eq!(sound(5, &[(5, 9), (8, 12)]), 1, "an overlap");
        assert_eq!(sound(5, &[(6, 9)]), 0, "rows before the first batch would be missing");
        assert_eq!(sound(9, &[(5, 9)]), 0, "it is stored");
        assert_eq!(sound(5, &[(5, 5)]), 0);
        let many: Vec<(u64, u64)> = (0..20).map(|number| (number, number + 1)).collect();
        assert_eq!(sound(0, &many), MAX_OUTSTANDING);
    }

    #[test]
    fn a_receipt_ends_the_batches_that_it_covers() {
        let mut all = state(0, &[(0, 9), (9, 12), (12, 20)]);
        assert_eq!((all.confirm(12).len(), all.outstanding.len(), all.base), (2, 1, 12));
        assert_eq!((all.confirm(15).len(), all.outstanding.len(), all.batched()), (0, 1, 20));
        assert_eq!((all.confirm(7).len(), all.base), (0, 15), "an older receipt changes nothing");
    }
}
