//! From what is said in the channel to envelopes.

use super::pieces::{Assembler, fragments};
use crate::Wire;
use routing::Envelope;

/// What a text in the channel is.
#[derive(Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "none is kept")]
pub(crate) enum Text {
    /// A line of the protocol, and how many bytes its IRC lines had.
    Line(Envelope, usize),
    /// It looks like one, and is none.
    Malformed,
    /// A piece of a line, or people who chat.
    Nothing,
}

/// Puts pieces together; bounded by its assembler.
#[derive(Debug)]
pub(crate) struct Inbox {
    wire: Wire,
    assembler: Assembler,
}

impl Inbox {
    pub(crate) fn new(wire: Wire) -> Self {
        Self { wire, assembler: Assembler::default() }
    }

    /// Takes what `sender` (nick, user and host) said.
    pub(crate) fn take(&mut self, sender: &str, text: &str) -> Text {
        match self.assembler.take(sender, text) {
            Some(None) => Text::Nothing,
            Some(Some(whole)) => match String::from_utf8(whole) {
                Ok(whole) => self.read(&whole, fragments(&whole).iter().map(String::len).sum()),
                Err(_) => Text::Malformed,
            },
            None => self.read(text, text.len()),
        }
    }

    fn read(&self, text: &str, bytes: usize) -> Text {
        let is_meant = text.starts_with('{');
        match self.wire.read_text(text) {
            Some(line) if line.starts_with(b"{") => match Envelope::decode(&line) {
                Ok(envelope) => Text::Line(envelope, bytes),
                Err(error) => {
                    tracing::debug!(%error, "no line, in an IRC channel");
                    Text::Malformed
                }
            },
            None if is_meant => Text::Malformed,
            _ => Text::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use routing::Address;

    fn envelope(payload: &str) -> Envelope {
        Envelope::new(Address::command_line(), Address::every_brain(), payload.to_owned())
    }

    #[test]
    fn pieces_of_several_speakers_do_not_mix() {
        let mut inbox = Inbox::new(Wire::default());
        let (one, other) = (envelope(&"a".repeat(500)), envelope(&"b".repeat(500)));
        let pieces = fragments(&one.encode()).into_iter().zip(fragments(&other.encode()));
        let mut heard = Vec::new();
        for (one, other) in pieces {
            heard.push(inbox.take("a!b@c", &one));
            heard.push(inbox.take("d!b@c", &other));
        }
        let lines: Vec<_> = heard.into_iter().filter(|text| *text != Text::Nothing).collect();
        let [Text::Line(first, bytes), Text::Line(second, _)] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((first, second), (&one, &other));
        assert!(*bytes > one.encode().len());
    }

    #[test]
    fn people_are_ignored_and_broken_lines_are_counted() {
        let mut inbox = Inbox::new(Wire::default());
        for words in ["hello, robots", "", "\u{1}ACTION waves\u{1}", "\u{3}04red", "[1]"] {
            assert_eq!(inbox.take("ada!a@b", words), Text::Nothing);
        }
        for broken in ["{", "{}", "{\"fragment\": 1}", "{\"from\": \"a\"}"] {
            assert_eq!(inbox.take("ada!a@b", broken), Text::Malformed);
        }
        let line = envelope("x").encode();
        assert_eq!(inbox.take("ada!a@b", &line), Text::Line(envelope("x"), line.len()));
    }
}
