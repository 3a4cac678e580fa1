//! The history of a robot on its disk: samples for a day, minutes for a month, hours for two years.
//!
//! The three resolutions are three rings in one file of fixed size. A ring is a number of slots of 4 KiB; a [`page`] is
//! written into the slot of the oldest one. A minute of samples is one page, and is written once, when it is complete. The
//! rows of minutes and hours wait in memory until they fill a page. After a power cut they are computed again from the finer
//! resolution. So an SD card gets about 64 pages in an hour, and a power cut loses at most the last minute.
//!
//! A page is written in place and then synced. It has a checksum, so a page of which only a part reached the disk is
//! recognised. Such a page has replaced the oldest one of its ring, and no other.
//!
//! The format does not depend on a clock: a row has the boot, the time since then, and a number. A page has the time of day
//! of its boots, as far as it was known ([`timeline`]).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod disk;
mod geometry;
pub mod page;
mod summary;
#[cfg(test)]
pub(crate) mod tests;
pub mod timeline;

use crate::sample::{BootId, Readings, Sample, Stamp};
use dcache::Time;
pub use disk::Disk;
pub use geometry::{Geometry, Group, RESOLUTIONS, Resolution, Ring};
use page::{PAGE_BYTES, Page};
use std::collections::BTreeMap;
use std::io;
use summary::{is_complete, summarized};
use timeline::{Anchor, Timeline};

/// Maximum number of boots whose last anchor is remembered for pages that are still to be written.
const MAX_ANCHORS: usize = 64;

/// Result of opening a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Number of pages with rows.
    pub pages: u64,
    /// Number of pages that are damaged, such as one that was being written when the power was lost.
    pub damaged: u64,
}

/// The history of a robot.
#[derive(Debug)]
pub struct History<D> {
    disk: D,
    geometry: Geometry,
    /// Number of the next page of each ring.
    next: [u64; RESOLUTIONS],
    /// Number of the last row.
    sequence: u64,
    /// Rows of each resolution that are in no page yet.
    waiting: [Vec<Sample>; RESOLUTIONS],
    /// Minutes of the hour that is not over.
    hour: Vec<Sample>,
    /// Last anchor of each recent boot.
    anchors: BTreeMap<BootId, Anchor>,
}

impl<D: Disk> History<D> {
    /// Opens the history on a disk, and reads all of it. A new or short file is extended to its full size.
    ///
    /// # Errors
    /// Returns an error if the disk cannot be read or extended.
    pub fn open(mut disk: D, geometry: Geometry) -> io::Result<(Self, Found)> {
        if disk.size()? < geometry.bytes() {
            disk.allocate(geometry.bytes())?;
            disk.sync()?;
        }
        let mut history = Self {
            disk,
            geometry,
            next: [0; RESOLUTIONS],
            sequence: 0,
            waiting: Default::default(),
            hour: Vec::new(),
            anchors: BTreeMap::new(),
        };
        let found = history.recover()?;
        Ok((history, found))
    }

    /// Adds what was measured at a moment, and writes a page when one is complete. `time` is the time of day, if it is known.
    ///
    /// # Errors
    /// Returns an error if a page cannot be written. The rows of that page are lost; later rows are kept.
    pub fn add(&mut self, stamp: Stamp, readings: Readings, time: Option<Time>) -> io::Result<()> {
        let sample = Sample { stamp, sequence: self.sequence.saturating_add(1), readings };
        self.sequence = sample.sequence;
        let ring = self.geometry.ring(Resolution::Samples);
        let is_over = is_complete(ring.group, self.waiting(Resolution::Samples), &sample);
        let before = if is_over { self.write_samples() } else { Ok(()) };
        if let Some(time) = time {
            self.note_anchor(Anchor { stamp, time });
        }
        self.waiting[Resolution::Samples.index()].push(sample);
        let is_full = self.waiting(Resolution::Samples).len() >= ring.rows;
        before.and(if is_full { self.write_samples() } else { Ok(()) })
    }

    /// Writes the samples that are in no page yet, such as when the daemon stops.
    ///
    /// # Errors
    /// Returns an error if a page cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.waiting(Resolution::Samples).is_empty() { Ok(()) } else { self.write_samples() }
    }

    /// Returns at most `most` rows whose numbers are higher than `after`, in order: those with the lowest numbers.
    ///
    /// # Errors
    /// Returns an error if the disk cannot be read. Damaged pages are left out.
    pub fn rows(&self, resolution: Resolution, after: u64, most: usize) -> io::Result<Vec<Sample>> {
        let mut pages = Vec::new();
        for number in self.numbers(resolution).rev() {
            let Some(page) = self.page(resolution, number)? else { continue };
            let is_needed = page.rows.last().is_some_and(|last| last.sequence > after);
            if !is_needed {
                break;
            }
            pages.push(page.rows);
        }
        let rows = pages.into_iter().rev().flatten().chain(self.waiting(resolution).iter().cloned());
        Ok(rows.filter(|row| row.sequence > after).take(most).collect())
    }

    /// Returns the boots of the history, and what is known about their times.
    ///
    /// # Errors
    /// Returns an error if the disk cannot be read. Damaged pages are left out.
    pub fn timeline(&self) -> io::Result<Timeline> {
        let mut timeline = Timeline::default();
        for resolution in Resolution::ALL.into_iter().rev() {
            for number in self.numbers(resolution) {
                if let Some(page) = self.page(resolution, number)? {
                    timeline.add_page(&page);
                }
            }
        }
        self.anchors.values().for_each(|anchor| timeline.add_anchor(*anchor));
        self.waiting(Resolution::Samples).iter().for_each(|sample| timeline.add_row(sample));
        Ok(timeline)
    }

    /// Returns the disk.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// Returns the number of the last row; zero if there was none.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Returns the rows of a resolution that are in no page yet.
    fn waiting(&self, resolution: Resolution) -> &[Sample] {
        &self.waiting[resolution.index()]
    }

    /// Returns the numbers of the pages that a ring can have now, the oldest first.
    fn numbers(&self, resolution: Resolution) -> std::ops::Range<u64> {
        let next = self.next[resolution.index()];
        next.saturating_sub(self.geometry.ring(resolution).slots)..next
    }

    /// Reads the page with this number; `None` if it is not there or damaged.
    fn page(&self, resolution: Resolution, number: u64) -> io::Result<Option<Page>> {
        let mut bytes = vec![0; PAGE_BYTES];
        self.disk.read(self.geometry.offset(resolution, number), &mut bytes)?;
        let page = Page::decode(&bytes).ok().flatten();
        Ok(page.filter(|page| page.resolution == resolution && page.number == number))
    }
}

/// Functions that write pages.
impl<D: Disk> History<D> {
    /// Writes the page of the last samples, and adds their minute.
    fn write_samples(&mut self) -> io::Result<()> {
        let samples = std::mem::take(&mut self.waiting[Resolution::Samples.index()]);
        let written = self.write(Resolution::Samples, &samples);
        let minute = summarized(&samples);
        written.and(minute.map_or(Ok(()), |minute| self.add_minute(minute)))
    }

    fn add_minute(&mut self, minute: Sample) -> io::Result<()> {
        if is_complete(self.geometry.ring(Resolution::Minutes).group, &self.hour, &minute) {
            self.end_hour();
        }
        self.hour.push(minute.clone());
        self.waiting[Resolution::Minutes.index()].push(minute);
        let minutes = self.write_full(Resolution::Minutes);
        minutes.and(self.write_full(Resolution::Hours))
    }

    fn end_hour(&mut self) {
        let hour = std::mem::take(&mut self.hour);
        self.waiting[Resolution::Hours.index()].extend(summarized(&hour));
    }

    /// Writes pages of the waiting rows of a resolution while they fill one.
    fn write_full(&mut self, resolution: Resolution) -> io::Result<()> {
        let rows = self.geometry.ring(resolution).rows;
        while self.waiting(resolution).len() >= rows {
            let full: Vec<Sample> = self.waiting[resolution.index()].drain(..rows).collect();
            self.write(resolution, &full)?;
        }
        Ok(())
    }

    /// Writes a page into the next slot of a ring. When that fails, the next page is written into the same slot.
    fn write(&mut self, resolution: Resolution, rows: &[Sample]) -> io::Result<()> {
        let number = self.next[resolution.index()];
        let page = Page { resolution, number, rows: rows.to_vec(), anchors: self.anchors_of(rows) };
        self.disk.write(self.geometry.offset(resolution, number), &page.encode())?;
        self.disk.sync()?;
        self.next[resolution.index()] = number.saturating_add(1);
        Ok(())
    }

    fn anchors_of(&self, rows: &[Sample]) -> Vec<Anchor> {
        let is_in = |anchor: &&Anchor| rows.iter().any(|row| row.stamp.boot == anchor.stamp.boot);
        self.anchors.values().filter(is_in).copied().collect()
    }

    fn note_anchor(&mut self, anchor: Anchor) {
        if self.anchors.len() >= MAX_ANCHORS && !self.anchors.contains_key(&anchor.stamp.boot) {
            // The oldest boot by the time of day is the one whose rows are written already.
            let oldest =
                self.anchors.values().min_by_key(|anchor| anchor.time).map(|anchor| anchor.stamp.boot);
            oldest.and_then(|boot| self.anchors.remove(&boot));
        }
        self.anchors.insert(anchor.stamp.boot, anchor);
    }
}

/// Functions that open the history.
impl<D: Disk> History<D> {
    /// Reads all pages: finds the ends of the rings, and computes the minutes and hours that were in no page yet.
    fn recover(&mut self) -> io::Result<Found> {
        let (mut found, mut last) = (Found::default(), [0; RESOLUTIONS]);
        for resolution in Resolution::ALL {
            let mut bytes = vec![0; PAGE_BYTES];
            for slot in 0..self.geometry.ring(resolution).slots {
                self.disk.read(self.geometry.offset(resolution, slot), &mut bytes)?;
                match Page::decode(&bytes) {
                    Ok(None) => {}
                    Ok(Some(page)) if self.is_in_place(&page, resolution, slot) => {
                        found.pages += 1;
                        self.note_page(&page, &mut last);
                    }
                    Ok(Some(_)) | Err(_) => found.damaged += 1,
                }
            }
        }
        self.sequence = last.into_iter().max().unwrap_or_default();
        self.recover_minutes(last[Resolution::Minutes.index()])?;
        self.recover_hours(last[Resolution::Hours.index()])?;
        Ok(found)
    }

    fn is_in_place(&self, page: &Page, resolution: Resolution, slot: u64) -> bool {
        page.resolution == resolution && page.number % self.geometry.ring(resolution).slots == slot
    }

    fn note_page(&mut self, page: &Page, last: &mut [u64; RESOLUTIONS]) {
        let index = page.resolution.index();
        self.next[index] = self.next[index].max(page.number.saturating_add(1));
        let highest = page.rows.iter().map(|row| row.sequence).max().unwrap_or_default();
        last[index] = last[index].max(highest);
        for anchor in &page.anchors {
            let known = self.anchors.get(&anchor.stamp.boot);
            if known.is_none_or(|known| known.stamp.millis < anchor.stamp.millis) {
                self.note_anchor(*anchor);
            }
        }
    }

    /// Computes the minutes after the last one that is in a page of minutes.
    fn recover_minutes(&mut self, last: u64) -> io::Result<()> {
        let rows = self.pages_after(Resolution::Samples, last)?;
        self.waiting[Resolution::Minutes.index()] = rows.iter().filter_map(|rows| summarized(rows)).collect();
        Ok(())
    }

    /// Computes the hours after the last one that is in a page of hours.
    fn recover_hours(&mut self, last: u64) -> io::Result<()> {
        let written = self.pages_after(Resolution::Minutes, last)?;
        let waiting = self.waiting(Resolution::Minutes).to_vec();
        let minutes = written.into_iter().flatten().chain(waiting);
        for minute in minutes.filter(|minute| minute.sequence > last) {
            if is_complete(self.geometry.ring(Resolution::Minutes).group, &self.hour, &minute) {
                self.end_hour();
            }
            self.hour.push(minute);
        }
        Ok(())
    }

    /// Returns the rows of each page that has rows with numbers higher than `after`, in order.
    fn pages_after(&self, resolution: Resolution, after: u64) -> io::Result<Vec<Vec<Sample>>> {
        let mut pages = Vec::new();
        for number in self.numbers(resolution) {
            let page = self.page(resolution, number)?;
            let is_later = |page: &Page| page.rows.last().is_some_and(|row| row.sequence > after);
            pages.extend(page.filter(is_later).map(|page| page.rows));
        }
        Ok(pages)
    }
}
