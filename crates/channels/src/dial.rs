//! Dialling: a name or an address, until a link is there that can be used.

use crate::handshake::{Begun, HandshakeError, begin};
use seal::SwarmKey;
use socket2::{SockRef, TcpKeepalive};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// The most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;
/// After so long without a packet the kernel asks whether the other side is there, this often, and so many times.
const PROBES: (Duration, Duration, u32) = (Duration::from_secs(20), Duration::from_secs(10), 3);
/// How long what was sent may stay without the other kernel's word.
const UNACKNOWLEDGED: Duration = Duration::from_secs(40);

/// Why there is no link. The words are for people, after the name of the peer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("its name cannot be resolved: is it spelled correctly, and is DNS working here? ({0})")]
    Name(io::Error),
    #[error("its name has no address")]
    NoAddress,
    #[error("no answer within {} s: is the port blocked?", .0.as_secs_f64())]
    NoAnswer(Duration),
    #[error("refused: nothing listens there")]
    Refused,
    #[error("it cannot be reached: {0}")]
    Unreachable(io::Error),
    #[error("it is this node itself")]
    Oneself,
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("it took the connection, but said nothing within {} s: it has no swarm key, or is no dt-swarm", .0.as_secs_f64())]
    NoHello(Duration),
}

/// How to dial.
#[derive(Clone, Debug)]
pub(crate) struct Dialler {
    pub(crate) key: Option<SwarmKey>,
    /// How long each of looking up a name, connecting and beginning may take.
    pub(crate) patience: Duration,
    /// Where this node takes links itself.
    pub(crate) port: u16,
}

impl Dialler {
    /// A link with the first address of a host that gives one.
    pub(crate) async fn dial_name(&self, host: &str, port: u16) -> Result<(SocketAddr, Begun), DialError> {
        let mut last = DialError::NoAddress;
        for address in self.look_up(host, port).await? {
            match self.dial(address).await {
                Ok(begun) => return Ok((address, begun)),
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
    pub(crate) async fn dial(&self, address: SocketAddr) -> Result<Begun, DialError> {
        if address.port() == self.port && is_here(address) {
            return Err(DialError::Oneself);
        }
        let connected = timeout(self.patience, TcpStream::connect(address)).await;
        let stream = connected.map_err(|_| DialError::NoAnswer(self.patience))?.map_err(why)?;
        self.begin(stream, true).await
    }

    /// Makes a link of a connection.
    pub(crate) async fn begin(&self, stream: TcpStream, is_dialler: bool) -> Result<Begun, DialError> {
        watch_over(&stream);
        let begun = timeout(self.patience, begin(stream, self.key.as_ref(), is_dialler)).await;
        Ok(begun.map_err(|_| DialError::NoHello(self.patience))??)
    }
}

/// Whether an address is this host's: then one goes there from that very address. A UDP socket finds out without a packet.
fn is_here(address: SocketAddr) -> bool {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let way = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect(address)?;
        socket.local_addr()
    });
    way.is_ok_and(|from| from.ip() == address.ip())
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
