//! A connection to one peer without a swarm: TCP, the cipher of the private network if there is one, Noise and Yamux. It
//! has an identity of its own, which is used once.
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use libp2p::core::Endpoint;
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt as _, SubstreamBox};
use libp2p::core::transport::{Boxed, DialOpts, PortUse, TransportError};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::pnet::{PnetConfig, PreSharedKey};
use libp2p::{Multiaddr, PeerId, Transport as _, noise, tcp, yamux};

/// Maximum number of addresses that are dialled, all at the same time.
const MAX_ADDRESSES: usize = 16;

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

/// Dials all addresses from a new port, at the same time, and returns the first connection that leads to the peer.
pub(crate) async fn dial(
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
pub(crate) enum Event {
    /// The stream that this side requested is open.
    Opened(SubstreamBox),
    /// The peer opened this stream.
    Taken(SubstreamBox),
}

/// Returns the next event of a connection. `is_opening` tells whether a stream is to be opened.
pub(crate) fn next_event(
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
