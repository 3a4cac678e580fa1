//! Collects what a reader finds in a recording.

use std::collections::BTreeMap;
use telemetry::clean;

use crate::Fault;
use crate::description::{
    Description, Kind, MAX_NAME_CHARS, MAX_NAMES_BYTES, MAX_TOPICS, Timestamp, Topic, is_doubtful, vehicle,
};
use crate::reader::Stop;

/// Maximum number of connections that are told apart. MCAP numbers its channels with 16 bits.
pub const MAX_CONNECTIONS: usize = 1 << 16;

/// A description in the making. Its memory is limited, whatever is added.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// Position in `totals` for each pair of a name and a message type.
    topics: BTreeMap<(String, String), usize>,
    /// Length of these texts.
    names_bytes: usize,
    /// Numbers of messages of the topics that other parts of a recording added.
    totals: Vec<u64>,
    /// Position in `totals` for each connection.
    connections: BTreeMap<u32, usize>,
    /// Number of messages of each connection, also of those whose topic is not known yet.
    counts: BTreeMap<u32, u64>,
    /// Number of these connections whose topic is not known yet.
    unknown: usize,
    /// Number of messages without a known topic in other parts of the recording.
    unnamed: u64,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    pub(crate) is_cut: bool,
    pub(crate) is_partial: bool,
    pub(crate) fault: Option<Fault>,
}

impl Draft {
    /// Returns an empty draft for another attempt, after the index had this fault.
    pub(crate) fn after(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }

    /// Adds a connection. The names may have any bytes.
    pub(crate) fn connect(&mut self, id: u32, name: &[u8], message_type: &[u8]) -> Result<(), Stop> {
        let text = |bytes: &[u8]| clean(&String::from_utf8_lossy(bytes), MAX_NAME_CHARS);
        let topic = self.topic(text(name), text(message_type));
        match (self.connections.get(&id), topic) {
            (_, None) => self.is_partial = true,
            (Some(known), Some(topic)) if *known != topic => return Err(Fault::TopicTwice.into()),
            (Some(_), Some(_)) => {}
            (None, Some(_)) if self.connections.len() >= MAX_CONNECTIONS => self.is_partial = true,
            (None, Some(topic)) => {
                self.connections.insert(id, topic);
                self.unknown -= usize::from(self.counts.contains_key(&id));
            }
        }
        Ok(())
    }

    /// Returns the position of a topic, or none when there are too many.
    fn topic(&mut self, name: String, message_type: String) -> Option<usize> {
        let key = (name, message_type);
        if let Some(known) = self.topics.get(&key) {
            return Some(*known);
        }
        let bytes = self.names_bytes + key.0.len() + key.1.len();
        if self.topics.len() >= MAX_TOPICS || bytes > MAX_NAMES_BYTES {
            return None;
        }
        self.names_bytes = bytes;
        self.topics.insert(key, self.totals.len());
        self.totals.push(0);
        Some(self.totals.len() - 1)
    }

    /// Adds messages of a connection.
    pub(crate) fn count(&mut self, id: u32, messages: u64) {
        if let Some(count) = self.counts.get_mut(&id) {
            *count = count.saturating_add(messages);
        } else if self.counts.len() < MAX_CONNECTIONS {
            self.counts.insert(id, messages);
            self.unknown += usize::from(!self.connections.contains_key(&id));
        } else {
            self.add_unnamed(messages);
        }
    }

    /// Adds messages of a topic without the number of a connection.
    pub(crate) fn add(&mut self, name: &str, message_type: &str, messages: u64) {
        let topic = self.topic(clean(name, MAX_NAME_CHARS), clean(message_type, MAX_NAME_CHARS));
        let total = topic.map_or(&mut self.unnamed, |topic| &mut self.totals[topic]);
        *total = total.saturating_add(messages);
    }

    /// Adds messages whose topic is not known.
    pub(crate) fn add_unnamed(&mut self, messages: u64) {
        self.unnamed = self.unnamed.saturating_add(messages);
    }

    /// Extends the time of the recording.
    pub(crate) fn span(&mut self, from: Timestamp, until: Timestamp) {
        self.from = Some(self.from.map_or(from, |known| known.min(from)));
        self.until = self.until.max(Some(until));
    }

    /// Returns whether the topic of this connection is known.
    pub(crate) fn knows(&self, id: u32) -> bool {
        self.connections.contains_key(&id)
    }

    /// Returns whether the topics of all counted messages are known.
    pub(crate) fn knows_all(&self) -> bool {
        self.unknown == 0
    }

    /// Adds another part of the recording.
    pub(crate) fn absorb(&mut self, part: Self) {
        let (is_cut, is_partial, fault) = (part.is_cut, part.is_partial, part.fault);
        self.is_cut |= is_cut;
        self.is_partial |= is_partial;
        self.fault = self.fault.or(fault);
        if let Some((from, until)) = part.from.zip(part.until) {
            self.span(from, until);
        }
        let (topics, unnamed) = part.resolved();
        self.add_unnamed(unnamed);
        for topic in topics {
            self.add(&topic.name, &topic.message_type, topic.messages);
        }
    }

    /// Returns the topics with their messages, and the number of messages without a known topic.
    fn resolved(mut self) -> (Vec<Topic>, u64) {
        for (id, count) in &self.counts {
            let topic = self.connections.get(id);
            let total = topic.map_or(&mut self.unnamed, |topic| &mut self.totals[*topic]);
            *total = total.saturating_add(*count);
        }
        let totals = self.totals;
        let topic = |((name, message_type), at): ((String, String), usize)| Topic {
            name,
            message_type,
            messages: totals[at],
        };
        (self.topics.into_iter().map(topic).collect(), self.unnamed)
    }

    /// Returns the description of what was collected.
    pub(crate) fn finish(self, kind: Kind) -> Description {
        let (from, until, is_cut, is_partial, fault) =
            (self.from, self.until, self.is_cut, self.is_partial, self.fault);
        let (topics, unnamed) = self.resolved();
        let named = topics.iter().fold(0, |sum: u64, topic| sum.saturating_add(topic.messages));
        Description {
            from,
            until,
            messages: named.saturating_add(unnamed),
            vehicle: vehicle(&topics),
            topics,
            is_cut,
            is_partial: is_partial || unnamed > 0,
            is_date_doubtful: is_doubtful(from, until),
            fault,
            ..Description::of(kind)
        }
    }
}
