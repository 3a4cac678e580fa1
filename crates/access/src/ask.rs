//! Opens a stream to a port of another robot, for a program on this host.

use crate::copy::{Traffic, copy};
use crate::protocol::Answer;
use crate::serve::{ReadError, read_message};
use crate::shared::Shared;
use crate::wire::{self, Opening, PROTOCOL, Reply};
use dcache::PeerId;
use ipfs::Multiaddr;
use ipfs::node::{ServiceStream, StreamError};
use service::{Failure, FailureKind, Handover, parse_provider, published_addresses};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Maximum number of streams of programs on this host.
pub(crate) const MAX_STREAMS: usize = 64;
/// Timeout for reaching the robot and for its answer.
const OPENING: Duration = Duration::from_secs(25);
/// Timeout for the program to connect with its socket.
const HANDOVER: Duration = Duration::from_secs(10);
/// Prefix of the names of sockets.
const KIND: &str = "forward";

/// Opens a stream to a port of a robot. The answer names a socket, with which the program connects.
///
/// # Errors
/// When the robot cannot be reached, has no such service, or this host has too many streams.
pub(crate) async fn open(
    shared: &Shared,
    places: &Arc<Semaphore>,
    (peer, port): (PeerId, NonZeroU16),
) -> Result<Answer, Failure> {
    let me = shared.context.swarm.me();
    if peer == me {
        let message = "this robot itself is asked for; connect to its port without dt-swarm";
        return Err(Failure::new(FailureKind::Wrong, message));
    }
    let too_many = |_| {
        let message = format!("{MAX_STREAMS} streams are open already; close one of them");
        Failure::new(FailureKind::Refused, message)
    };
    let place = places.clone().try_acquire_owned().map_err(too_many)?;
    let late = |_| failed(format!("{peer} did not answer within {} s", OPENING.as_secs()));
    let (stream, reply) = timeout(OPENING, ask(shared, peer, port)).await.map_err(late)??;
    match reply {
        Reply::Refused { reason } => Ok(Answer::Refused { reason, me }),
        Reply::Accepted {} => {
            let handover = Handover::open(&shared.context, KIND).map_err(failed)?;
            let socket = handover.name().to_owned();
            tokio::spawn(hand_over(stream, handover, place));
            Ok(Answer::Opened { socket })
        }
    }
}

/// Opens the stream, and reads the robot's answer.
async fn ask(shared: &Shared, peer: PeerId, port: NonZeroU16) -> Result<(ServiceStream, Reply), Failure> {
    let node = shared.context.current_node()?;
    let (libp2p_peer, addresses) = provider(shared, peer).await?;
    let mut stream = node.open_stream(libp2p_peer, addresses, PROTOCOL).await.map_err(not_opened)?;
    let broken = |error: &dyn std::fmt::Display| failed(format!("the stream with {peer} broke: {error}"));
    stream.writer.write_all(&wire::encode(&Opening { port })).await.map_err(|error| broken(&error))?;
    let reply: Result<Reply, ReadError> = read_message(&mut stream.reader).await;
    Ok((stream, reply.map_err(|error| broken(&error))?))
}

/// Returns the peer with the addresses that it published. The node may be connected with it already, or know a path
/// without its addresses.
async fn provider(shared: &Shared, peer: PeerId) -> Result<(ipfs::PeerId, Vec<Multiaddr>), Failure> {
    let published = shared.context.swarm.read(move |set, now| published_addresses(set, peer, now)).await?;
    if let Some(provider) = parse_provider(peer, &published) {
        return Ok(provider);
    }
    let peer = peer.to_string().parse().map_err(|error| Failure::new(FailureKind::Wrong, error))?;
    Ok((peer, Vec::new()))
}

fn not_opened(error: StreamError) -> Failure {
    match error {
        StreamError::Unsupported(peer, _) => {
            failed(format!("{peer} has a version of dt-swarm without access to its ports"))
        }
        StreamError::Connect(_) | StreamError::Broken(..) => {
            failed(format!("{error}. `doctor` says what can keep robots from being reached"))
        }
    }
}

fn failed(message: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Failed, message)
}

/// Waits for the program, and copies until one of them ends.
async fn hand_over(stream: ServiceStream, handover: Handover, _place: OwnedSemaphorePermit) {
    match handover.accept(HANDOVER).await {
        Ok(socket) => {
            copy((stream.reader, stream.writer), socket.into_split(), &Traffic::default()).await;
        }
        Err(error) => tracing::debug!(%error, "a stream was not used"),
    }
}
