//! Makes the batch of an order: reads the rows of the history, and seals them.
//!
//! A batch has the rows of minutes. Where the ring of minutes has already replaced them, it has those of hours.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::FleetId;
use super::content::{self, PAGE_ROWS};
use super::decide::{Made, Order, Pending};
use super::seal::{SECRET_BYTES, SealError, Subject, seal};
use crate::ring::{Disk, History, Resolution};
use crate::sample::Stamp;
use cid::Cid;
use dcache::PeerId;
use std::io;

/// Number of rows that are read at once. They fill whole pages, and have about 2 MB in memory.
const ROWS_AT_ONCE: usize = 16 * PAGE_ROWS;

/// A sealed batch, for IPFS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedBatch {
    /// The bytes of the file.
    pub bytes: Vec<u8>,
    /// Number of its first row.
    pub first: u64,
    /// Number of its last row.
    pub last: u64,
    /// Number of its rows.
    pub rows: usize,
}

/// Reason why a batch was not made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The history cannot be read.
    #[error("the history cannot be read: {0}")]
    Disk(#[from] io::Error),
    /// The rows cannot be sealed.
    #[error("the rows cannot be sealed: {0}")]
    Seal(#[from] SealError),
    /// The history has no rows after the last batch.
    #[error("there are no rows for a batch")]
    Empty,
}

impl SealedBatch {
    /// Returns the answer to the order, once the batch is in IPFS.
    pub const fn made(&self, cid: Cid) -> Made {
        Made { cid, first: self.first, last: self.last, rows: self.rows, bytes: self.bytes.len() as u64 }
    }
}

/// Makes the batch of an order of the robot `robot`. `secret` must be random, and fresh for each batch.
///
/// # Errors
/// Returns an error if the disk fails, if there are no rows, or if no collector has a valid key.
pub fn make<D: Disk>(
    history: &History<D>,
    order: &Order,
    (fleet, robot): (FleetId, PeerId),
    secret: &[u8; SECRET_BYTES],
) -> Result<SealedBatch, MakeError> {
    let mut draft = Draft::new(order.most);
    let oldest = oldest_minute(history)?;
    if order.after.saturating_add(1) < oldest {
        draft.add(history, Resolution::Hours, (order.after, oldest))?;
    }
    draft.add(history, Resolution::Minutes, (order.after, u64::MAX))?;
    let Draft { content, rows, first, last, .. } = draft;
    let first = first.ok_or(MakeError::Empty)?;
    let Order { history, base, after, .. } = *order;
    let subject = Subject { fleet, robot, history, base, after, last };
    let bytes = seal(&subject, &order.collectors, &content.into_bytes(), secret)?;
    Ok(SealedBatch { bytes, first, last, rows })
}

/// Counts the rows after `batched`, for [`super::decide::Batching::set_pending`].
///
/// # Errors
/// Returns an error if the disk cannot be read.
pub fn pending<D: Disk>(history: &History<D>, batched: u64, now: Stamp) -> io::Result<Pending> {
    let mut pending = Pending { oldest: oldest_minute(history)?, ..Pending::default() };
    let mut after = batched;
    while pending.rows < content::FULL_ROWS {
        let rows = history.rows(Resolution::Minutes, after, ROWS_AT_ONCE)?;
        let Some(last) = rows.last().map(|row| row.sequence) else { break };
        pending.count(&rows, now);
        after = last;
    }
    Ok(pending)
}

/// Returns the number of the oldest row in the ring of minutes; zero if there is none.
fn oldest_minute<D: Disk>(history: &History<D>) -> io::Result<u64> {
    Ok(history.rows(Resolution::Minutes, 0, 1)?.first().map_or(0, |row| row.sequence))
}

/// The content of a batch while it grows. Only a part of the rows is in memory as rows, since a month of them has 40 times the
/// size of its content.
struct Draft {
    content: content::Writer,
    /// Maximum number of rows.
    most: usize,
    rows: usize,
    first: Option<u64>,
    last: u64,
}

impl Draft {
    fn new(most: usize) -> Self {
        Self { content: content::Writer::default(), most, rows: 0, first: None, last: 0 }
    }

    /// Adds the rows of a resolution whose numbers are higher than the first number, and lower than the second one.
    fn add<D: Disk>(
        &mut self,
        history: &History<D>,
        resolution: Resolution,
        (after, before): (u64, u64),
    ) -> io::Result<()> {
        let mut after = after;
        loop {
            let room = (self.most - self.rows).min(self.content.room() * PAGE_ROWS).min(ROWS_AT_ONCE);
            if room == 0 {
                return Ok(());
            }
            let (mut rows, anchors) = history.part(resolution, after, room)?;
            let read = rows.last().map(|row| row.sequence);
            rows.retain(|row| row.sequence < before);
            content::paged(resolution, &rows, &anchors).iter().for_each(|page| self.content.push(page));
            self.rows += rows.len();
            self.first = self.first.or_else(|| rows.first().map(|row| row.sequence));
            let last = rows.last().map(|row| row.sequence);
            self.last = last.unwrap_or(self.last);
            match last {
                Some(last) if read == Some(last) => after = last,
                _ => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::content::{FULL_ROWS, decode};
    use crate::batch::seal::open;
    use crate::batch::{HistoryId, SealingKey};
    use crate::collectors::check;
    use crate::ring::tests::{SMALL, readings};
    use crate::sample::BootId;
    use dcache::{Keypair, Time};

    fn order(after: u64, most: usize) -> Order {
        let collector = Keypair::from_seed([2; 32]);
        let collectors = [(collector.peer_id(), SealingKey::of(&collector).public())].into();
        Order { history: HistoryId::from_bytes([1; 8]), base: after, after, most, collectors }
    }

    fn history(samples: u64) -> (History<Vec<u8>>, Stamp) {
        let (mut history, _) = History::open(Vec::new(), SMALL).unwrap();
        let mut stamp = Stamp { boot: BootId::new([1; 16]), millis: 0 };
        for number in 1..=samples {
            stamp.millis += 10_000;
            history.add(stamp, readings(number), Some(Time(1_800_000_000 + stamp.millis / 1000))).unwrap();
        }
        (history, stamp)
    }

    #[test]
    fn a_batch_has_minutes_and_before_them_hours() {
        let (history, _) = history(40);
        let minutes: Vec<u64> =
            history.rows(Resolution::Minutes, 0, 100).unwrap().iter().map(|row| row.sequence).collect();
        let (collector, robot) = (Keypair::from_seed([2; 32]), Keypair::from_seed([1; 32]).peer_id());
        let fleet = FleetId::from_bytes([3; 32]);
        let batch = make(&history, &order(0, FULL_ROWS), (fleet, robot), &[4; 32]).unwrap();
        let opened = open(&batch.bytes, (collector.peer_id(), &SealingKey::of(&collector)), |subject| {
            (subject.robot, subject.last) == (robot, batch.last)
        });
        let content = opened.unwrap();
        let pages = decode(&content).unwrap();
        let resolutions: Vec<Resolution> = pages.iter().map(|page| page.resolution).collect();
        assert!(resolutions[0] == Resolution::Hours && resolutions.contains(&Resolution::Minutes));
        let rows = check::rows(&content, (0, batch.last), Time(1_800_000_000)).unwrap();
        let numbers: Vec<u64> = rows.rows.iter().map(|row| row.sequence).collect();
        assert_eq!((numbers.len(), numbers[0], numbers.last()), (batch.rows, batch.first, minutes.last()));
        assert!(numbers.ends_with(&minutes) && numbers.len() > minutes.len(), "{numbers:?} {minutes:?}");
        assert_eq!(batch.last, 40);
    }

    #[test]
    fn a_batch_begins_after_the_rows_of_the_former_one_and_has_a_limit() {
        let (history, stamp) = history(12);
        let numbers = |after, most| {
            let batch = make(
                &history,
                &order(after, most),
                (FleetId::from_bytes([3; 32]), Keypair::from_seed([1; 32]).peer_id()),
                &[4; 32],
            );
            batch.map(|batch| (batch.first, batch.last, batch.rows)).map_err(|error| error.to_string())
        };
        assert_eq!(numbers(0, 100), Ok((2, 12, 6)));
        assert_eq!(numbers(4, 2), Ok((6, 8, 2)));
        assert_eq!(numbers(12, 100), Err("there are no rows for a batch".to_owned()));
        let pending = pending(&history, 8, stamp).unwrap();
        assert_eq!(pending, Pending { oldest: 2, last: 12, rows: 2, seconds: 20 });
    }
}
