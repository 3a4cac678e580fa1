//! The history of a robot on its disk: samples for a day, minutes for a month, hours for two years.
//!
//! The three resolutions are three rings in one file of fixed size. A ring is a number of slots of 4 KiB; a [`page`] is
//! written into the slot of the oldest one. A minute of samples is one page, and is written once, when it is complete.
//! The rows of minutes and hours wait in memory until they fill a page. After a power cut they are computed again from
//! the finer resolution. So an SD card gets about 64 pages in an hour, and a power cut loses at most the last minute.
//!
//! A page is written in place and then synced. It has a checksum, so a page of which only a part reached the disk is
//! recognised. Such a page has replaced the oldest one of its ring, and no other.
//!
//! The format does not depend on a clock: a row has the boot, the time since then, and a number. A page has the time of
//! day of its boots, as far as it was known ([`timeline`]).
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
use page::{Header, PAGE_BYTES, Page};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use summary::{is_complete, summarized};
use timeline::{Anchor, Timeline};

/// Maximum number of boots whose last anchor is remembered for pages that are still to be written.
const MAX_ANCHORS: usize = 64;
/// Number of pages that are read at once when the file is opened.
const PAGES_AT_ONCE: usize = 64;

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
        let size = disk.size()?;
        if size < geometry.bytes() {
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
        // A new file has no pages. Reading it would cost each robot of a class its share of the first second.
        let found = if size == 0 { Found::default() } else { history.recover()? };
        Ok((history, found))
    }

    /// Adds what was measured at a moment, and writes a page when one is complete. `time` is the time of day, if it is
    /// known.
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
        self.placed_rows(resolution, after, most).map(|(rows, _)| rows)
    }

    /// Returns the rows that [`Self::rows`] returns, and what is known about the times of their boots: from the pages of
    /// these rows, and from memory. So the disk is not read as a whole, as [`Self::timeline`] does.
    ///
    /// # Errors
    /// Returns an error if the disk cannot be read. Damaged pages are left out.
    pub fn placed_rows(
        &self,
        resolution: Resolution,
        after: u64,
        most: usize,
    ) -> io::Result<(Vec<Sample>, Timeline)> {
        let pages = self.all_after(resolution, after, most)?;
        let mut timeline = Timeline::default();
        pages.iter().for_each(|page| timeline.add_page(page));
        Ok((rows_after(pages, after, most), timeline))
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

    /// Returns rows like [`Self::rows`], and the anchors that were known when they were written.
    ///
    /// # Errors
    /// Returns an error if the disk cannot be read. Damaged pages are left out.
    pub fn part(
        &self,
        resolution: Resolution,
        after: u64,
        most: usize,
    ) -> io::Result<(Vec<Sample>, Vec<Anchor>)> {
        let pages = self.all_after(resolution, after, most)?;
        let mut anchors: Vec<Anchor> = pages.iter().flat_map(|page| &page.anchors).copied().collect();
        let rows = rows_after(pages, after, most);
        let boots: BTreeSet<BootId> = rows.iter().map(|row| row.stamp.boot).collect();
        anchors.retain(|anchor| boots.contains(&anchor.stamp.boot));
        Ok((rows, anchors))
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
    fn numbers(&self, resolution: Resolution) -> Range<u64> {
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

    /// Returns the pages of [`Self::pages_after`], and at the end the rows that are in no page yet, with the anchors in memory.
    fn all_after(&self, resolution: Resolution, after: u64, most: usize) -> io::Result<Vec<Page>> {
        let mut pages = self.pages_after(resolution, after, most)?;
        let (rows, anchors) = (self.waiting(resolution).to_vec(), self.anchors.values().copied().collect());
        pages.push(Page { resolution, number: self.next[resolution.index()], rows, anchors });
        Ok(pages)
    }

    /// Returns the pages that have rows with numbers higher than `after`, in order, until they have `most` such rows.
    /// Damaged pages are left out.
    fn pages_after(&self, resolution: Resolution, after: u64, most: usize) -> io::Result<Vec<Page>> {
        let (mut pages, mut rows) = (Vec::new(), 0);
        for number in self.first_after(resolution, after)?..self.numbers(resolution).end {
            if rows >= most {
                break;
            }
            if let Some(page) = self.page(resolution, number)? {
                rows += page.rows.iter().filter(|row| row.sequence > after).count();
                pages.push(page);
            }
        }
        Ok(pages)
    }

    /// Returns the number of the first page that may have rows with numbers higher than `after`. The rows of all pages
    /// before it have lower ones.
    fn first_after(&self, resolution: Resolution, after: u64) -> io::Result<u64> {
        let Range { start: mut low, end: mut high } = self.numbers(resolution);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.next_page(resolution, middle..high)? {
                Some(page) if page.rows.last().is_none_or(|last| last.sequence <= after) => {
                    low = page.number + 1
                }
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// Returns the first page with one of these numbers that can be read.
    fn next_page(&self, resolution: Resolution, numbers: Range<u64>) -> io::Result<Option<Page>> {
        for number in numbers {
            if let Some(page) = self.page(resolution, number)? {
                return Ok(Some(page));
            }
        }
        Ok(None)
    }
}

/// Returns the first `most` rows of pages whose numbers are higher than `after`.
fn rows_after(pages: Vec<Page>, after: u64, most: usize) -> Vec<Sample> {
    let rows = pages.into_iter().flat_map(|page| page.rows);
    rows.filter(|row| row.sequence > after).take(most).collect()
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

    /// Remembers the last anchor of a boot.
    fn note_anchor(&mut self, anchor: Anchor) {
        let known = self.anchors.get(&anchor.stamp.boot);
        if known.is_some_and(|known| known.stamp.millis > anchor.stamp.millis) {
            return;
        }
        self.anchors.insert(anchor.stamp.boot, anchor);
        if self.anchors.len() > MAX_ANCHORS {
            // The oldest boot by the time of day is the one whose rows are written already.
            let oldest =
                self.anchors.values().min_by_key(|anchor| anchor.time).map(|anchor| anchor.stamp.boot);
            oldest.and_then(|boot| self.anchors.remove(&boot));
        }
    }
}

/// Functions that open the history.
impl<D: Disk> History<D> {
    /// Finds the ends of the rings, and computes the minutes and hours that were in no page yet.
    fn recover(&mut self) -> io::Result<Found> {
        let mut found = Found::default();
        for resolution in Resolution::ALL {
            let slots = self.geometry.ring(resolution).slots;
            let mut bytes = vec![0; PAGES_AT_ONCE * PAGE_BYTES];
            for slot in 0..slots {
                let place = slot as usize % PAGES_AT_ONCE;
                if place == 0 {
                    let pages = PAGES_AT_ONCE.min((slots - slot) as usize);
                    self.disk
                        .read(self.geometry.offset(resolution, slot), &mut bytes[..pages * PAGE_BYTES])?;
                }
                match Header::decode(&bytes[place * PAGE_BYTES..][..PAGE_BYTES]) {
                    Ok(None) => {}
                    Ok(Some(header)) if self.is_in_place(header, resolution, slot) => {
                        found.pages += 1;
                        let next = &mut self.next[resolution.index()];
                        *next = (*next).max(header.number.saturating_add(1));
                    }
                    Ok(Some(_)) | Err(_) => found.damaged += 1,
                }
            }
        }
        let [samples, minutes, hours] = Resolution::ALL.map(|resolution| self.last(resolution));
        let (minutes, hours) = (minutes?, hours?);
        self.sequence = samples?.max(minutes).max(hours);
        self.recover_minutes(minutes)?;
        self.recover_hours(hours)?;
        Ok(found)
    }

    fn is_in_place(&self, header: Header, resolution: Resolution, slot: u64) -> bool {
        let slots = self.geometry.ring(resolution).slots;
        header.resolution == resolution && header.number % slots == slot
    }

    /// Returns the number of the last row in the pages of a ring; zero if there is none.
    fn last(&self, resolution: Resolution) -> io::Result<u64> {
        for number in self.numbers(resolution).rev() {
            if let Some(last) =
                self.page(resolution, number)?.and_then(|page| page.rows.last().map(|row| row.sequence))
            {
                return Ok(last);
            }
        }
        Ok(0)
    }

    /// Computes the minutes after the last one that is in a page of minutes.
    fn recover_minutes(&mut self, last: u64) -> io::Result<()> {
        let pages = self.pages_after(Resolution::Samples, last, usize::MAX)?;
        let minutes = pages.iter().filter_map(|page| summarized(&page.rows)).collect();
        self.waiting[Resolution::Minutes.index()] = minutes;
        pages.iter().flat_map(|page| &page.anchors).for_each(|anchor| self.note_anchor(*anchor));
        Ok(())
    }

    /// Computes the hours after the last one that is in a page of hours.
    fn recover_hours(&mut self, last: u64) -> io::Result<()> {
        let pages = self.pages_after(Resolution::Minutes, last, usize::MAX)?;
        pages.iter().flat_map(|page| &page.anchors).for_each(|anchor| self.note_anchor(*anchor));
        let waiting = self.waiting(Resolution::Minutes).to_vec();
        let minutes = pages.into_iter().flat_map(|page| page.rows).chain(waiting);
        for minute in minutes.filter(|minute| minute.sequence > last) {
            if is_complete(self.geometry.ring(Resolution::Minutes).group, &self.hour, &minute) {
                self.end_hour();
            }
            self.hour.push(minute);
        }
        Ok(())
    }
}
