//! The operations on the file of a history.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::io;
#[cfg(test)]
use std::io::ErrorKind;

/// The operations on the file of a history. Tests have a simulated disk.
pub trait Disk {
    /// Returns the size of the file in bytes.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    fn size(&self) -> io::Result<u64>;

    /// Extends the file to this size, and reserves the space.
    ///
    /// # Errors
    /// Returns an error if the disk fails or is full.
    fn allocate(&mut self, bytes: u64) -> io::Result<()>;

    /// Fills `out` with the bytes at an offset.
    ///
    /// # Errors
    /// Returns an error if the disk fails, or if the file ends before.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Writes bytes at an offset.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Waits until everything that was written is durable.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file in memory, for tests that need no disk.
#[cfg(test)]
impl Disk for Vec<u8> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.as_slice().len() as u64)
    }

    fn allocate(&mut self, bytes: u64) -> io::Result<()> {
        self.resize(usize::try_from(bytes).map_err(io::Error::other)?, 0);
        Ok(())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = self.get(from..from + out.len()).ok_or(ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let place = self.get_mut(from..from + bytes.len()).ok_or(ErrorKind::UnexpectedEof)?;
        place.copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
