//! Dialling: from a host name or an address to an established link.

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

/// Maximum number of addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;
/// TCP keep-alive of the kernel: idle time before the first probe, time between probes, and number of probes that may
/// stay unanswered.
const PROBES: (Duration, Duration, u32) = (Duration::from_secs(20), Duration::from_secs(10), 3);
/// Maximum time for which sent data may stay unacknowledged by the peer's kernel.
const UNACKNOWLEDGED: Duration = Duration::from_secs(40);

/// Reason why a link with a peer could not be established.
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
    /// Returns the fault that describes this error. `ThisNode` is not a fault, because a whole swarm may share one list
    /// of peers.
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
            None => f.write_str("the address belongs to this node itself"),
        }
    }
}

/// Settings for dialling.
#[derive(Clone, Debug)]
pub(crate) struct Dialler {
    pub(crate) key: Option<SwarmKey>,
    /// Timeout of each step: the name look-up, the connection and the handshake.
    pub(crate) patience: Duration,
    /// Port on which this node accepts links.
    pub(crate) port: u16,
}

impl Dialler {
    /// Tries the addresses of a host in turn and returns the first link that is established.
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

    /// Dials one address.
    pub(crate) async fn dial(&self, address: SocketAddr) -> Result<EstablishedLink, DialError> {
        if address.port() == self.port && is_here(address) {
            return Err(DialError::ThisNode);
        }
        let connected = timeout(self.patience, TcpStream::connect(address)).await;
        let stream = connected.map_err(|_| DialError::NoAnswer(self.patience))?.map_err(why)?;
        self.establish(stream, true).await
    }

    /// Performs the handshake on a connection.
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

/// Returns whether an address belongs to this host. The kernel then chooses the same address as the source, which a
/// connected UDP socket shows without sending a packet.
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

/// Lets the kernel detect a dead peer, and makes it send each line without delay.
fn watch_over(stream: &TcpStream) {
    let (time, interval, retries) = PROBES;
    let probes = TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(retries);
    let socket = SockRef::from(stream);
    // Errors are ignored, because the timeouts of the link detect a dead peer as well.
    let _ = socket.set_tcp_keepalive(&probes);
    let _ = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let _ = socket.set_tcp_nodelay(true);
}
