//! Pubsub: gossipsub on the topics of the swarm. Kubo and every other node that speaks gossipsub or floodsub can take
//! part.
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::Bytes;
use libp2p::PeerId;
use libp2p::gossipsub::{Event, IdentTopic, Message, MessageId, TopicHash};
use tokio::sync::{mpsc, watch};

pub(super) mod guard;
mod intake;
mod parameters;

/// Maximum length of a message in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// Maximum number of messages that wait to be published, and that wait to be read. Further messages are lost.
const WAITING: usize = 128;

/// A subscription to a topic. It lasts until `messages` is dropped.
#[derive(Debug)]
pub struct Topic {
    /// Publishes messages of at most [`MAX_MESSAGE_BYTES`] to the peers that are subscribed now. Larger messages are
    /// lost.
    pub publish: mpsc::Sender<Bytes>,
    /// Messages that other nodes published, each once. Ends when the node stops.
    pub messages: mpsc::Receiver<Bytes>,
    /// Number of connected peers that are subscribed.
    pub peers: watch::Receiver<usize>,
}

/// Error that occurs when a topic is subscribed to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// The topic is not in `NodeConfig::topics`.
    #[error("the topic {0} is not in the configuration of the node")]
    UnknownTopic(String),
    /// The node has a subscription to this topic already.
    #[error("the topic {0} is subscribed to already")]
    AlreadySubscribed(String),
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

/// The node's side of a [`Topic`].
struct Subscription {
    topic: IdentTopic,
    /// Receiver of messages to publish; `None` when all senders are dropped.
    publications: Option<mpsc::Receiver<Bytes>>,
    messages: mpsc::Sender<Bytes>,
    peers: watch::Sender<usize>,
}

/// All subscriptions of the node.
#[derive(Default)]
pub(super) struct Subscriptions(BTreeMap<TopicHash, Subscription>);

impl Subscriptions {
    pub(super) fn subscribe(
        &mut self,
        name: String,
        gossip: &mut guard::Behaviour,
    ) -> Result<Topic, SubscribeError> {
        let topic = IdentTopic::new(&name);
        let hash = topic.hash();
        if !gossip.may_subscribe(&hash) {
            return Err(SubscribeError::UnknownTopic(name));
        }
        if self.0.get(&hash).is_some_and(|subscription| !subscription.messages.is_closed()) {
            return Err(SubscribeError::AlreadySubscribed(name));
        }
        gossip.subscribe(&topic).map_err(|_| SubscribeError::UnknownTopic(name))?;
        let (publish, publications) = mpsc::channel(WAITING);
        let (sender, messages) = mpsc::channel(WAITING);
        let (count, peers) = watch::channel(gossip.subscribers(&hash));
        let publications = Some(publications);
        self.0.insert(hash, Subscription { topic, publications, messages: sender, peers: count });
        Ok(Topic { publish, messages, peers })
    }

    /// Returns whether the node is subscribed to no topic.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Leaves topics whose subscription was dropped.
    pub(super) fn tidy(&mut self, gossip: &mut guard::Behaviour) {
        self.0.retain(|_, subscription| {
            let is_read = !subscription.messages.is_closed();
            if !is_read {
                gossip.unsubscribe(&subscription.topic);
            }
            is_read
        });
    }

    /// Waits for the next message to publish. Cancel safe.
    pub(super) async fn next_publication(&mut self) -> (TopicHash, Bytes) {
        poll_fn(|context| self.poll_publication(context)).await
    }

    fn poll_publication(&mut self, context: &mut Context<'_>) -> Poll<(TopicHash, Bytes)> {
        for (hash, subscription) in &mut self.0 {
            let Some(publications) = &mut subscription.publications else {
                continue;
            };
            match publications.poll_recv(context) {
                Poll::Ready(Some(data)) => return Poll::Ready((hash.clone(), data)),
                Poll::Ready(None) => subscription.publications = None,
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }

    pub(super) fn gossip_event(&mut self, event: Event, gossip: &mut guard::Behaviour) {
        match event {
            Event::Message { propagation_source, message_id, message } => {
                self.received(propagation_source, &message_id, message, gossip);
            }
            Event::Subscribed { .. } | Event::Unsubscribed { .. } => self.count_peers(gossip),
            Event::GossipsubNotSupported { .. } => {}
            Event::SlowPeer { peer_id, failed_messages } => {
                tracing::debug!(peer = %peer_id, ?failed_messages, "messages to a slow peer were lost");
            }
        }
    }

    /// Updates the number of subscribed peers of each topic. Must be called when a peer has disconnected.
    pub(super) fn count_peers(&self, gossip: &guard::Behaviour) {
        for (hash, subscription) in &self.0 {
            let count = gossip.subscribers(hash);
            subscription.peers.send_if_modified(|told| std::mem::replace(told, count) != count);
        }
    }

    fn received(&self, from: PeerId, id: &MessageId, message: Message, gossip: &mut guard::Behaviour) {
        let is_fit = message.data.len() <= MAX_MESSAGE_BYTES && gossip.is_within_budget(&from);
        gossip.judge(id, &from, is_fit);
        let Some(subscription) = self.0.get(&message.topic).filter(|_| is_fit) else {
            return tracing::debug!(peer = %from, "a message was dropped: too large, or too many");
        };
        if subscription.messages.try_send(message.data.into()).is_err() {
            tracing::debug!(topic = %message.topic, "a message was lost: too many are unread");
        }
    }
}

/// Publishes a message. A message that cannot be published is lost, as it could be on the network.
pub(super) fn publish(topic: &TopicHash, data: Bytes, gossip: &mut guard::Behaviour) {
    if data.len() > MAX_MESSAGE_BYTES {
        return tracing::warn!(%topic, bytes = data.len(), "a message is too large to be published");
    }
    if let Err(error) = gossip.publish(topic, data.into()) {
        tracing::debug!(%topic, %error, "not published");
    }
}
