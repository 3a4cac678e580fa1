//! Checks the content of a batch. A robot may send anything, so each size, count and order has a limit.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::batch::content::{self, ContentError};
use crate::metrics::Series;
use crate::ring::Resolution;
use crate::ring::timeline::Anchor;
use crate::sample::{BootId, Sample};
use dcache::Time;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of different series in a batch. A robot has about 80.
pub const MAX_SERIES: usize = 512;
/// Maximum number of boots in a batch. A batch holds five days, and a robot that boots each minute has one row a boot.
pub const MAX_BOOTS: usize = 2048;
/// Greatest time since a boot, in milliseconds: a hundred years.
const MAX_MILLIS: u64 = 100 * 366 * 24 * 3600 * 1000;
/// Earliest time of day of an anchor: the beginning of 2020. A clock that shows an earlier time is wrong, such as one
/// that begins in 1970.
pub const EARLIEST: Time = Time(1_577_836_800);
/// Seconds by which an anchor may be later than the clock of the collector.
pub const AHEAD: u64 = 24 * 3600;

/// Reason why the rows of a batch are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The pages cannot be read.
    #[error("its content cannot be read: {0}")]
    Content(#[from] ContentError),
    /// A page has rows of another resolution than minutes and hours. Their numbers would be those of other rows.
    #[error("it has rows that are neither of minutes nor of hours")]
    Resolution,
    /// The number of a row is outside the range of the batch, or not higher than the one before.
    #[error("the number of a row is not in the range of the batch, or not in order")]
    Number,
    /// The time since the boot is less than that of the row before, or impossible.
    #[error("the time since the boot goes backwards, or is longer than a hundred years")]
    Backwards,
    /// The rows of a boot are interrupted by those of another one.
    #[error("rows of one boot are on both sides of another boot")]
    Interrupted,
    /// There are too many boots.
    #[error("it has more than {MAX_BOOTS} boots")]
    Boots,
    /// There are too many series.
    #[error("it has more than {MAX_SERIES} series")]
    Series,
}

/// The rows and anchors of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Rows in the order of their numbers.
    pub rows: Vec<Sample>,
    /// Anchors of their boots that can be true.
    pub anchors: Vec<Anchor>,
    /// Number of anchors that cannot be true: before 2020, or in the future.
    pub impossible_anchors: usize,
}

/// Reads the content of a batch with the rows after `after` up to `last`.
///
/// # Errors
/// Returns the reason if the rows are refused.
pub fn rows(content: &[u8], (after, last): (u64, u64), now: Time) -> Result<Rows, Refused> {
    let pages = content::decode(content)?;
    if pages.iter().any(|page| page.resolution == Resolution::Samples) {
        return Err(Refused::Resolution);
    }
    let (mut rows, mut anchors) = (Vec::new(), Vec::new());
    for page in pages {
        rows.extend(page.rows);
        anchors.extend(page.anchors);
    }
    check_numbers(&rows, (after, last))?;
    check_boots(&rows)?;
    check_series(&rows)?;
    let all = anchors.len();
    anchors.retain(|anchor| {
        (EARLIEST..=now.plus(AHEAD)).contains(&anchor.time) && anchor.stamp.millis <= MAX_MILLIS
    });
    let impossible_anchors = all - anchors.len();
    Ok(Rows { rows, anchors, impossible_anchors })
}

fn check_numbers(rows: &[Sample], (after, last): (u64, u64)) -> Result<(), Refused> {
    let is_in_range = rows.iter().all(|row| after < row.sequence && row.sequence <= last);
    let is_ordered = rows.is_sorted_by(|one, next| one.sequence < next.sequence);
    if is_in_range && is_ordered { Ok(()) } else { Err(Refused::Number) }
}

/// Checks the order of the boots, and the times since each boot.
fn check_boots(rows: &[Sample]) -> Result<(), Refused> {
    let mut millis: BTreeMap<BootId, u64> = BTreeMap::new();
    let mut current = None;
    for row in rows {
        let boot = row.stamp.boot;
        let before = millis.insert(boot, row.stamp.millis);
        if before.is_some() && current != Some(boot) {
            return Err(Refused::Interrupted);
        }
        if before.is_some_and(|before| row.stamp.millis < before) || row.stamp.millis > MAX_MILLIS {
            return Err(Refused::Backwards);
        }
        current = Some(boot);
    }
    if millis.len() > MAX_BOOTS { Err(Refused::Boots) } else { Ok(()) }
}

fn check_series(rows: &[Sample]) -> Result<(), Refused> {
    let mut series: BTreeSet<&Series> = BTreeSet::new();
    for reading in rows.iter().flat_map(|row| row.readings.iter()) {
        if series.insert(&reading.series) && series.len() > MAX_SERIES {
            return Err(Refused::Series);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::content::tests::rows as some_rows;
    use crate::batch::content::{FULL_ROWS, MAX_CONTENT_BYTES, encode, paged};
    use crate::metrics::{CUSTOM, UPTIME};
    use crate::ring::page::Page;
    use crate::sample::{Readings, Stamp};

    const NOW: Time = Time(1_800_000_000);

    fn checked(rows: &[Sample], anchors: &[Anchor]) -> Result<Rows, Refused> {
        super::rows(&encode(&paged(Resolution::Minutes, rows, anchors)), (0, u64::MAX), NOW)
    }

    #[test]
    fn the_rows_of_a_robot_are_accepted() {
        let rows = [some_rows(1, 1..=20), some_rows(2, 21..=30)].concat();
        let checked = checked(&rows, &[]).unwrap();
        assert_eq!(
            checked.rows.iter().map(|row| row.sequence).collect::<Vec<_>>(),
            (1..=30).collect::<Vec<_>>()
        );
        assert_eq!(super::rows(&[0, 0], (0, 1), NOW), Ok(Rows::default()), "a range may have no rows");
    }

    #[test]
    fn rows_outside_the_range_or_out_of_order_are_refused() {
        let rows = some_rows(1, 5..=9);
        let content = encode(&paged(Resolution::Minutes, &rows, &[]));
        let of = |range| super::rows(&content, range, NOW).map(|rows| rows.rows.len());
        assert_eq!((of((4, 9)), of((5, 9)), of((4, 8))), (Ok(5), Err(Refused::Number), Err(Refused::Number)));
        let reversed: Vec<Sample> = rows.iter().rev().cloned().collect();
        assert_eq!(checked(&reversed, &[]), Err(Refused::Number));
        let twice = [rows[0].clone(), rows[0].clone()];
        assert_eq!(checked(&twice, &[]), Err(Refused::Number));
    }

    #[test]
    fn a_time_that_goes_backwards_and_boots_that_alternate_are_refused() {
        let mut rows = some_rows(1, 1..=5);
        rows[4].stamp.millis = 1;
        assert_eq!(checked(&rows, &[]), Err(Refused::Backwards));
        rows[4].stamp.millis = u64::MAX;
        assert_eq!(checked(&rows, &[]), Err(Refused::Backwards));
        rows[4].stamp = rows[3].stamp;
        assert!(checked(&rows, &[]).is_ok());
        rows[2].stamp.boot = BootId::new([9; 16]);
        assert_eq!(checked(&rows, &[]), Err(Refused::Interrupted));
    }

    #[test]
    fn samples_are_refused() {
        let content = encode(&paged(Resolution::Samples, &some_rows(1, 1..=2), &[]));
        assert_eq!(super::rows(&content, (0, 2), NOW), Err(Refused::Resolution));
    }

    #[test]
    fn a_million_labels_are_refused() {
        let row = |number: u64| {
            let mut readings = Readings::default();
            for label in 0..120 {
                readings.add_for(&CUSTOM, &format!("{number}.{label}"), 1.0);
            }
            Sample { stamp: Stamp { boot: BootId::new([1; 16]), millis: number }, sequence: number, readings }
        };
        let pages: Vec<Page> = (1..=100)
            .map(|number| Page {
                resolution: Resolution::Minutes,
                number,
                rows: vec![row(number)],
                anchors: vec![],
            })
            .collect();
        assert_eq!(super::rows(&encode(&pages), (0, 100), NOW), Err(Refused::Series));
        assert_eq!(
            super::rows(&vec![0xff; 10_000_000], (0, 100), NOW),
            Err(Refused::Content(ContentError::TooLarge))
        );
    }

    #[test]
    fn values_that_are_no_numbers_are_left_out() {
        let mut readings = Readings::default();
        readings.add(&UPTIME, 1.5);
        let stamp = Stamp { boot: BootId::new([1; 16]), millis: 9 };
        let pages = paged(Resolution::Minutes, &[Sample { stamp, sequence: 1, readings }], &[]);
        let mut content = encode(&pages);
        // The float 1.5 becomes not a number. The checksum is made right again.
        let at = content.windows(3).position(|bytes| bytes == [0x02, 0x3f, 0xf8]).unwrap();
        content[at + 1..at + 3].copy_from_slice(&[0x7f, 0xf8]);
        let mut page = content[4..].to_vec();
        page.resize(crate::ring::page::PAGE_BYTES, 0);
        let checksum = {
            use std::hash::Hasher as _;
            let mut hasher = siphasher::sip::SipHasher13::new();
            hasher.write(&page[8..]);
            hasher.finish().to_be_bytes()
        };
        content[4..12].copy_from_slice(&checksum);
        let rows = super::rows(&content, (0, 1), NOW).unwrap();
        assert_eq!((rows.rows.len(), rows.rows[0].readings.len()), (1, 0));
    }

    #[test]
    fn anchors_that_cannot_be_true_are_left_out() {
        let rows = some_rows(1, 1..=60);
        let anchors = |times: [u64; 4]| -> Vec<Anchor> {
            let anchor =
                |(page, time): (usize, u64)| Anchor { stamp: rows[page * 15 + 14].stamp, time: Time(time) };
            times.into_iter().enumerate().map(anchor).collect()
        };
        let all = anchors([3600, NOW.0 + AHEAD + 1, NOW.0 + AHEAD, EARLIEST.0]);
        let checked = checked(&rows, &all).unwrap();
        assert_eq!((checked.anchors.len(), checked.impossible_anchors), (2, 2));
    }

    #[test]
    fn a_full_batch_of_the_greatest_pages_is_read() {
        let content = encode(&paged(Resolution::Minutes, &some_rows(1, 1..=FULL_ROWS as u64), &[]));
        assert!(content.len() <= MAX_CONTENT_BYTES);
        assert_eq!(
            super::rows(&content, (0, FULL_ROWS as u64), NOW).map(|rows| rows.rows.len()),
            Ok(FULL_ROWS)
        );
    }
}
