//! How a line is written on a wire.

use std::borrow::Cow;

/// The most bytes that [`Wire::write`] adds to a line.
pub(crate) const MAX_OVERHEAD: usize = 64;

/// Turns lines into what is sent, and back: as they are. A clone writes in the same way.
#[derive(Clone, Debug, Default)]
pub struct Wire {}

impl Wire {
    /// The bytes of a line, for channels that carry bytes.
    pub fn write(&self, line: &str) -> Vec<u8> {
        line.as_bytes().to_vec()
    }

    /// The line in bytes that came; `None` when they are not of our swarm.
    pub fn read<'bytes>(&self, bytes: &'bytes [u8]) -> Option<Cow<'bytes, [u8]>> {
        Some(Cow::Borrowed(bytes))
    }

    /// The text of a line, for channels that carry text without line ends.
    pub fn write_text<'line>(&self, line: &'line str) -> Cow<'line, str> {
        Cow::Borrowed(line)
    }

    /// The line in a text that came; `None` when it is not of our swarm.
    pub fn read_text<'text>(&self, text: &'text str) -> Option<Cow<'text, [u8]>> {
        Some(Cow::Borrowed(text.as_bytes()))
    }
}
