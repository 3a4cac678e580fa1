//! Both ends of the connection with which a server checks an address.
use std::future::poll_fn;
use std::io;
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt as _, SubstreamBox};
use libp2p::core::upgrade::Version;
use libp2p::swarm::StreamProtocol;
use libp2p::{Multiaddr, PeerId};
use multistream_select::dialer_select_proto;
use tokio::time::timeout;

use super::message::{DIAL_BACK_ANSWER, DialResult, MAX_DIAL_BACK_BYTES, decode_dial_back, encode_dial_back};
use super::pending::Pending;
use crate::bare_link::{self, Event, next_event};
use crate::node::streams::read_length;

pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new("/libp2p/autonat/2/dial-back");
/// Timeout for the connection. A packet filter gives no answer.
const DIAL: Duration = Duration::from_secs(6);
/// Timeout for the exchange of the number over the new connection.
const CONFIRM: Duration = Duration::from_secs(6);
/// Timeout for closing the connection.
const CLOSE: Duration = Duration::from_secs(1);

/// Dials a peer at an address, and sends it the number over the new connection.
///
/// The connection has a new port and an identity that is used once. With the identity of this node, the peer would take
/// it for a new connection of this node that replaces the existing one.
pub(super) async fn dial(
    peer: PeerId,
    address: Multiaddr,
    nonce: u64,
    network_key: Option<[u8; 32]>,
) -> DialResult {
    let dialled = timeout(DIAL, bare_link::dial(peer, vec![address.clone()], network_key)).await;
    let Ok(Ok(muxer)) = dialled else {
        tracing::debug!(%peer, %address, "the peer was not reached at an address that it asked to check");
        return DialResult::Unreachable;
    };
    match timeout(CONFIRM, confirm(muxer, nonce)).await {
        Ok(Ok(())) => DialResult::Reached,
        _ => DialResult::NotConfirmed,
    }
}

async fn confirm(mut muxer: StreamMuxerBox, nonce: u64) -> io::Result<()> {
    let stream = loop {
        match poll_fn(|context| next_event(&mut muxer, true, context)).await? {
            Event::Opened(stream) => break stream,
            // The peer greets this end as it greets all; nobody answers.
            Event::Taken(_) => {}
        }
    };
    let drive = async {
        loop {
            if let Err(error) = poll_fn(|context| next_event(&mut muxer, false, context)).await {
                return error;
            }
        }
    };
    let confirmed = tokio::select! {
        confirmed = send(stream, nonce) => confirmed,
        error = drive => Err(error),
    };
    let _ = timeout(CLOSE, muxer.close()).await;
    confirmed
}

async fn send(stream: SubstreamBox, nonce: u64) -> io::Result<()> {
    let (_, mut stream) =
        dialer_select_proto(stream, [PROTOCOL], Version::V1).await.map_err(io::Error::from)?;
    stream.write_all(&encode_dial_back(nonce)).await?;
    stream.flush().await?;
    // The only answer that the protocol has is that the number was expected.
    read(&mut stream).await?;
    stream.close().await
}

/// Takes the number of a stream that a server opened, and answers if this node expects it.
pub(super) async fn take(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    pending: Pending,
) -> io::Result<()> {
    let exchange = async {
        let nonce = decode_dial_back(&read(&mut stream).await?).map_err(io::Error::other)?;
        if !pending.take(nonce) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        stream.write_all(&DIAL_BACK_ANSWER).await?;
        stream.flush().await?;
        stream.close().await
    };
    timeout(CONFIRM, exchange).await.map_err(io::Error::from)?
}

/// Reads a message without its length.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = read_length(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    if length > MAX_DIAL_BACK_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
