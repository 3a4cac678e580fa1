//! A connection to one peer: TCP, the cipher of the private network if there is one, Noise, Yamux, and Bitswap messages
//! on top.
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use bitswap::MAX_MESSAGE_BYTES;
use bitswap::message::{self, Message};
use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt as _};
use futures::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt as _, SubstreamBox};
use libp2p::core::transport::{Boxed, DialOpts, PortUse, TransportError};
use libp2p::core::upgrade::Version;
use libp2p::core::{Endpoint, Negotiated};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::pnet::{PnetConfig, PreSharedKey};
use libp2p::{Multiaddr, PeerId, Transport as _, noise, tcp, yamux};
use multistream_select::{dialer_select_proto, listener_select_proto};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// Protocol with which a peer checks that the connection is alive: the ping is sent back unchanged.
const PING: &str = "/ipfs/ping/1.0.0";
/// Length of a ping in bytes.
const PING_BYTES: usize = 32;
/// Maximum number of addresses that are dialled, all at the same time.
const MAX_ADDRESSES: usize = 16;
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

/// Error that occurs when a connection is made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// None of the addresses consists of an IP address and a TCP port.
    #[error("none of the peer's addresses is an IP address with a TCP port")]
    NoAddress,
    /// The peer did not answer within this time.
    #[error("no answer within {} s", .0.as_secs_f64())]
    Late(Duration),
    /// The dial failed at every address; one message for each.
    #[error("{}", .0.join("; "))]
    Failed(Vec<String>),
    /// Noise does not accept the generated key.
    #[error(transparent)]
    Key(#[from] noise::Error),
    /// The connection broke while it was set up.
    #[error(transparent)]
    Broken(#[from] io::Error),
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

type Transport = Boxed<(PeerId, StreamMuxerBox)>;

fn transport(network_key: Option<[u8; 32]>) -> Result<Transport, noise::Error> {
    let noise = noise::Config::new(&Keypair::generate_ed25519())?;
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let Some(key) = network_key else {
        let upgraded = tcp.upgrade(Version::V1Lazy).authenticate(noise);
        return Ok(upgraded.multiplex(yamux::Config::default()).boxed());
    };
    let protector = PnetConfig::new(PreSharedKey::new(key));
    let protected = tcp.and_then(move |socket, _| protector.handshake(socket));
    Ok(protected.upgrade(Version::V1Lazy).authenticate(noise).multiplex(yamux::Config::default()).boxed())
}

/// Dials all addresses at the same time and returns the first connection that leads to the peer.
async fn dial(
    peer: PeerId,
    addresses: Vec<Multiaddr>,
    network_key: Option<[u8; 32]>,
) -> Result<StreamMuxerBox, ConnectError> {
    let mut transport = transport(network_key)?;
    let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let mut dials = FuturesUnordered::new();
    for address in addresses.into_iter().filter(is_tcp).take(MAX_ADDRESSES) {
        match transport.dial(address.clone(), options) {
            Ok(dial) => dials.push(async move { (address, dial.await) }),
            Err(TransportError::MultiaddrNotSupported(_)) => {}
            Err(TransportError::Other(error)) => return Err(error.into()),
        }
    }
    if dials.is_empty() {
        return Err(ConnectError::NoAddress);
    }
    let mut failures = Vec::new();
    while let Some((address, dialled)) = dials.next().await {
        match dialled {
            Ok((found, muxer)) if found == peer => return Ok(muxer),
            Ok((found, _)) => failures.push(format!("{address}: another peer answers: {found}")),
            Err(error) => failures.push(format!("{address}: {error}")),
        }
    }
    failures.sort();
    Err(ConnectError::Failed(failures))
}

/// Returns whether an address consists of an IP address and a TCP port.
fn is_tcp(address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    let is_ip = matches!(parts.next(), Some(Protocol::Ip4(_) | Protocol::Ip6(_)));
    is_ip && matches!((parts.next(), parts.next()), (Some(Protocol::Tcp(_)), None | Some(Protocol::P2p(_))))
}

/// An event of the connection.
enum Event {
    /// The stream that this side requested is open.
    Opened(SubstreamBox),
    /// The peer opened this stream.
    Taken(SubstreamBox),
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

fn next_event(
    muxer: &mut StreamMuxerBox,
    is_opening: bool,
    context: &mut Context<'_>,
) -> Poll<io::Result<Event>> {
    if is_opening && let Poll::Ready(opened) = muxer.poll_outbound_unpin(context) {
        return Poll::Ready(opened.map(Event::Opened));
    }
    if let Poll::Ready(taken) = muxer.poll_inbound_unpin(context) {
        return Poll::Ready(taken.map(Event::Taken));
    }
    match muxer.poll_unpin(context) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Ready(Ok(_)) => {
            // Only the peer's address has changed, which needs no action; there may be more events.
            context.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Pending => Poll::Pending,
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
