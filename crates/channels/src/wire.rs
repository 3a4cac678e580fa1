//! Encoding of lines for transmission: plain, or sealed with the swarm key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use routing::MAX_LINE_BYTES;
use seal::{Sealer, Unsealed};
use std::borrow::Cow;

/// Maximum number of bytes that [`Wire::write`] adds to a line: the nonce and the tag.
pub(crate) const MAX_OVERHEAD: usize = seal::OVERHEAD;

/// Maximum number of bytes of a line that [`Wire::write_text`] encoded. Longer texts are refused without decoding.
const MAX_TEXT_BYTES: usize = 1 + ((MAX_LINE_BYTES + MAX_OVERHEAD) * 4).div_ceil(3);

/// First character of a sealed line on channels that carry text. A plain line begins with a brace.
const SEALED: char = '~';

/// Encodes lines for transmission and decodes received ones: plain, or sealed with the swarm key. Clones share the
/// sealer.
///
/// Each channel (UDP, IRC, pubsub) needs its own [`Sealer`]; the documentation of [`Sealer`] says why.
#[derive(Clone, Debug, Default)]
pub struct Wire {
    sealer: Option<Sealer>,
}

impl Wire {
    /// Returns a wire that sends lines unsealed.
    pub fn plain() -> Self {
        Self::default()
    }

    /// Returns a wire whose lines only nodes with the swarm key can read.
    pub fn sealed(sealer: Sealer) -> Self {
        Self { sealer: Some(sealer) }
    }

    /// Returns whether lines are sealed.
    pub fn is_sealed(&self) -> bool {
        self.sealer.is_some()
    }

    /// Encodes a line for channels that carry bytes.
    pub fn write(&self, line: &str) -> Vec<u8> {
        match &self.sealer {
            None => line.as_bytes().to_vec(),
            Some(sealer) => sealer.seal(line.as_bytes()),
        }
    }

    /// Decodes received bytes to a line. Returns `None` if they were sealed with another key, are a replay, or were
    /// sent by this node itself, which hears its own broadcasts.
    pub fn read<'bytes>(&self, bytes: &'bytes [u8]) -> Option<Cow<'bytes, [u8]>> {
        self.open(bytes).ok()
    }

    /// Decodes received bytes like [`Self::read`].
    ///
    /// # Errors
    /// Returns the reason when the bytes cannot be decoded.
    pub(crate) fn open<'bytes>(&self, bytes: &'bytes [u8]) -> Result<Cow<'bytes, [u8]>, Unsealed> {
        match &self.sealer {
            None => Ok(Cow::Borrowed(bytes)),
            Some(sealer) => sealer.open(bytes).map(Cow::Owned),
        }
    }

    /// Returns whether bytes that this wire, which has no key, received look like a sealed line. Plain lines are text.
    pub(crate) fn seems_sealed(&self, bytes: &[u8]) -> bool {
        self.sealer.is_none() && bytes.len() >= seal::OVERHEAD && std::str::from_utf8(bytes).is_err()
    }

    /// Encodes a line for channels that carry text without line breaks. A sealed line begins with `~` and contains no
    /// blanks.
    pub fn write_text<'line>(&self, line: &'line str) -> Cow<'line, str> {
        let Some(sealer) = &self.sealer else { return Cow::Borrowed(line) };
        let mut text = String::from(SEALED);
        URL_SAFE_NO_PAD.encode_string(sealer.seal(line.as_bytes()), &mut text);
        Cow::Owned(text)
    }

    /// Decodes a received text to a line. Returns `None` if the text was not sealed with this swarm's key, or is a
    /// replay.
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
    fn without_a_key_lines_pass_unchanged() {
        let wire = Wire::plain();
        assert_eq!(wire.write("{}"), b"{}");
        assert_eq!(wire.write_text("{}"), "{}");
        assert_eq!(wire.read(b"\xff").as_deref(), Some(&b"\xff"[..]));
        assert_eq!(wire.read_text("{}").as_deref(), Some(&b"{}"[..]));
    }

    #[test]
    fn sealed_lines_are_read_only_with_their_key() {
        let (ours, theirs, other) = (wire(1, 1), wire(1, 2), wire(2, 3));
        let line = "x".repeat(MAX_LINE_BYTES);
        let (bytes, text) = (ours.write(&line), ours.write_text(&line).into_owned());
        assert_eq!((bytes.len(), text.len()), (line.len() + MAX_OVERHEAD, MAX_TEXT_BYTES));
        assert!(text.starts_with(SEALED) && text.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(other.read(&bytes).is_none() && other.read_text(&text).is_none());
        assert_eq!(theirs.read(&bytes).as_deref(), Some(line.as_bytes()));
        assert_eq!(theirs.read_text(&text).as_deref(), Some(line.as_bytes()));
        assert!(theirs.read(&bytes).is_none() && theirs.read_text(&text).is_none(), "a replay is refused");
        assert!(ours.read(&bytes).is_none(), "our own line is refused");
    }

    #[test]
    fn a_line_of_a_swarm_with_another_key_is_recognised() {
        let (ours, theirs, other, none) = (wire(1, 1), wire(1, 2), wire(2, 3), Wire::plain());
        let sealed = other.write("{}");
        assert_eq!(ours.open(&sealed), Err(Unsealed::Forged));
        assert_eq!(ours.open(b"{}"), Err(Unsealed::Plain));
        let known = theirs.write("{}");
        assert!(ours.open(&known).is_ok());
        assert_eq!(ours.open(&known), Err(Unsealed::Replayed));
        assert!(
            none.seems_sealed(&sealed) && !none.seems_sealed(&[b' '; 99]) && !none.seems_sealed(b"short")
        );
        assert!(!ours.seems_sealed(&sealed));
    }

    #[test]
    fn with_a_key_plain_texts_are_refused() {
        let ours = wire(1, 1);
        for text in ["", "{}", "~", "~{}", "~é", "~AAAA", &"~A".repeat(MAX_TEXT_BYTES)] {
            assert!(ours.read(text.as_bytes()).is_none() && ours.read_text(text).is_none(), "{text}");
        }
    }
}
