//! Serves the streams of peers: judges each, and connects the permitted ones to their port on this host.

use crate::copy::{CopyEnd, copy};
use crate::judge::Refusal;
use crate::limits::Slot;
use crate::log::UseEnd;
use crate::shared::{PermittedStream, Shared};
use crate::wire::{self, MAX_MESSAGE_BYTES, Opening, PROTOCOL, RefusalCode, Reply, WireError};
use dcache::PeerId;
use ipfs::node::{Node, ServiceStream, StreamReader, StreamWriter};
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use swarm::Stopped;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Maximum number of tasks for streams. Those of peers with and without permission have limits of their own below it;
/// the rest is for streams that are being judged. Further streams are reset.
const MAX_TASKS: usize = 128;
/// Timeout for the first message of a peer that has a permission. Its network may be slow.
const OPENING: Duration = Duration::from_secs(10);
/// Timeout for the first message of another peer, which is only read for the log.
const STRANGER_OPENING: Duration = Duration::from_secs(2);
/// Timeout for sending the answer.
const REPLY: Duration = Duration::from_secs(10);
/// Timeout for connecting to a port of this host.
const CONNECT: Duration = Duration::from_secs(5);

/// Reason why no message could be read from a stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the stream broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the stream ended before its first message")]
    Ended,
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// Serves the streams that peers open, until the node stops.
pub(crate) async fn serve(shared: Arc<Shared>, node: Node) -> Infallible {
    let mut inbound = node.accept_streams(PROTOCOL);
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            Some(stream) = inbound.next() => {
                if tasks.len() < MAX_TASKS {
                    tasks.spawn(serve_stream(shared.clone(), stream));
                }
            }
            Some(_) = tasks.join_next() => {}
            // The node has stopped. The next one is served by another call.
            else => std::future::pending().await,
        }
    }
}

async fn serve_stream(shared: Arc<Shared>, stream: ServiceStream) {
    // Only peers with an Ed25519 key can have a permission.
    let Ok(peer) = stream.peer.to_string().parse::<PeerId>() else { return };
    // An error means that the daemon is stopping.
    let _ = match shared.judge_any(peer).await {
        Ok(Ok(())) => serve_peer(shared, peer, stream).await,
        Ok(Err(refusal)) => refuse_stranger(&shared, peer, refusal, stream).await,
        Err(stopped) => Err(stopped),
    };
}

/// Refuses a peer that may not reach any port.
async fn refuse_stranger(
    shared: &Shared,
    peer: PeerId,
    refusal: Refusal,
    mut stream: ServiceStream,
) -> Result<(), Stopped> {
    let Some(_slot) = shared.limits.of_stranger() else { return Ok(()) };
    let opening = timeout(STRANGER_OPENING, read_message::<Opening>(&mut stream.reader)).await;
    let port = opening.ok().and_then(Result::ok).map(|opening| opening.port.get());
    shared.refuse(peer, port, refusal, shared.now().await?.time);
    refuse(&mut stream.writer, RefusalCode::NotAllowed).await;
    Ok(())
}

/// Serves a peer that may reach some port.
async fn serve_peer(shared: Arc<Shared>, peer: PeerId, mut stream: ServiceStream) -> Result<(), Stopped> {
    let Some(slot) = shared.limits.of_peer(peer) else {
        refuse(&mut stream.writer, RefusalCode::TooMany).await;
        return Ok(());
    };
    let opening = timeout(OPENING, read_message::<Opening>(&mut stream.reader)).await;
    let Ok(Ok(Opening { port })) = opening else { return Ok(()) };
    match shared.begin(peer, port.get()).await? {
        Ok(permitted) => connect(permitted, slot, port.get(), stream).await,
        Err(_) => refuse(&mut stream.writer, RefusalCode::NotAllowed).await,
    }
    Ok(())
}

/// Connects a permitted stream to its port, until one of them ends or the permission is taken back.
async fn connect(mut permitted: PermittedStream, _slot: Slot, port: u16, stream: ServiceStream) {
    let revoked = permitted.revoked.clone();
    let traffic = permitted.traffic.clone();
    let ServiceStream { reader, mut writer, .. } = stream;
    let work = async {
        let Some(socket) = connect_local(port).await else {
            refuse(&mut writer, RefusalCode::NothingListens).await;
            return UseEnd::NothingListens;
        };
        if !reply(&mut writer, Reply::Accepted {}).await {
            return UseEnd::Closed;
        }
        match copy((reader, writer), socket.into_split(), &traffic).await {
            CopyEnd::Closed => UseEnd::Closed,
            CopyEnd::Idle => UseEnd::Idle,
        }
    };
    // When the permission is taken back, the work is dropped, which resets both connections.
    tokio::select! {
        biased;
        () = revoked.cancelled() => {}
        end = work => permitted.end = end,
    }
}

/// Connects to a port of this host.
async fn connect_local(port: u16) -> Option<TcpStream> {
    for host in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
        let connecting = TcpStream::connect(SocketAddr::new(host, port));
        if let Ok(Ok(socket)) = timeout(CONNECT, connecting).await {
            // A failure only makes key presses slower.
            let _ = socket.set_nodelay(true);
            return Some(socket);
        }
    }
    None
}

async fn refuse(writer: &mut StreamWriter, reason: RefusalCode) {
    reply(writer, Reply::Refused { reason }).await;
    // The peer may be gone.
    let _ = timeout(REPLY, writer.close()).await;
}

/// Sends the answer. Returns whether it was sent.
async fn reply(writer: &mut StreamWriter, reply: Reply) -> bool {
    matches!(timeout(REPLY, writer.write_all(&wire::encode(&reply))).await, Ok(Ok(())))
}

/// Reads the first message of a stream. Bytes after its line end are not read.
pub(crate) async fn read_message<M: DeserializeOwned>(reader: &mut StreamReader) -> Result<M, ReadError> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() <= MAX_MESSAGE_BYTES {
        if reader.read(&mut byte).await? == 0 {
            return Err(ReadError::Ended);
        }
        match byte {
            [b'\n'] => return Ok(wire::decode(&line)?),
            [other] => line.push(other),
        }
    }
    Err(WireError::TooLong.into())
}
