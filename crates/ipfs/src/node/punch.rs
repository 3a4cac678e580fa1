//! Hole punching (`/libp2p/dcutr`): two peers that are connected through a relay dial each other at the same moment, so
//! that the first packets of each open the NAT of its own side.
//!
//! The peer that was called through the relay begins. Both send the addresses at which others saw them. The peer that
//! began then measures the round-trip time, tells the other one to dial, and dials itself half a round trip later.
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::swarm::StreamProtocol;
use libp2p::{Multiaddr, PeerId, Stream};
use libp2p_stream::{Control, IncomingStreams};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::streams::read_length;

pub(super) mod message;

use message::{MAX_PUNCH_BYTES, PunchMessage};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/libp2p/dcutr");
/// Timeout of one exchange of messages.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of attempts for one relayed connection. More attempts seldom help.
pub(super) const MAX_ATTEMPTS: u32 = 3;
/// Maximum number of exchanges at the same time.
const MAX_RUNNING: usize = 32;
/// Pause before a further attempt.
const REST: Duration = Duration::from_secs(1);
/// Maximum number of peers whose attempts are remembered.
const MAX_REMEMBERED: usize = 512;

/// The result of an exchange: dial this peer at these addresses now.
#[derive(Debug)]
pub(super) struct Punch {
    pub(super) peer: PeerId,
    pub(super) addresses: Vec<Multiaddr>,
    /// Whether this node began. It then takes the part of the listener in the handshake, although it dials.
    pub(super) has_begun: bool,
}

/// The exchanges in progress.
pub(super) struct Punches {
    control: Control,
    incoming: Option<IncomingStreams>,
    running: JoinSet<(PeerId, bool, io::Result<Vec<Multiaddr>>)>,
    /// Number of attempts for each peer that is connected through a relay.
    attempts: BTreeMap<PeerId, u32>,
}

impl Punches {
    pub(super) fn new(mut control: Control) -> Self {
        // This fails only if the protocol is accepted twice.
        let incoming = control.accept(PROTOCOL).ok();
        Self { control, incoming, running: JoinSet::new(), attempts: BTreeMap::new() }
    }

    /// Begins an attempt with a peer that is connected through a relay. `own` are the addresses at which others saw this
    /// node.
    pub(super) fn begin(&mut self, peer: PeerId, own: Vec<Multiaddr>) {
        if own.is_empty() {
            return;
        }
        let Some(attempt) = self.count(peer, MAX_ATTEMPTS) else { return };
        let control = self.control.clone();
        self.running.spawn(async move {
            sleep(REST * attempt.min(1)).await;
            let exchange = timeout(TIMEOUT, begin(control, peer, own));
            (peer, true, exchange.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())))
        });
    }

    /// Counts an attempt. Returns the number of earlier ones, or `None` if there were too many.
    fn count(&mut self, peer: PeerId, most: u32) -> Option<u32> {
        let is_known = self.attempts.contains_key(&peer);
        if self.running.len() >= MAX_RUNNING || !is_known && self.attempts.len() >= MAX_REMEMBERED {
            return None;
        }
        let count = self.attempts.entry(peer).or_default();
        let before = *count;
        *count = before.saturating_add(u32::from(before < most));
        (before < most).then_some(before)
    }

    /// Forgets the attempts with a peer that is not connected any more, or is connected directly.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.attempts.remove(peer);
    }

    /// Waits for the next exchange that ends well. `own` are the addresses at which others saw this node. Cancel safe.
    pub(super) async fn next(&mut self, own: &[Multiaddr]) -> Punch {
        loop {
            tokio::select! {
                Some(ended) = self.running.join_next() => match ended {
                    Ok((peer, has_begun, Ok(addresses))) => return Punch { peer, addresses, has_begun },
                    Ok((peer, _, Err(error))) => {
                        tracing::debug!(%peer, %error, "the exchange before hole punching failed");
                    }
                    Err(error) => tracing::error!(%error, "a task for hole punching failed"),
                },
                Some((peer, stream)) = next_stream(&mut self.incoming) => {
                    // The other side counts its own attempts; an honest one makes no more than these.
                    if self.count(peer, 2 * MAX_ATTEMPTS).is_some() {
                        let exchange = timeout(TIMEOUT, answer(stream, own.to_vec()));
                        self.running.spawn(async move {
                            let timed_out = |_| Err(io::ErrorKind::TimedOut.into());
                            (peer, false, exchange.await.unwrap_or_else(timed_out))
                        });
                    }
                }
                else => std::future::pending().await,
            }
        }
    }
}

async fn next_stream(incoming: &mut Option<IncomingStreams>) -> Option<(PeerId, Stream)> {
    match incoming {
        Some(incoming) => incoming.next().await,
        None => None,
    }
}

async fn begin(mut control: Control, peer: PeerId, own: Vec<Multiaddr>) -> io::Result<Vec<Multiaddr>> {
    let mut stream = control.open_stream(peer, PROTOCOL).await.map_err(io::Error::other)?;
    let begun = Instant::now();
    send(&mut stream, &PunchMessage::Connect(own)).await?;
    let addresses = receive_addresses(&mut stream).await?;
    let round_trip = begun.elapsed();
    send(&mut stream, &PunchMessage::Sync).await?;
    sleep(round_trip / 2).await;
    Ok(addresses)
}

async fn answer(mut stream: Stream, own: Vec<Multiaddr>) -> io::Result<Vec<Multiaddr>> {
    let addresses = receive_addresses(&mut stream).await?;
    send(&mut stream, &PunchMessage::Connect(own)).await?;
    match receive(&mut stream).await? {
        PunchMessage::Sync => Ok(addresses),
        PunchMessage::Connect(_) => Err(io::ErrorKind::InvalidData.into()),
    }
}

async fn send(stream: &mut Stream, message: &PunchMessage) -> io::Result<()> {
    stream.write_all(&message.encode()).await?;
    stream.flush().await
}

async fn receive_addresses(stream: &mut Stream) -> io::Result<Vec<Multiaddr>> {
    match receive(stream).await? {
        PunchMessage::Connect(addresses) => Ok(addresses),
        PunchMessage::Sync => Err(io::ErrorKind::InvalidData.into()),
    }
}

async fn receive(stream: &mut Stream) -> io::Result<PunchMessage> {
    let length = read_length(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    if length > MAX_PUNCH_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    PunchMessage::decode(&bytes).map_err(io::Error::other)
}
