//! The format of a page of the history. All numbers are big-endian.
//!
//! | bytes | content |
//! |---|---|
//! | 0 to 7 | checksum: SipHash-1-3, with the key zero, of all bytes after it |
//! | 8 to 11 | `DTdg` |
//! | 12 | version of the format: 1 |
//! | 13 | resolution: 0 for samples, 1 for minutes, 2 for hours |
//! | 14 and 15 | zero |
//! | 16 to 23 | number of the page in its ring; its slot is the number modulo the number of slots |
//! | 24 to 4095 | boots, series and rows, then zeros |
//!
//! A *count* is an unsigned LEB128 number. The boots are their count, and for each one its ID (16 bytes) and a count: 1
//! if an anchor follows, else 0. An anchor is two counts: milliseconds since the boot, and the time of day then in
//! seconds. The series are their count, and for each one two counts and a text: the number of the metric, the size of
//! the label, the label. The rows are their count, and for each one three counts: the place of its boot, milliseconds
//! since the boot, the number of the row. Then comes a value for each series.
//!
//! A value begins with a byte. `0xff` means that the row has no value of this series. Otherwise the byte has the number
//! of leading zero bytes, times 16, plus the number of the bytes that follow. Together with zero bytes at the end they
//! are the eight bytes of a float, combined by exclusive or with the value of this series before. So a value that stays
//! the same needs one byte. Values that grow and shrink have the precision of a 32-bit float.
//!
//! A page whose rows have too many series leaves out the last ones.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::geometry::Resolution;
use super::timeline::Anchor;
use crate::metrics::{Label, MAX_LABEL_BYTES, Series, by_number};
use crate::sample::{BootId, MAX_READINGS, Readings, Sample, Stamp};
use dcache::Time;
use siphasher::sip::SipHasher13;
use std::collections::BTreeSet;
use std::hash::Hasher as _;
use telemetry::MetricKind;

/// Size of a page in bytes: that of a page of most file systems, and a multiple of a disk's sector.
pub const PAGE_BYTES: usize = 4096;
/// Maximum number of rows of a page that is read.
pub const MAX_ROWS: usize = 64;
/// Start of a page, after its checksum.
const MAGIC: &[u8; 4] = b"DTdg";
/// Version of the format.
const VERSION: u8 = 1;
/// Size of the checksum in bytes.
const CHECKSUM_BYTES: usize = 8;
/// Place of the first byte after the header.
const CONTENT: usize = 24;
/// First byte of a value that is missing.
const MISSING: u8 = 0xff;
/// Size of a float in bytes.
const FLOAT_BYTES: usize = 8;

/// A page of the history.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Ring to which the page belongs.
    pub resolution: Resolution,
    /// Number of the page in its ring.
    pub number: u64,
    /// Rows, in the order of their numbers.
    pub rows: Vec<Sample>,
    /// Times of day of the boots of the rows, at most one for each boot.
    pub anchors: Vec<Anchor>,
}

/// Reason why a page cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Only a part of the page reached the disk, or the disk damaged it.
    #[error("the checksum of the page is wrong")]
    Checksum,
    /// Another version of dt-swarm wrote the page, or it is no page of the history.
    #[error("the page has another format")]
    Format,
    /// The checksum is right, but the content is not.
    #[error("the content of the page is wrong")]
    Content,
}

impl Page {
    /// Writes the page. The last series are left out if not all have room.
    pub fn encode(&self) -> Vec<u8> {
        let all: BTreeSet<&Series> = self.readings().map(|reading| &reading.series).collect();
        let mut series: Vec<&Series> = all.into_iter().take(MAX_READINGS).collect();
        let mut content = self.content(&series);
        while content.len() > PAGE_BYTES - CONTENT && series.pop().is_some() {
            content = self.content(&series);
        }
        let mut page = vec![0; CHECKSUM_BYTES];
        page.extend_from_slice(MAGIC);
        page.extend_from_slice(&[VERSION, self.resolution.index() as u8, 0, 0]);
        page.extend_from_slice(&self.number.to_be_bytes());
        page.extend(content);
        page.resize(PAGE_BYTES, 0);
        let checksum = checksum(&page[CHECKSUM_BYTES..]);
        page[..CHECKSUM_BYTES].copy_from_slice(&checksum);
        page
    }

    /// Reads a page. Returns `None` for a slot that was never written.
    ///
    /// # Errors
    /// Returns an error if the page is damaged, or has another format.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, PageError> {
        let Some(Header { resolution, number }) = Header::decode(bytes)? else { return Ok(None) };
        let content = bytes.get(CONTENT..).ok_or(PageError::Format)?;
        let (rows, anchors) = decode_content(content).ok_or(PageError::Content)?;
        Ok(Some(Self { resolution, number, rows, anchors }))
    }

    fn readings(&self) -> impl Iterator<Item = &crate::sample::Reading> {
        self.rows.iter().flat_map(|row| row.readings.iter())
    }

    /// Writes the boots, these series, and the rows.
    fn content(&self, series: &[&Series]) -> Vec<u8> {
        let boots: BTreeSet<BootId> = self.rows.iter().map(|row| row.stamp.boot).collect();
        let boots: Vec<BootId> = boots.into_iter().collect();
        let mut content = Vec::new();
        put_count(&mut content, boots.len() as u64);
        for boot in &boots {
            content.extend_from_slice(boot.as_bytes());
            let anchor = self.anchors.iter().find(|anchor| anchor.stamp.boot == *boot);
            put_count(&mut content, u64::from(anchor.is_some()));
            if let Some(Anchor { stamp, time }) = anchor {
                put_count(&mut content, stamp.millis);
                put_count(&mut content, time.0);
            }
        }
        put_count(&mut content, series.len() as u64);
        for Series { metric, label } in series {
            put_count(&mut content, metric.number.into());
            put_count(&mut content, label.as_str().len() as u64);
            content.extend_from_slice(label.as_str().as_bytes());
        }
        put_count(&mut content, self.rows.len() as u64);
        let mut before = vec![0; series.len()];
        for row in &self.rows {
            let boot = boots.iter().position(|boot| *boot == row.stamp.boot).unwrap_or_default();
            put_count(&mut content, boot as u64);
            put_count(&mut content, row.stamp.millis);
            put_count(&mut content, row.sequence);
            for (series, before) in series.iter().zip(&mut before) {
                put_value(&mut content, row.readings.get(series).map(|value| rounded(series, value)), before);
            }
        }
        content
    }
}

/// The beginning of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Ring to which the page belongs.
    pub resolution: Resolution,
    /// Number of the page in its ring.
    pub number: u64,
}

impl Header {
    /// Checks the checksum of a page, and reads its beginning. Returns `None` for a slot that was never written.
    ///
    /// # Errors
    /// Returns an error if the page is damaged, or has another format.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, PageError> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = bytes.get(..CONTENT).ok_or(PageError::Format)?;
        if bytes.len() != PAGE_BYTES || header[..CHECKSUM_BYTES] != checksum(&bytes[CHECKSUM_BYTES..]) {
            return Err(PageError::Checksum);
        }
        let (about, number) = header[CHECKSUM_BYTES..].split_at(8);
        let resolution = match about {
            [m0, m1, m2, m3, VERSION, index, 0, 0] if [*m0, *m1, *m2, *m3] == *MAGIC => {
                Resolution::ALL.get(usize::from(*index)).copied()
            }
            _ => None,
        };
        let resolution = resolution.ok_or(PageError::Format)?;
        let number = number.try_into().map(u64::from_be_bytes).map_err(|_| PageError::Format)?;
        Ok(Some(Self { resolution, number }))
    }
}

/// Returns a value as a page keeps it: exact for a counter, else with the precision of a 32-bit float.
pub fn rounded(series: &Series, value: f64) -> f64 {
    let short = f64::from(value as f32);
    let is_exact = series.metric.metric.kind == MetricKind::Counter || !short.is_finite();
    if is_exact { value } else { short }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish().to_be_bytes()
}

fn put_count(content: &mut Vec<u8>, mut count: u64) {
    while count >= 0x80 {
        content.push(count as u8 | 0x80);
        count >>= 7;
    }
    content.push(count as u8);
}

/// Writes a value, given the bits of the value of its series before.
fn put_value(content: &mut Vec<u8>, value: Option<f64>, before: &mut u64) {
    let Some(value) = value else {
        content.push(MISSING);
        return;
    };
    let bits = value.to_bits();
    let bytes = (bits ^ std::mem::replace(before, bits)).to_be_bytes();
    let leading = bytes.iter().take_while(|byte| **byte == 0).count();
    let trailing = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    let some = bytes.get(leading..FLOAT_BYTES - trailing).unwrap_or_default();
    content.push((leading << 4 | some.len()) as u8);
    content.extend_from_slice(some);
}

/// Reads what follows the header of a page. Returns `None` if it is wrong.
pub fn decode_content(content: &[u8]) -> Option<(Vec<Sample>, Vec<Anchor>)> {
    let mut reader = Reader(content);
    let mut anchors = Vec::new();
    let mut boots = Vec::new();
    for _ in 0..reader.count_up_to(MAX_ROWS)? {
        let boot = BootId::new(reader.take(BootId::BYTES)?.try_into().ok()?);
        boots.push(boot);
        if reader.count_up_to(1)? == 1 {
            let (millis, time) = (reader.count()?, Time(reader.count()?));
            anchors.push(Anchor { stamp: Stamp { boot, millis }, time });
        }
    }
    // A metric that this version does not know, and a label that it does not permit, are skipped.
    let mut series = Vec::new();
    for _ in 0..reader.count_up_to(MAX_READINGS)? {
        let metric = u16::try_from(reader.count()?).ok()?;
        let size = reader.count_up_to(MAX_LABEL_BYTES)?;
        let label = Label::exact(std::str::from_utf8(reader.take(size)?).ok()?);
        series.push(by_number(metric).zip(label).map(|(metric, label)| Series { metric, label }));
    }
    let mut rows = Vec::new();
    let mut before = vec![0; series.len()];
    for _ in 0..reader.count_up_to(MAX_ROWS)? {
        let boot = boots.get(reader.count_up_to(MAX_ROWS)?).copied()?;
        let (millis, sequence) = (reader.count()?, reader.count()?);
        let mut readings = Readings::default();
        for (series, before) in series.iter().zip(&mut before) {
            if let (Some(value), Some(series)) = (reader.value(before)?, series) {
                readings.put(series.clone(), value);
            }
        }
        rows.push(Sample { stamp: Stamp { boot, millis }, sequence, readings });
    }
    Some((rows, anchors))
}

/// The rest of a content that is read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn count(&mut self) -> Option<u64> {
        let mut count = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            // The last byte has room for one bit.
            count |= part.checked_shl(shift).filter(|shifted| shifted >> shift == part)?;
            if byte & 0x80 == 0 {
                return Some(count);
            }
        }
        None
    }

    fn count_up_to(&mut self, most: usize) -> Option<usize> {
        usize::try_from(self.count()?).ok().filter(|count| *count <= most)
    }

    /// Reads a value, given the bits of the value of its series before. The inner `None` stands for a missing value.
    fn value(&mut self, before: &mut u64) -> Option<Option<f64>> {
        let head = self.byte()?;
        if head == MISSING {
            return Some(None);
        }
        let (leading, size) = (usize::from(head >> 4), usize::from(head & 0xf));
        let mut bytes = [0; FLOAT_BYTES];
        bytes.get_mut(leading..leading + size)?.copy_from_slice(self.take(size)?);
        *before ^= u64::from_be_bytes(bytes);
        Some(Some(f64::from_bits(*before)))
    }
}

#[cfg(test)]
mod tests;
