//! Readers that end with an error at a limit, or that have an exact length.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{ArchiveError, Limits, damaged};
use std::fmt;
use std::io::{self, Read};

/// A limit on a reader was reached.
#[derive(Debug)]
struct LimitReached;

impl fmt::Display for LimitReached {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the limit was reached")
    }
}

impl std::error::Error for LimitReached {}

/// Tells whether an error is that of [`Limited`].
pub(super) fn is_limit(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<LimitReached>())
}

/// A reader that fails when it has given a number of bytes and there are more.
pub(super) struct Limited<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Limited<R> {
    pub(super) fn new(reader: R, bytes: u64) -> Self {
        Self { reader, left: bytes }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 && !buffer.is_empty() {
            return Err(io::Error::other(LimitReached));
        }
        let read = self.reader.read(&mut buffer[..wanted])?;
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

/// The content of one file. An end before its size is an error, and errors of the archive are kept apart from those of
/// the sink.
pub(super) struct Exact<'a> {
    reader: &'a mut dyn Read,
    left: u64,
    error: Option<io::Error>,
}

impl<'a> Exact<'a> {
    pub(super) fn new(reader: &'a mut dyn Read, bytes: u64) -> Self {
        Self { reader, left: bytes, error: None }
    }

    /// Returns the cause of an error that a sink returned.
    pub(super) fn blame(&mut self, error: io::Error, limits: &Limits) -> ArchiveError {
        self.error.take().map_or(ArchiveError::Sink(error), |own| damaged(own, limits))
    }

    /// Checks that nothing was wrong with the content, even if the sink took no notice.
    pub(super) fn finish(mut self, limits: &Limits) -> Result<(), ArchiveError> {
        self.error.take().map_or(Ok(()), |error| Err(damaged(error, limits)))
    }

    fn fail(&mut self, error: io::Error) -> io::Error {
        let copy = io::Error::new(error.kind(), "the archive is damaged");
        self.error = Some(error);
        copy
    }
}

impl Read for Exact<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.reader.read(buffer) {
            Ok(0) if self.left > 0 && !buffer.is_empty() => {
                Err(self.fail(io::Error::from(io::ErrorKind::UnexpectedEof)))
            }
            Ok(read) => {
                self.left = self.left.saturating_sub(read as u64);
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(self.fail(error)),
        }
    }
}
