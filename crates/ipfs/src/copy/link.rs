//! A connection to one peer: TCP, the cipher of the private network if there is one, Noise, Yamux, and Bitswap messages
//! on top.
use std::io;
use std::time::Duration;

use bitswap::MAX_MESSAGE_BYTES;
use bitswap::message::{self, Message};
use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::core::Negotiated;
use libp2p::core::muxing::{StreamMuxerBox, SubstreamBox};
use libp2p::core::upgrade::Version;
use libp2p::{Multiaddr, PeerId};
use multistream_select::{dialer_select_proto, listener_select_proto};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::bare_link::{ConnectError, Event, dial, next_event};

/// Protocol with which a peer checks that the connection is alive: the ping is sent back unchanged.
const PING: &str = "/ipfs/ping/1.0.0";
/// Length of a ping in bytes.
const PING_BYTES: usize = 32;
/// Maximum number of streams of the peer that are read at the same time. A peer needs one for its answers and one for
/// pings.
const MAX_STREAMS: usize = 16;
/// Maximum number of received messages that wait for the caller. When the queue is full, reading from the peer stops.
const MAX_WAITING: usize = 4;

/// An open connection to one peer. Dropping it closes the connection.
pub(super) struct Link {
    requests: Negotiated<SubstreamBox>,
    messages: mpsc::Receiver<Message>,
    /// The task that sends and receives; it stops when this handle is dropped.
    _driver: AbortOnDropHandle<()>,
}

impl Link {
    /// Connects to the peer at the first address that leads to it.
    pub(super) async fn open(
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        network_key: Option<[u8; 32]>,
        patience: Duration,
    ) -> Result<Self, ConnectError> {
        let dialled = timeout(patience, dial(peer, addresses, network_key)).await;
        let muxer = dialled.map_err(|_| ConnectError::Late(patience))??;
        let ((opened, requests), (sender, messages)) = (oneshot::channel(), mpsc::channel(MAX_WAITING));
        let driver = AbortOnDropHandle::new(tokio::spawn(drive(muxer, opened, sender)));
        let begun = async {
            let stream = requests.await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionReset))?;
            let (_, stream) = dialer_select_proto(stream, [bitswap::PROTOCOL], Version::V1)
                .await
                .map_err(io::Error::from)?;
            Ok::<_, io::Error>(stream)
        };
        let requests = timeout(patience, begun).await.map_err(|_| ConnectError::Late(patience))??;
        Ok(Self { requests, messages, _driver: driver })
    }

    pub(super) async fn send(&mut self, message: &Message) -> io::Result<()> {
        self.requests.write_all(&message::encode_delimited(message)).await?;
        self.requests.flush().await
    }

    /// Returns the next message of the peer, or `None` when the connection has ended.
    pub(super) async fn receive(&mut self) -> Option<Message> {
        self.messages.recv().await
    }
}

/// Drives a connection until it ends: opens one stream, and serves the streams that the peer opens.
async fn drive(
    mut muxer: StreamMuxerBox,
    opened: oneshot::Sender<SubstreamBox>,
    messages: mpsc::Sender<Message>,
) {
    let (mut opened, mut readers) = (Some(opened), JoinSet::new());
    loop {
        let event = std::future::poll_fn(|context| next_event(&mut muxer, opened.is_some(), context)).await;
        match event {
            Ok(Event::Opened(stream)) => {
                // The receiver may be dropped already.
                let _ = opened.take().map(|opened| opened.send(stream));
            }
            Ok(Event::Taken(stream)) => {
                while readers.try_join_next().is_some() {}
                // A stream over the limit is dropped, which closes it.
                if readers.len() < MAX_STREAMS {
                    readers.spawn(serve(stream, messages.clone()));
                }
            }
            Err(error) => return tracing::debug!(%error, "the connection has ended"),
        }
    }
}

/// Answers pings or reads messages, until the stream ends.
async fn serve(stream: SubstreamBox, messages: mpsc::Sender<Message>) -> io::Result<()> {
    let (protocol, mut stream) = listener_select_proto(stream, [bitswap::PROTOCOL, PING]).await?;
    if protocol == PING {
        let mut ping = [0; PING_BYTES];
        loop {
            stream.read_exact(&mut ping).await?;
            stream.write_all(&ping).await?;
            stream.flush().await?;
        }
    }
    while let Some(message) = read_message(&mut stream).await? {
        if messages.send(message).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Reads a message: its length as an unsigned varint, then its bytes. Returns `None` when the stream ends between
/// messages.
async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Message>> {
    let Some(length) = read_length(stream).await? else { return Ok(None) };
    if length > MAX_MESSAGE_BYTES as u64 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // Memory grows with the received bytes, not with the announced length.
    let mut bytes = Vec::new();
    stream.take(length).read_to_end(&mut bytes).await?;
    if (bytes.len() as u64) < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    message::decode_shared(Bytes::from(bytes)).map(Some).map_err(io::Error::other)
}

async fn read_length(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<u64>> {
    let (mut length, mut shift) = (0u64, 0);
    loop {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return if shift == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        length |= u64::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] < 0x80 {
            return Ok(Some(length));
        }
        if shift > 28 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}
