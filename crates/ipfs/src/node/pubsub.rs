//! Pubsub: gossipsub on the topics of the swarm. Kubo, and all that speak gossipsub or floodsub, take part.
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

/// The most bytes of a message.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// How many messages may wait to be published, and to be read. More are lost.
const WAITING: usize = 128;

/// A topic that this node is subscribed to, until `messages` is dropped.
#[derive(Debug)]
pub struct Topic {
    /// Publishes messages of at most [`MAX_MESSAGE_BYTES`] to those who are subscribed now; larger ones are lost.
    pub publish: mpsc::Sender<Bytes>,
    /// What others published, each message once. Ends when the node stops.
    pub messages: mpsc::Receiver<Bytes>,
    /// How many of the connected peers are subscribed.
    pub peers: watch::Receiver<usize>,
}

/// Why a topic was not subscribed to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// It is none of those in `NodeConfig::topics`.
    #[error("the node was not told of the topic {0}")]
    UnknownTopic(String),
    /// Somebody else reads it.
    #[error("the topic {0} is subscribed to already")]
    AlreadySubscribed(String),
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

/// The node's side of a [`Topic`].
struct Subscription {
    topic: IdentTopic,
    /// None when all who could publish are gone.
    publications: Option<mpsc::Receiver<Bytes>>,
    messages: mpsc::Sender<Bytes>,
    peers: watch::Sender<usize>,
}

/// All topics that the node is subscribed to.
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

    /// Whether the node is subscribed to nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Leaves the topics that nobody reads any more.
    pub(super) fn tidy(&mut self, gossip: &mut guard::Behaviour) {
        self.0.retain(|_, subscription| {
            let is_read = !subscription.messages.is_closed();
            if !is_read {
                gossip.unsubscribe(&subscription.topic);
            }
            is_read
        });
    }

    /// The next message to publish. May be cancelled at any time.
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

    /// Tells how many peers there are; to be called when one has gone.
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

/// Publishes; what cannot be is lost, as it would be on the way.
pub(super) fn publish(topic: &TopicHash, data: Bytes, gossip: &mut guard::Behaviour) {
    if data.len() > MAX_MESSAGE_BYTES {
        return tracing::warn!(%topic, bytes = data.len(), "a message is too large to be published");
    }
    if let Err(error) = gossip.publish(topic, data.into()) {
        tracing::debug!(%topic, %error, "not published");
    }
}
