//! Assembles texts of an IRC channel to envelopes.

use crate::wire::Wire;
use routing::Envelope;
use routing::{Assembler, fragments};
use std::time::Duration;

/// Timeout for the next fragment of a line. It is long, because a busy server delays lines.
const PATIENCE: Duration = Duration::from_secs(120);

/// Meaning of a text in the channel.
#[derive(Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "none is kept")]
pub(crate) enum Text {
    /// A line of the protocol, and the number of bytes that it takes on IRC.
    Line(Envelope, usize),
    /// A text that looks like a line but is malformed.
    Malformed,
    /// A fragment of a line, or chat between people.
    Nothing,
}

/// Assembles fragments to lines. The assembler bounds its memory.
#[derive(Debug)]
pub(crate) struct Inbox {
    wire: Wire,
    assembler: Assembler<String>,
}

impl Inbox {
    pub(crate) fn new(wire: Wire) -> Self {
        Self { wire, assembler: Assembler::new(PATIENCE) }
    }

    /// Handles a text of `sender` (nick, user and host). `now` is the time since the start.
    pub(crate) fn take(&mut self, now: Duration, sender: &str, text: &str) -> Text {
        // This is neither a plain line nor a fragment of one, but perhaps a sealed line.
        if !text.starts_with('{') {
            return self.read(text);
        }
        match self.assembler.take(now, sender.to_owned(), text) {
            Ok(Some(whole)) => self.read(&whole),
            Ok(None) => Text::Nothing,
            Err(error) => {
                tracing::debug!(sender, %error, "a malformed fragment in an IRC channel");
                Text::Malformed
            }
        }
    }

    fn read(&self, text: &str) -> Text {
        // Counts the bytes that the line takes on IRC, where a long line is sent in fragments.
        let bytes = fragments(text).iter().map(String::len).sum();
        let is_meant = text.starts_with('{');
        match self.wire.read_text(text) {
            Some(line) if line.starts_with(b"{") => match Envelope::decode(&line) {
                Ok(envelope) => Text::Line(envelope, bytes),
                Err(error) => {
                    tracing::debug!(%error, "a malformed line in an IRC channel");
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
    fn fragments_of_several_senders_do_not_mix() {
        let mut inbox = Inbox::new(Wire::default());
        let (one, other) = (envelope(&"a".repeat(500)), envelope(&"b".repeat(500)));
        let pieces = fragments(&one.encode()).into_iter().zip(fragments(&other.encode()));
        let mut heard = Vec::new();
        for (one, other) in pieces {
            heard.push(inbox.take(Duration::ZERO, "a!b@c", &one));
            heard.push(inbox.take(Duration::ZERO, "d!b@c", &other));
        }
        let lines: Vec<_> = heard.into_iter().filter(|text| *text != Text::Nothing).collect();
        let [Text::Line(first, bytes), Text::Line(second, _)] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((first, second), (&one, &other));
        assert!(*bytes > one.encode().len());
    }

    #[test]
    fn chat_is_ignored_and_malformed_lines_are_counted() {
        let mut inbox = Inbox::new(Wire::default());
        for chat in ["hello, robots", "", "\u{1}ACTION waves\u{1}", "\u{3}04red", "[1]"] {
            assert_eq!(inbox.take(Duration::ZERO, "ada!a@b", chat), Text::Nothing);
        }
        for broken in ["{", "{}", "{\"fragment\": 1}", "{\"from\": \"a\"}"] {
            assert_eq!(inbox.take(Duration::ZERO, "ada!a@b", broken), Text::Malformed);
        }
        let line = envelope("x").encode();
        assert_eq!(inbox.take(Duration::ZERO, "ada!a@b", &line), Text::Line(envelope("x"), line.len()));
    }
}
