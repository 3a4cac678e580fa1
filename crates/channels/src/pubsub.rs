//! Pubsub: a topic of IPFS as a network that reaches whoever is subscribed, anywhere.
//!
//! The node that carries the topic is somebody else's: here are only the ends of it.

use crate::switchboard::Route;
use crate::udp::Datagram;
use crate::{Switchboard, Wire};
use bytes::Bytes;
use routing::{Address, Capacity, ChannelEvent, ChannelId, Envelope, Medium};
use tokio::sync::{mpsc, watch};

/// How many lines may wait to be published.
const MAX_WAITING: usize = 256;

/// Which topic, and how lines are written on it.
#[derive(Clone, Debug)]
pub struct PubsubSettings {
    /// The topic.
    pub topic: String,
    /// Its address, `/ipfs-pubsub/TOPIC/dswarm-line`.
    pub at: Address,
    /// How lines are written.
    pub wire: Wire,
}

/// The ends of a topic to which a node is subscribed.
#[derive(Debug)]
pub struct PubsubEnds {
    /// What is to be published.
    pub publish: mpsc::Sender<Bytes>,
    /// What others published.
    pub messages: mpsc::Receiver<Bytes>,
    /// How many peers are subscribed, of those with whom the node is connected.
    pub peers: watch::Receiver<usize>,
}

/// A topic with its node.
struct Pubsub {
    settings: PubsubSettings,
    ends: PubsubEnds,
    switchboard: Switchboard,
    /// The channel, while somebody is subscribed.
    up: Option<(ChannelId, mpsc::Receiver<Datagram>)>,
}

/// Speaks on a topic, and listens, until its node is gone.
pub async fn run_pubsub(settings: PubsubSettings, ends: PubsubEnds, switchboard: Switchboard) {
    let mut pubsub = Pubsub { settings, ends, switchboard, up: None };
    pubsub.run().await;
    pubsub.down().await;
}

impl Pubsub {
    async fn run(&mut self) {
        loop {
            let has_peers = *self.ends.peers.borrow_and_update() > 0;
            match (has_peers, self.up.is_some()) {
                (true, false) => self.come_up().await,
                (false, true) => self.down().await,
                _ => {}
            }
            tokio::select! {
                changed = self.ends.peers.changed() => if changed.is_err() { return },
                message = self.ends.messages.recv() => match message {
                    Some(message) => self.receive(&message).await,
                    None => return,
                },
                Some(line) = next(&mut self.up) => self.send(&line),
            }
        }
    }

    async fn come_up(&mut self) {
        let channel = self.switchboard.new_id();
        let (lines, waiting) = mpsc::channel(MAX_WAITING);
        self.switchboard.add(channel, Route::Network(lines));
        self.up = Some((channel, waiting));
        let name = format!("pubsub {}", self.settings.topic);
        let at = Some(self.settings.at.clone());
        let medium = Medium::Broadcast { name, at, line: None, capacity: Capacity::MESH };
        self.switchboard.report(ChannelEvent::Up { channel, medium }).await;
    }

    async fn down(&mut self) {
        if let Some((channel, _)) = self.up.take() {
            self.switchboard.remove(channel);
            self.switchboard.report(ChannelEvent::Down { channel }).await;
        }
    }

    /// A full queue loses lines; repair makes up for that.
    fn send(&self, line: &Datagram) {
        let bytes = Bytes::from(self.settings.wire.write(&line.line));
        if self.ends.publish.try_send(bytes).is_err() {
            tracing::debug!(
                topic = self.settings.topic,
                "a line was lost: too many are waiting to be published"
            );
        }
    }

    async fn receive(&self, message: &[u8]) {
        // What is said before anybody is known to listen has no channel to be answered by; it is said again.
        let Some((channel, _)) = self.up else { return };
        let Some(line) = self.settings.wire.read(message) else { return };
        let event = match Envelope::decode(&line) {
            Ok(envelope) => ChannelEvent::Received { channel, source: None, envelope, bytes: line.len() },
            Err(error) => {
                tracing::debug!(topic = self.settings.topic, %error, "a message that is no line");
                ChannelEvent::Malformed { channel }
            }
        };
        self.switchboard.report(event).await;
    }
}

async fn next(up: &mut Option<(ChannelId, mpsc::Receiver<Datagram>)>) -> Option<Datagram> {
    match up {
        Some((_, waiting)) => waiting.recv().await,
        None => std::future::pending().await,
    }
}
