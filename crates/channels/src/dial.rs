//! Dialling: from a name or an address to a link that can be used.

use crate::handshake::{EstablishedLink, HandshakeError, shake_hands};
use seal::SwarmKey;
use socket2::{SockRef, TcpKeepalive};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;
use telemetry::{FaultReport, faults, report};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// The most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;
/// Keep-alive of the kernel: the time without a packet before the first probe, the time between probes, and how many
/// may stay unanswered.
const PROBES: (Duration, Duration, u32) = (Duration::from_secs(20), Duration::from_secs(10), 3);
/// How long what was sent may stay unacknowledged by the other kernel.
const UNACKNOWLEDGED: Duration = Duration::from_secs(40);

/// Why there is no link with a peer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    Name(#[source] io::Error),
    NoAddress,
    NoAnswer(Duration),
    Refused,
    Unreachable(#[source] io::Error),
    ThisNode,
    Handshake(#[from] HandshakeError),
    NoHandshake(Duration),
}

impl DialError {
    /// Returns the fault that this is. That a peer is this node itself is none: a whole swarm may share one list of peers.
    pub(crate) fn report(&self) -> Option<FaultReport> {
        Some(match self {
            Self::ThisNode => return None,
            Self::Name(error) => report!(faults::TCP_NAME_UNRESOLVED, error = error),
            Self::NoAddress => report!(faults::TCP_NAME_WITHOUT_ADDRESS),
            Self::NoAnswer(patience) => report!(faults::TCP_NO_ANSWER, seconds = patience.as_secs_f64()),
            Self::Refused => report!(faults::TCP_REFUSED),
            Self::Unreachable(error) => report!(faults::TCP_UNREACHABLE, error = error),
            Self::Handshake(error) => error.report(),
            Self::NoHandshake(patience) => {
                report!(faults::TCP_NO_HANDSHAKE, seconds = patience.as_secs_f64())
            }
        })
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.report() {
            Some(report) => report.fmt(f),
            None => f.write_str("it is this node itself"),
        }
    }
}

/// How to dial.
#[derive(Clone, Debug)]
pub(crate) struct Dialler {
    pub(crate) key: Option<SwarmKey>,
    /// How long each step may take: looking a name up, connecting, and the handshake.
    pub(crate) patience: Duration,
    /// Where this node takes links itself.
    pub(crate) port: u16,
}

impl Dialler {
    /// Returns a link with the first address of a host that gives one.
    pub(crate) async fn dial_name(
        &self,
        host: &str,
        port: u16,
    ) -> Result<(SocketAddr, EstablishedLink), DialError> {
        let mut last = DialError::NoAddress;
        for address in self.look_up(host, port).await? {
            match self.dial(address).await {
                Ok(link) => return Ok((address, link)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn look_up(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![(address, port).into()]);
        }
        let late = |_| DialError::Name(ErrorKind::TimedOut.into());
        let found = timeout(self.patience, lookup_host((host, port))).await.map_err(late)?;
        Ok(found.map_err(DialError::Name)?.take(MAX_ADDRESSES).collect())
    }

    /// A link with this address.
    pub(crate) async fn dial(&self, address: SocketAddr) -> Result<EstablishedLink, DialError> {
        if address.port() == self.port && is_here(address) {
            return Err(DialError::ThisNode);
        }
        let connected = timeout(self.patience, TcpStream::connect(address)).await;
        let stream = connected.map_err(|_| DialError::NoAnswer(self.patience))?.map_err(why)?;
        self.establish(stream, true).await
    }

    /// Makes a link of a connection.
    pub(crate) async fn establish(
        &self,
        stream: TcpStream,
        is_dialler: bool,
    ) -> Result<EstablishedLink, DialError> {
        watch_over(&stream);
        let link = timeout(self.patience, shake_hands(stream, self.key.as_ref(), is_dialler)).await;
        Ok(link.map_err(|_| DialError::NoHandshake(self.patience))??)
    }
}

/// Whether an address is this host's: then one goes there from that very address. A UDP socket finds out without a packet.
fn is_here(address: SocketAddr) -> bool {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let local = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect(address)?;
        socket.local_addr()
    });
    local.is_ok_and(|from| from.ip() == address.ip())
}

fn why(error: io::Error) -> DialError {
    match error.kind() {
        ErrorKind::ConnectionRefused => DialError::Refused,
        _ => DialError::Unreachable(error),
    }
}

/// Lets the kernel notice that the other side is gone, and send each line at once.
fn watch_over(stream: &TcpStream) {
    let (time, interval, retries) = PROBES;
    let probes = TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(retries);
    let socket = SockRef::from(stream);
    // What a kernel refuses of it, the link's own patience makes up for.
    let _ = socket.set_tcp_keepalive(&probes);
    let _ = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let _ = socket.set_tcp_nodelay(true);
}
