//! Tells the metrics of this robot to other robots, and asks other robots for theirs, over streams of the IPFS node.

pub mod judge;
pub mod wire;

use crate::answering::Answering;
use crate::protocol::Answer;
use dcache::PeerId;
use ipfs::Multiaddr;
use ipfs::node::{Networks, Node, ServiceStream, StreamError, StreamReader, StreamWriter};
use judge::{Surroundings, may_read};
use service::{Context, Failure, FailureKind, parse_provider, published_addresses};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Display;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;
use wire::{PROTOCOL, Question, Reason, Reply, WireError};

/// Maximum number of questions that are answered at the same time. Further streams are reset.
const MAX_TASKS: usize = 8;
/// Timeout for the question of a peer.
const QUESTION: Duration = Duration::from_secs(5);
/// Timeout for sending an answer. A slow link carries its megabyte in this time.
const REPLY: Duration = Duration::from_secs(30);
/// Timeout for reaching a robot and for its answer.
const ASKING: Duration = Duration::from_secs(25);
/// Size, in bytes, of the pieces in which a message is read.
const PIECE_BYTES: usize = 16 * 1024;

/// Reason why no message could be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("the stream broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the stream ended too early")]
    Ended,
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// Answers the questions of other robots, until the node stops.
pub(crate) async fn serve(answering: Answering, node: Node) -> Infallible {
    let mut inbound = node.accept_streams(PROTOCOL);
    let (mut tasks, asking) = (JoinSet::new(), Asking::default());
    loop {
        tokio::select! {
            Some(stream) = inbound.next() => {
                if tasks.len() < MAX_TASKS {
                    tasks.spawn(serve_stream(answering.clone(), node.clone(), asking.clone(), stream));
                }
            }
            Some(_) = tasks.join_next() => {}
            // The node has stopped. The next one is served by another call.
            else => std::future::pending().await,
        }
    }
}

/// The peers whose questions are being answered, so that one peer cannot take all places.
#[derive(Clone, Debug, Default)]
struct Asking(Arc<Mutex<BTreeSet<PeerId>>>);

/// The place of a peer. Dropping it frees the place.
struct Place(Asking, PeerId);

impl Asking {
    fn enter(&self, peer: PeerId) -> Option<Place> {
        // Each change is a single call, so a poisoned lock is safe to use.
        let is_new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(peer);
        is_new.then(|| Place(self.clone(), peer))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

async fn serve_stream(answering: Answering, node: Node, asking: Asking, mut stream: ServiceStream) {
    // Only peers with an Ed25519 key are robots.
    let Ok(peer) = stream.peer.to_string().parse::<PeerId>() else { return };
    let Some(_place) = asking.enter(peer) else { return refuse(&mut stream.writer, Reason::Busy).await };
    let has_key = answering.context.facts.borrow().has_key;
    let is_near = is_near(&node, stream.peer).await;
    let around = Surroundings { has_key, is_near };
    let allowed = answering.context.swarm.read(move |set, now| may_read(set, peer, now, around)).await;
    match allowed {
        Ok(true) => {}
        Ok(false) => return refuse(&mut stream.writer, Reason::NotAllowed).await,
        // The daemon is stopping.
        Err(_) => return,
    }
    let line = timeout(QUESTION, read_line(&mut stream.reader, wire::MAX_QUESTION_BYTES)).await;
    let Some(question) = line.ok().and_then(Result::ok).and_then(|line| wire::read_question(&line).ok())
    else {
        return;
    };
    let reply = answering.reply(question).await;
    send(&mut stream.writer, &reply).await;
}

async fn refuse(writer: &mut StreamWriter, reason: Reason) {
    send(writer, &Reply::Refused { reason }).await;
}

/// Sends an answer. The peer may be gone.
async fn send(writer: &mut StreamWriter, reply: &Reply) {
    let line = wire::encode(reply);
    let sending = async {
        writer.write_all(&line).await?;
        writer.close().await
    };
    if let Ok(Err(error)) = timeout(REPLY, sending).await {
        tracing::debug!(%error, "metrics were not sent");
    }
}

/// Reads a line of at most `most` bytes, without its end. Bytes after it are dropped.
async fn read_line(reader: &mut StreamReader, most: usize) -> Result<Vec<u8>, ReadError> {
    let (mut line, mut piece) = (Vec::new(), vec![0; PIECE_BYTES]);
    loop {
        let read = reader.read(&mut piece).await?;
        let new = piece.get(..read).filter(|new| !new.is_empty()).ok_or(ReadError::Ended)?;
        let end = new.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(&new[..end.unwrap_or(new.len())]);
        if line.len() > most {
            return Err(WireError::TooLong.into());
        }
        if end.is_some() {
            return Ok(line);
        }
    }
}

/// Returns whether a peer is connected directly from one of the own networks of this robot.
async fn is_near(node: &Node, peer: ipfs::PeerId) -> bool {
    let paths = node.paths().borrow().get(&peer).cloned().unwrap_or_default();
    let direct: Vec<Multiaddr> =
        paths.iter().filter(|path| !path.is_relayed()).map(|path| path.address.clone()).collect();
    let look = move || {
        let networks = Networks::current();
        direct.iter().any(|address| networks.is_near(address))
    };
    // Listing the interfaces may block. A panic admits nobody.
    tokio::task::spawn_blocking(look).await.unwrap_or(false)
}

/// Asks another robot.
///
/// # Errors
/// When the robot cannot be reached, refuses the question, or gives no usable answer.
pub(crate) async fn ask(context: &Context, peer: PeerId, question: &Question) -> Result<Answer, Failure> {
    let late = |_| failed(format!("{peer} did not answer within {} s", ASKING.as_secs()));
    match timeout(ASKING, reply(context, peer, question)).await.map_err(late)?? {
        Reply::Values { values } => Ok(Answer::Values { values }),
        Reply::Points(points) => Ok(Answer::Points(points)),
        Reply::Refused { reason } => Err(refused(peer, reason)),
    }
}

async fn reply(context: &Context, peer: PeerId, question: &Question) -> Result<Reply, Failure> {
    let node = context.current_node()?;
    let published = context.swarm.read(move |set, now| published_addresses(set, peer, now)).await?;
    let (id, addresses) = match parse_provider(peer, &published) {
        Some(provider) => provider,
        // The node may be connected with it already.
        None => {
            (peer.to_string().parse().map_err(|error| Failure::new(FailureKind::Wrong, error))?, Vec::new())
        }
    };
    let mut stream = node.open_stream(id, addresses, PROTOCOL).await.map_err(not_opened)?;
    let broken = |error: &dyn Display| failed(format!("the stream with {peer} broke: {error}"));
    stream.writer.write_all(&wire::encode(question)).await.map_err(|error| broken(&error))?;
    let line = read_line(&mut stream.reader, wire::MAX_REPLY_BYTES).await.map_err(|error| broken(&error))?;
    wire::read_reply(&line).map_err(|error| broken(&error))
}

fn not_opened(error: StreamError) -> Failure {
    match error {
        StreamError::Unsupported(peer, _) => {
            failed(format!("{peer} has a version of dt-swarm that does not tell its metrics"))
        }
        StreamError::Connect(_) | StreamError::Broken(..) => {
            failed(format!("{error}. `doctor` says what can keep robots from being reached"))
        }
    }
}

fn refused(peer: PeerId, reason: Reason) -> Failure {
    let why = match reason {
        Reason::NotAllowed => {
            "this robot is not on its networks, has no role there, and its swarm has no key; ask a robot near it"
        }
        Reason::Busy => "it answers too many questions; try again",
        Reason::NoHistory => "it keeps no history, or has not read it yet",
        Reason::Failed => "its disk failed",
        Reason::Unknown => "it refused",
    };
    Failure::new(FailureKind::Refused, format!("{peer} does not tell its metrics: {why}"))
}

fn failed(message: impl Display) -> Failure {
    Failure::new(FailureKind::Failed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_one_place_at_a_time() {
        let (asking, peer) = (Asking::default(), dcache::Keypair::from_seed([1; 32]).peer_id());
        let place = asking.enter(peer);
        assert!(place.is_some() && asking.enter(peer).is_none());
        drop(place);
        assert!(asking.enter(peer).is_some());
    }
}
