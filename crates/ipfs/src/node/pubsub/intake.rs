//! Filters incoming pubsub traffic: only messages and subscriptions of the topics that this node may subscribe to are
//! accepted.
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use libp2p::gossipsub::{DataTransform, Message, RawMessage, TopicHash, TopicSubscriptionFilter};

/// Filter and counter of incoming messages. Clones share the same counters: gossipsub takes one as filter and one as
/// transformation.
#[derive(Clone, Debug)]
pub(in crate::node) struct Intake {
    topics: Arc<BTreeSet<TopicHash>>,
    taken: Arc<Taken>,
}

/// Messages that arrived since the counters were last read, including duplicates and messages of other topics.
#[derive(Debug, Default)]
struct Taken {
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

impl Intake {
    pub(super) fn new(topics: BTreeSet<TopicHash>) -> Self {
        Self { topics: Arc::new(topics), taken: Arc::default() }
    }

    pub(super) fn has(&self, topic: &TopicHash) -> bool {
        self.topics.contains(topic)
    }

    /// Returns the number of messages since the last call, and their total size in bytes.
    pub(super) fn take(&self) -> (usize, usize) {
        (self.taken.messages.swap(0, Relaxed), self.taken.bytes.swap(0, Relaxed))
    }
}

impl TopicSubscriptionFilter for Intake {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        self.has(topic)
    }
}

impl DataTransform for Intake {
    fn inbound_transform(&self, raw: RawMessage) -> io::Result<Message> {
        self.taken.messages.fetch_add(1, Relaxed);
        self.taken.bytes.fetch_add(raw.data.len(), Relaxed);
        if !self.has(&raw.topic) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let RawMessage { source, data, sequence_number, topic, .. } = raw;
        Ok(Message { source, data, sequence_number, topic })
    }

    fn outbound_transform(&self, _: &TopicHash, data: Vec<u8>) -> io::Result<Vec<u8>> {
        Ok(data)
    }
}
