//! How a line is written on a wire.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use routing::MAX_LINE_BYTES;
use seal::Sealer;
use std::borrow::Cow;

/// The most bytes that [`Wire::write`] adds to a line: nonce and tag.
pub(crate) const MAX_OVERHEAD: usize = seal::OVERHEAD;

/// The most bytes of what [`Wire::write_text`] makes of a line; a longer text is not read.
const MAX_TEXT_BYTES: usize = 1 + ((MAX_LINE_BYTES + MAX_OVERHEAD) * 4).div_ceil(3);

/// What a sealed line begins with where text is carried. A plain one begins with a brace.
const SEALED: char = '~';

/// Turns lines into what is sent, and back: as they are, or sealed with the swarm key. A clone writes in the same way.
///
/// Each channel (UDP, IRC, pubsub) gets a [`Sealer`] of its own; see there why.
#[derive(Clone, Debug, Default)]
pub struct Wire {
    sealer: Option<Sealer>,
}

impl Wire {
    /// Returns a wire with plain lines.
    pub fn plain() -> Self {
        Self::default()
    }

    /// Returns a wire with lines that only nodes with the key can read.
    pub fn sealed(sealer: Sealer) -> Self {
        Self { sealer: Some(sealer) }
    }

    /// Whether lines are sealed.
    pub fn is_sealed(&self) -> bool {
        self.sealer.is_some()
    }

    /// The bytes of a line, for channels that carry bytes.
    pub fn write(&self, line: &str) -> Vec<u8> {
        match &self.sealer {
            None => line.as_bytes().to_vec(),
            Some(sealer) => sealer.seal(line.as_bytes()),
        }
    }

    /// Returns the line in bytes that came; `None` when they are not of our swarm, came before, or are our own: a broadcast
    /// is heard by its sender, too.
    pub fn read<'bytes>(&self, bytes: &'bytes [u8]) -> Option<Cow<'bytes, [u8]>> {
        match &self.sealer {
            None => Some(Cow::Borrowed(bytes)),
            Some(sealer) => sealer.open(bytes).ok().map(Cow::Owned),
        }
    }

    /// The text of a line, for channels that carry text without line ends: sealed it begins with `~` and has no blanks.
    pub fn write_text<'line>(&self, line: &'line str) -> Cow<'line, str> {
        let Some(sealer) = &self.sealer else { return Cow::Borrowed(line) };
        let mut text = String::from(SEALED);
        URL_SAFE_NO_PAD.encode_string(sealer.seal(line.as_bytes()), &mut text);
        Cow::Owned(text)
    }

    /// The line in a text that came; `None` when it is not of our swarm, or came before.
    pub fn read_text<'text>(&self, text: &'text str) -> Option<Cow<'text, [u8]>> {
        let Some(sealer) = &self.sealer else { return Some(Cow::Borrowed(text.as_bytes())) };
        let sealed = text.strip_prefix(SEALED).filter(|_| text.len() <= MAX_TEXT_BYTES)?;
        sealer.open(&URL_SAFE_NO_PAD.decode(sealed).ok()?).ok().map(Cow::Owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seal::SwarmKey;

    fn wire(key: u8, boot: u8) -> Wire {
        Wire::sealed(Sealer::new(&SwarmKey::from_bytes([key; 32]), [boot; 16]))
    }

    #[test]
    fn without_a_key_all_is_as_it_is() {
        let wire = Wire::plain();
        assert_eq!(wire.write("{}"), b"{}");
        assert_eq!(wire.write_text("{}"), "{}");
        assert_eq!(wire.read(b"\xff").as_deref(), Some(&b"\xff"[..]));
        assert_eq!(wire.read_text("{}").as_deref(), Some(&b"{}"[..]));
    }

    #[test]
    fn with_a_key_lines_are_read_by_those_who_have_it() {
        let (ours, theirs, other) = (wire(1, 1), wire(1, 2), wire(2, 3));
        let line = "x".repeat(MAX_LINE_BYTES);
        let (bytes, text) = (ours.write(&line), ours.write_text(&line).into_owned());
        assert_eq!((bytes.len(), text.len()), (line.len() + MAX_OVERHEAD, MAX_TEXT_BYTES));
        assert!(text.starts_with(SEALED) && text.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(other.read(&bytes).is_none() && other.read_text(&text).is_none());
        assert_eq!(theirs.read(&bytes).as_deref(), Some(line.as_bytes()));
        assert_eq!(theirs.read_text(&text).as_deref(), Some(line.as_bytes()));
        assert!(theirs.read(&bytes).is_none() && theirs.read_text(&text).is_none(), "once");
        assert!(ours.read(&bytes).is_none(), "our own");
    }

    #[test]
    fn with_a_key_nothing_plain_is_read() {
        let ours = wire(1, 1);
        for text in ["", "{}", "~", "~{}", "~é", "~AAAA", &"~A".repeat(MAX_TEXT_BYTES)] {
            assert!(ours.read(text.as_bytes()).is_none() && ours.read_text(text).is_none(), "{text}");
        }
    }
}
