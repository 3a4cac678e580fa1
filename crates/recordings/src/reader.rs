//! Reads a source through a window, within limits.

use std::io;

use crate::Fault;

/// Maximum number of bytes that are read for one description: 64 MiB, which a Raspberry Pi reads in about two seconds. The
/// index of a bag of 10 GB has about 5 MB.
pub const MAX_BYTES_READ: u64 = 64 << 20;
/// Maximum number of places that are read for one description. A bag that was not closed needs one or two for each chunk,
/// which has 768 KiB, so this suffices for about 10 GB.
pub const MAX_READS: u32 = 16_384;
/// Size of the window after a jump, in bytes. It holds the header of a chunk and the index before it.
const SMALL_WINDOW: usize = 4 << 10;
/// Size up to which the window grows while the reads follow each other, in bytes.
const LARGE_WINDOW: usize = 64 << 10;
/// Maximum number of bytes that are taken from the window at once.
pub(crate) const MAX_TAKEN: usize = SMALL_WINDOW;

/// The bytes of a file, on a disk or in blocks.
pub trait Source {
    /// Returns the size of the file in bytes.
    fn size(&self) -> u64;

    /// Reads bytes from this place of the file. Returns how many were read: 0 only at the end of the file. They may be
    /// fewer than wanted.
    ///
    /// # Errors
    /// When the bytes cannot be had. This says nothing about the content of the file.
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
}

impl Source for &[u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// Reason why reading stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The source failed.
    Source(io::Error),
    /// The file ends before the wanted bytes.
    End,
    /// A limit of the description is reached.
    Limit,
    /// The content is not valid.
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Remaining reads of a description.
///
/// Windows are counted, not the calls of the source. So the same bytes give the same description, however many bytes a
/// source returns at once.
#[derive(Debug)]
pub(crate) struct Budget {
    reads: u32,
    bytes: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { reads: MAX_READS, bytes: MAX_BYTES_READ }
    }
}

impl Budget {
    fn take(&mut self, bytes: usize) -> Result<(), Stop> {
        self.reads = self.reads.checked_sub(1).ok_or(Stop::Limit)?;
        self.bytes = self.bytes.checked_sub(bytes as u64).ok_or(Stop::Limit)?;
        Ok(())
    }
}

/// A window over a source.
pub(crate) struct Reader<'a> {
    source: &'a mut dyn Source,
    budget: &'a mut Budget,
    size: u64,
    window: Vec<u8>,
    /// Place of the window in the file.
    start: u64,
    /// Size of the latest window.
    step: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(source: &'a mut dyn Source, budget: &'a mut Budget) -> Self {
        let size = source.size();
        Self { source, budget, size, window: Vec::new(), start: 0, step: 0 }
    }

    /// Returns the size of the file.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Returns `count` bytes, at most [`MAX_TAKEN`], from this place.
    pub(crate) fn bytes(&mut self, at: u64, count: usize) -> Result<&[u8], Stop> {
        debug_assert!(count <= MAX_TAKEN, "{count} bytes do not fit into the smallest window");
        let end = at.checked_add(count as u64).filter(|end| *end <= self.size).ok_or(Stop::End)?;
        if at < self.start || end > self.window_end() {
            self.fill(at)?;
        }
        let from = usize::try_from(at - self.start).map_err(|_| Stop::End)?;
        // A source that has become shorter leaves a window that is too short.
        self.window.get(from..).and_then(|rest| rest.get(..count)).ok_or(Stop::End)
    }

    /// Returns the bytes from this place to the end, but at most `most`.
    pub(crate) fn up_to(&mut self, at: u64, most: usize) -> Result<&[u8], Stop> {
        let left = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX);
        self.bytes(at, left.min(most))
    }

    fn window_end(&self) -> u64 {
        self.start + self.window.len() as u64
    }

    /// Moves the window to this place. It grows while each place is within or shortly after the latest window.
    fn fill(&mut self, at: u64) -> Result<(), Stop> {
        let follows = (self.start..=self.window_end() + SMALL_WINDOW as u64).contains(&at);
        self.step = if follows { (self.step * 2).clamp(SMALL_WINDOW, LARGE_WINDOW) } else { SMALL_WINDOW };
        let left = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX);
        let wanted = left.min(self.step);
        self.budget.take(wanted)?;
        self.window.resize(wanted, 0);
        let mut filled = 0;
        while filled < wanted {
            let into = &mut self.window[filled..];
            let count = self.source.read_at(at + filled as u64, into).map_err(Stop::Source)?;
            if count == 0 {
                break;
            }
            filled = (filled + count).min(wanted);
        }
        self.window.truncate(filled);
        self.start = at;
        Ok(())
    }

    fn array<const N: usize>(&mut self, at: u64) -> Result<[u8; N], Stop> {
        let bytes = self.bytes(at, N)?;
        bytes.try_into().map_err(|_| Stop::End)
    }

    pub(crate) fn u8(&mut self, at: u64) -> Result<u8, Stop> {
        self.array::<1>(at).map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self, at: u64) -> Result<u16, Stop> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self, at: u64) -> Result<u32, Stop> {
        self.array(at).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, at: u64) -> Result<u64, Stop> {
        self.array(at).map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests;
