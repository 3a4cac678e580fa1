//! The exchange of a client and a server on a stream for requests.
use std::io;
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::swarm::StreamProtocol;
use libp2p::{Multiaddr, PeerId, Stream};
use libp2p_stream::Control;
use tokio::time::timeout;

use super::message::{DialResult, MAX_PADDING, MAX_PROBE_BYTES, ProbeMessage, ProbeResponse};
use super::pending::Pending;
use crate::node::streams::read_length;

pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new("/libp2p/autonat/2/dial-request");
/// Timeout for the answer of a server, which dials meanwhile.
const ANSWER: Duration = Duration::from_secs(20);
/// Timeout for the request of a client.
const REQUEST: Duration = Duration::from_secs(10);
/// Maximum number of bytes of padding that a server may ask for. The specification allows no more.
const MOST_PADDING: usize = 100_000;

/// A request that a client made.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) peer: PeerId,
    pub(super) addresses: Vec<Option<Multiaddr>>,
    pub(super) nonce: u64,
    pub(super) stream: Stream,
}

/// Asks a server to check an address. Returns whether it leads to this node.
pub(super) async fn ask(
    mut control: Control,
    server: PeerId,
    address: Multiaddr,
    pending: Pending,
    nonce: u64,
) -> io::Result<bool> {
    let exchange = async {
        let mut stream = control.open_stream(server, PROTOCOL).await.map_err(io::Error::other)?;
        let expected = pending.expect(nonce);
        let request = ProbeMessage::Request { addresses: vec![Some(address)], nonce };
        send(&mut stream, &request).await?;
        let mut answer = receive(&mut stream).await?;
        if let ProbeMessage::PaddingRequest(bytes) = answer {
            pad(&mut stream, bytes).await?;
            answer = receive(&mut stream).await?;
        }
        // The server reached this node only if its number arrived, too.
        match answer {
            ProbeMessage::Response(ProbeResponse::Dialled(0, DialResult::Reached)) => Ok(expected.is_taken()),
            ProbeMessage::Response(ProbeResponse::Dialled(0, _)) => Ok(false),
            _ => Err(io::Error::other("the server did not check the address")),
        }
    };
    timeout(ANSWER, exchange).await.map_err(io::Error::from)?
}

async fn pad(stream: &mut Stream, bytes: u64) -> io::Result<()> {
    let mut rest = usize::try_from(bytes).unwrap_or(usize::MAX);
    if rest > MOST_PADDING {
        return Err(io::ErrorKind::InvalidData.into());
    }
    while rest > 0 {
        let part = rest.min(MAX_PADDING);
        send(stream, &ProbeMessage::Padding(part)).await?;
        rest -= part;
    }
    Ok(())
}

/// Reads the request of a client.
pub(super) async fn requested(peer: PeerId, mut stream: Stream) -> io::Result<Request> {
    match timeout(REQUEST, receive(&mut stream)).await.map_err(io::Error::from)?? {
        ProbeMessage::Request { addresses, nonce } => Ok(Request { peer, addresses, nonce, stream }),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Sends the answer of the server.
pub(super) async fn respond(mut stream: Stream, response: ProbeResponse) -> io::Result<()> {
    let sending = async {
        send(&mut stream, &ProbeMessage::Response(response)).await?;
        stream.close().await
    };
    timeout(REQUEST, sending).await.map_err(io::Error::from)?
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), message: &ProbeMessage) -> io::Result<()> {
    stream.write_all(&message.encode()).await?;
    stream.flush().await
}

async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<ProbeMessage> {
    let length = read_length(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    if length > MAX_PROBE_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    ProbeMessage::decode(&bytes).map_err(io::Error::other)
}
