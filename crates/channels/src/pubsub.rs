//! A pubsub topic as a channel. All subscribers receive its lines, wherever they are.
//!
//! The caller supplies the ends of the topic; this module does not depend on libp2p.

use crate::route::Route;
use crate::switchboard::Switchboard;
use crate::wire::Wire;
use bytes::Bytes;
use routing::{Address, Capacity, ChannelEvent, ChannelId, Envelope, Medium};
use tokio::sync::{mpsc, watch};

/// Maximum number of lines queued for publishing. Covers the burst that the channel allows.
const MAX_WAITING: usize = 64;

/// Settings of a pubsub channel.
#[derive(Clone, Debug)]
pub struct PubsubSettings {
    /// Name of the topic.
    pub topic: String,
    /// Address of the topic, `/ipfs-pubsub/TOPIC/dswarm-line`.
    pub at: Address,
    /// Encoding of the lines.
    pub wire: Wire,
}

/// The ends of a topic: a queue in each direction, and the number of neighbours.
#[derive(Debug)]
pub struct PubsubEnds {
    /// Accepts messages to publish.
    pub publish: mpsc::Sender<Bytes>,
    /// Yields messages that other nodes published.
    pub messages: mpsc::Receiver<Bytes>,
    /// Number of subscribed neighbours.
    pub peers: watch::Receiver<usize>,
}

/// The other side of the topic is gone.
struct Gone;

struct Pubsub {
    settings: PubsubSettings,
    switchboard: Switchboard,
    publish: mpsc::Sender<Bytes>,
    lines: mpsc::Sender<String>,
    /// Identifier of the channel; `None` while no neighbour is subscribed.
    channel: Option<ChannelId>,
}

/// Runs the channel until the other side of the topic is gone. The channel is up while a neighbour is subscribed.
pub async fn run_pubsub(settings: PubsubSettings, ends: PubsubEnds, switchboard: Switchboard) {
    let PubsubEnds { publish, messages, peers } = ends;
    let (lines, waiting) = mpsc::channel(MAX_WAITING);
    let mut pubsub = Pubsub { settings, switchboard, publish, lines, channel: None };
    let Err(Gone) = pubsub.run(messages, peers, waiting).await;
    pubsub.go_down().await;
}

impl Pubsub {
    async fn run(
        &mut self,
        mut messages: mpsc::Receiver<Bytes>,
        mut peers: watch::Receiver<usize>,
        mut waiting: mpsc::Receiver<String>,
    ) -> Result<std::convert::Infallible, Gone> {
        peers.mark_changed();
        loop {
            tokio::select! {
                // Handles the number of neighbours before their messages.
                biased;
                changed = peers.changed() => {
                    changed.map_err(|_| Gone)?;
                    let count = *peers.borrow_and_update();
                    self.look_at_peers(count).await;
                }
                Some(line) = waiting.recv() => self.say(&line)?,
                message = messages.recv() => self.receive(&message.ok_or(Gone)?).await,
            }
        }
    }

    async fn look_at_peers(&mut self, count: usize) {
        match self.channel {
            None if count > 0 => self.go_up().await,
            Some(_) if count == 0 => self.go_down().await,
            _ => {}
        }
    }

    async fn go_up(&mut self) {
        let (channel, topic) = (self.switchboard.new_id(), &self.settings.topic);
        tracing::info!(topic, "a neighbour is subscribed to the pubsub topic");
        self.channel = Some(channel);
        self.switchboard.add(channel, Route::Link(self.lines.clone()));
        let name = format!("pubsub {topic}");
        let at = Some(self.settings.at.clone());
        let medium = Medium::Broadcast { name, at, line: None, capacity: Capacity::MESH };
        self.switchboard.report(ChannelEvent::Up { channel, medium }).await;
    }

    async fn go_down(&mut self) {
        if let Some(channel) = self.channel.take() {
            tracing::info!(topic = self.settings.topic, "no neighbour is subscribed to the pubsub topic");
            self.switchboard.remove(channel);
            self.switchboard.report(ChannelEvent::Down { channel }).await;
        }
    }

    fn say(&self, line: &str) -> Result<(), Gone> {
        match self.publish.try_send(self.settings.wire.write(line).into()) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::debug!(
                    topic = self.settings.topic,
                    "a line was dropped: the queue of the topic is full"
                );
                Ok(())
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Gone),
        }
    }

    async fn receive(&self, message: &[u8]) {
        // Without a channel, the message comes from a neighbour that is gone already.
        let Some(channel) = self.channel else { return };
        let envelope = self.settings.wire.read(message).and_then(|line| Envelope::decode(&line).ok());
        let event = match envelope {
            Some(envelope) => ChannelEvent::Received {
                channel,
                source: None,
                envelope,
                bytes: message.len(),
                reaches_all: true,
            },
            None => ChannelEvent::Malformed { channel },
        };
        self.switchboard.report(event).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use routing::{ChannelCommand, Target};
    use std::time::Duration;
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    const LINE: &str = r#"{"from":"/dswarm/*/brain","to":"/dswarm/*/brain","payload":"{}"}"#;

    /// A channel and the other side of its topic.
    struct Topic {
        switchboard: Switchboard,
        events: mpsc::Receiver<ChannelEvent>,
        published: mpsc::Receiver<Bytes>,
        messages: mpsc::Sender<Bytes>,
        peers: watch::Sender<usize>,
        task: JoinHandle<()>,
    }

    fn start() -> Topic {
        let (sender, events) = mpsc::channel(100);
        let switchboard = Switchboard::new(sender);
        let (publish, published) = mpsc::channel(1);
        let (message_sender, messages) = mpsc::channel(10);
        let (count, peers) = watch::channel(0);
        let at = "/ipfs-pubsub/duckiebots/dswarm-line".parse().unwrap();
        let settings = PubsubSettings { topic: "duckiebots".to_owned(), at, wire: Wire::default() };
        let ends = PubsubEnds { publish, messages, peers };
        let task = tokio::spawn(run_pubsub(settings, ends, switchboard.clone()));
        Topic { switchboard, events, published, messages: message_sender, peers: count, task }
    }

    impl Topic {
        async fn next(&mut self) -> ChannelEvent {
            timeout(Duration::from_secs(10), self.events.recv()).await.unwrap().unwrap()
        }

        async fn up(&mut self) -> ChannelId {
            self.peers.send_replace(1);
            match self.next().await {
                ChannelEvent::Up { channel, medium: Medium::Broadcast { name, at, line, capacity } } => {
                    assert_eq!((name.as_str(), line, capacity), ("pubsub duckiebots", None, Capacity::MESH));
                    assert_eq!(at.unwrap().to_string(), "/ipfs-pubsub/duckiebots/dswarm-line");
                    channel
                }
                other => panic!("{other:?}"),
            }
        }

        fn say(&self, channel: ChannelId, line: &str) {
            let line = line.to_owned();
            self.switchboard.carry_out(ChannelCommand::Send { channel, target: Target::All, line });
        }
    }

    #[tokio::test]
    async fn the_channel_is_up_while_a_neighbour_is_subscribed() {
        let mut topic = start();
        let first = topic.up().await;
        topic.peers.send_replace(5);
        topic.peers.send_replace(0);
        assert_eq!(topic.next().await, ChannelEvent::Down { channel: first });
        assert_ne!(topic.up().await, first);
    }

    #[tokio::test]
    async fn lines_are_published_and_received() {
        let mut topic = start();
        let channel = topic.up().await;
        topic.say(channel, LINE);
        let published = timeout(Duration::from_secs(10), topic.published.recv()).await.unwrap().unwrap();
        assert_eq!(published, LINE);
        topic.messages.send(published).await.unwrap();
        let envelope = Envelope::decode(LINE.as_bytes()).unwrap();
        let received =
            ChannelEvent::Received { channel, source: None, envelope, bytes: LINE.len(), reaches_all: true };
        assert_eq!(topic.next().await, received);
        topic.messages.send(Bytes::from_static(b"hello")).await.unwrap();
        assert_eq!(topic.next().await, ChannelEvent::Malformed { channel });
    }

    #[tokio::test]
    async fn lines_over_the_limit_are_dropped_and_later_lines_are_sent() {
        let mut topic = start();
        let channel = topic.up().await;
        (0..1000).for_each(|count| topic.say(channel, &format!("{count}")));
        topic.messages.send(Bytes::from_static(b"x")).await.unwrap();
        // Queued lines are handled before messages, so all of them have been tried by now.
        assert_eq!(topic.next().await, ChannelEvent::Malformed { channel });
        assert_eq!(topic.published.recv().await.unwrap(), "0");
        assert!(topic.published.try_recv().is_err());
        topic.say(channel, "later");
        assert_eq!(topic.published.recv().await.unwrap(), "later");
    }

    #[tokio::test]
    async fn the_channel_ends_with_its_topic() {
        let mut topic = start();
        let channel = topic.up().await;
        drop((topic.messages, topic.published, topic.peers));
        timeout(Duration::from_secs(10), topic.task).await.unwrap().unwrap();
        assert_eq!(topic.events.recv().await, Some(ChannelEvent::Down { channel }));
    }
}
