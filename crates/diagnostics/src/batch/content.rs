//! The content of a batch: pages of the history, as `ring::page` writes them, without the zeros at their ends.
//!
//! | bytes | content |
//! |---|---|
//! | 2 | number of pages, big-endian |
//! | for each page: 2 | its size, big-endian |
//! | | the page up to its last byte that is not zero |
//!
//! The values in a page are differences already, and most of them need one byte. So there is no further compression.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::ring::Resolution;
use crate::ring::page::{MAX_ROWS, PAGE_BYTES, Page, PageError};
use crate::ring::timeline::Anchor;
use crate::sample::Sample;
use std::collections::BTreeMap;

/// Maximum number of pages in a batch.
pub const MAX_PAGES: usize = 512;
/// Number of rows in a page that a robot makes. It is that of the ring of minutes.
pub(super) const PAGE_ROWS: usize = 15;
/// Maximum number of rows that a robot puts into a batch. With one row in a minute, they are five days.
pub const FULL_ROWS: usize = MAX_PAGES * PAGE_ROWS;
/// Maximum number of rows in a batch that is read.
pub const MAX_BATCH_ROWS: usize = MAX_PAGES * MAX_ROWS;
/// Size of a number before the pages, and before each page, in bytes.
const COUNT_BYTES: usize = 2;
/// Maximum size of a content in bytes: 2.1 MB. A typical page of minutes has half of its maximum size.
pub const MAX_CONTENT_BYTES: usize = COUNT_BYTES + MAX_PAGES * (COUNT_BYTES + PAGE_BYTES);

/// Reason why a content cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// The content is longer than a batch may be.
    #[error("it has more than {MAX_CONTENT_BYTES} bytes")]
    TooLarge,
    /// The content has too many pages.
    #[error("it has more than {MAX_PAGES} pages")]
    TooManyPages,
    /// The content ends before its last page.
    #[error("it ends too early")]
    Truncated,
    /// There are bytes after the last page, or a page ends with zeros.
    #[error("it has bytes that mean nothing")]
    Surplus,
    /// A page cannot be read.
    #[error("one of its pages cannot be read: {0}")]
    Page(#[source] PageError),
    /// A page is empty.
    #[error("one of its pages is empty")]
    Empty,
}

/// Distributes rows over the pages of a batch. Each page gets the anchor of each of its boots that is nearest to its
/// rows.
pub fn paged(resolution: Resolution, rows: &[Sample], anchors: &[Anchor]) -> Vec<Page> {
    let mut of_boots: BTreeMap<_, Vec<Anchor>> = BTreeMap::new();
    for anchor in anchors {
        of_boots.entry(anchor.stamp.boot).or_default().push(*anchor);
    }
    let page = |(number, rows): (usize, &[Sample])| {
        let last: BTreeMap<_, u64> = rows.iter().map(|row| (row.stamp.boot, row.stamp.millis)).collect();
        let nearest = last.iter().filter_map(|(boot, millis)| {
            of_boots.get(boot)?.iter().min_by_key(|anchor| anchor.stamp.millis.abs_diff(*millis)).copied()
        });
        Page { resolution, number: number as u64, rows: rows.to_vec(), anchors: nearest.collect() }
    };
    rows.chunks(PAGE_ROWS).take(MAX_PAGES).enumerate().map(page).collect()
}

/// Writes pages. Of more than [`MAX_PAGES`] pages, the last ones are left out.
pub fn encode(pages: &[Page]) -> Vec<u8> {
    let mut writer = Writer::default();
    pages.iter().for_each(|page| writer.push(page));
    writer.into_bytes()
}

/// A content while it grows.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    pages: usize,
    /// The pages, each after its size.
    bytes: Vec<u8>,
}

impl Writer {
    /// Returns the number of pages for which there is room.
    pub const fn room(&self) -> usize {
        MAX_PAGES - self.pages
    }

    /// Adds a page, if there is room.
    pub fn push(&mut self, page: &Page) {
        if self.room() == 0 {
            return;
        }
        let bytes = page.encode();
        let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
        let used = bytes.get(..bytes.len() - zeros).unwrap_or_default();
        self.bytes.extend_from_slice(&(used.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(used);
        self.pages += 1;
    }

    /// Returns the content.
    pub fn into_bytes(self) -> Vec<u8> {
        [&(self.pages as u16).to_be_bytes(), self.bytes.as_slice()].concat()
    }
}

/// Reads pages.
///
/// # Errors
/// Returns an error if the bytes are no content, or exceed a limit.
pub fn decode(content: &[u8]) -> Result<Vec<Page>, ContentError> {
    if content.len() > MAX_CONTENT_BYTES {
        return Err(ContentError::TooLarge);
    }
    let (number, mut rest) = count(content)?;
    if number > MAX_PAGES {
        return Err(ContentError::TooManyPages);
    }
    let mut pages = Vec::new();
    for _ in 0..number {
        let (size, after) = count(rest)?;
        let (used, after) = after.split_at_checked(size).ok_or(ContentError::Truncated)?;
        pages.push(page(used)?);
        rest = after;
    }
    if rest.is_empty() { Ok(pages) } else { Err(ContentError::Surplus) }
}

fn page(used: &[u8]) -> Result<Page, ContentError> {
    if used.len() > PAGE_BYTES || used.last() == Some(&0) {
        return Err(ContentError::Surplus);
    }
    let mut bytes = used.to_vec();
    bytes.resize(PAGE_BYTES, 0);
    Page::decode(&bytes).map_err(ContentError::Page)?.ok_or(ContentError::Empty)
}

fn count(bytes: &[u8]) -> Result<(usize, &[u8]), ContentError> {
    let (count, rest) = bytes.split_first_chunk::<COUNT_BYTES>().ok_or(ContentError::Truncated)?;
    Ok((usize::from(u16::from_be_bytes(*count)), rest))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ring::tests::readings;
    use crate::sample::{BootId, Stamp};
    use dcache::Time;
    use proptest::prelude::*;

    /// Returns rows of one boot with these numbers, one in a minute.
    pub(crate) fn rows(boot: u8, numbers: std::ops::RangeInclusive<u64>) -> Vec<Sample> {
        let row = |number| Sample {
            stamp: Stamp { boot: BootId::new([boot; 16]), millis: number * 60_000 },
            sequence: number,
            readings: readings(number),
        };
        numbers.map(row).collect()
    }

    #[test]
    fn pages_are_the_same_after_writing_and_reading() {
        let rows = [rows(1, 1..=40), rows(2, 41..=50)].concat();
        let anchors: Vec<Anchor> = [3, 20]
            .map(|place: usize| Anchor {
                stamp: rows[place].stamp,
                time: Time(1_800_000_000 + place as u64 * 60),
            })
            .into();
        let pages = paged(Resolution::Minutes, &rows, &anchors);
        let nearest: Vec<Vec<Anchor>> = pages.iter().map(|page| page.anchors.clone()).collect();
        assert_eq!(nearest, [vec![anchors[1]], vec![anchors[1]], vec![anchors[1]], vec![]]);
        let content = encode(&pages);
        let read = decode(&content).unwrap();
        let numbers = |pages: &[Page]| -> Vec<u64> {
            pages.iter().flat_map(|page| page.rows.iter().map(|row| row.sequence)).collect()
        };
        assert_eq!((numbers(&read), encode(&read)), (numbers(&pages), content));
        println!("{} bytes for {} rows of 3 series", encode(&pages).len(), rows.len());
    }

    #[test]
    fn a_content_beyond_a_limit_or_with_surplus_bytes_is_refused() {
        let content = encode(&paged(Resolution::Minutes, &rows(1, 1..=4), &[]));
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut changed = content.clone();
            change(&mut changed);
            decode(&changed)
        };
        assert_eq!(with(&|bytes| bytes.push(0)), Err(ContentError::Surplus));
        assert_eq!(with(&|bytes| bytes[0] = 0xff), Err(ContentError::TooManyPages));
        assert_eq!(with(&|bytes| bytes[1] = 2), Err(ContentError::Truncated));
        assert_eq!(with(&|bytes| bytes[9] ^= 1), Err(ContentError::Page(PageError::Checksum)));
        assert_eq!(with(&|bytes| *bytes = vec![0; 10_000_000]), Err(ContentError::TooLarge));
        assert_eq!(with(&|bytes| *bytes = vec![0, 1, 0, 0]), Err(ContentError::Empty));
        let longer = with(&|bytes| {
            bytes.push(0);
            bytes[3] += 1;
        });
        assert_eq!(longer, Err(ContentError::Surplus));
        for end in 0..content.len() {
            assert_eq!(decode(&content[..end]), Err(ContentError::Truncated), "{end}");
        }
    }

    #[test]
    fn the_largest_content_keeps_the_limit() {
        let rows = rows(1, 1..=FULL_ROWS as u64 + 100);
        let pages = paged(Resolution::Minutes, &rows, &[]);
        assert_eq!(pages.len(), MAX_PAGES);
        assert!(encode(&pages).len() <= MAX_CONTENT_BYTES);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_within_the_limits(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(pages) = decode(&bytes) {
                prop_assert_eq!(encode(&pages).len() <= MAX_CONTENT_BYTES, pages.len() <= MAX_PAGES);
            }
        }
    }
}
