//! TCP with three additions: it dials IPv6 link-local addresses, it detects dead connections, and it does not share its
//! port with another program.
//!
//! libp2p's TCP transport drops the zone of an address, without which no link-local address can be dialled.
use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::multiaddr::{Multiaddr, Protocol};
use libp2p::{Transport, tcp};
use socket2::SockRef;
use tokio::net::TcpSocket;

use super::circuits::is_relayed;
use super::taken_port;

/// Time for which bytes may stay unacknowledged before the operating system ends a connection. The system's default is
/// a quarter of an hour. After an interruption of this length, a new connection recovers sooner than the old one.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Returns the TCP transport.
pub(super) fn transport()
-> impl Transport<Output = tcp::tokio::TcpStream, Error = io::Error, Dial: Send, ListenerUpgrade: Send> + Unpin
{
    let inner = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    LinkLocalTcp(inner).map(|stream, _| {
        if let Err(error) = SockRef::from(&stream.0).set_tcp_user_timeout(Some(UNACKNOWLEDGED)) {
            tracing::debug!(%error, "the timeout for dead connections cannot be set; they are detected late");
        }
        stream
    })
}

/// Dials `/ip6zone/INTERFACE/ip6/ADDRESS/tcp/PORT` itself, where INTERFACE is the number of an interface, and leaves
/// all other addresses to libp2p.
struct LinkLocalTcp(tcp::tokio::Transport);

impl Transport for LinkLocalTcp {
    type Output = tcp::tokio::TcpStream;
    type Error = io::Error;
    type ListenerUpgrade = <tcp::tokio::Transport as Transport>::ListenerUpgrade;
    type Dial = BoxFuture<'static, io::Result<Self::Output>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        if is_relayed(&address) {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        taken_port::check(&address).map_err(TransportError::Other)?;
        self.0.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.0.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        match zoned_socket(&address) {
            Some(socket) => Ok(connect(socket).boxed()),
            None => self.0.dial(address, options),
        }
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut self.0).poll(context)
    }
}

async fn connect(socket: SocketAddrV6) -> io::Result<tcp::tokio::TcpStream> {
    let stream = TcpSocket::new_v6()?.connect(SocketAddr::V6(socket)).await?;
    stream.set_nodelay(true)?;
    Ok(tcp::tokio::TcpStream(stream))
}

fn zoned_socket(address: &Multiaddr) -> Option<SocketAddrV6> {
    let mut parts = address.iter();
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (
            Some(Protocol::Ip6zone(zone)),
            Some(Protocol::Ip6(ip)),
            Some(Protocol::Tcp(port)),
            None | Some(Protocol::P2p(_)),
        ) => Some(SocketAddrV6::new(ip, port, 0, zone.parse().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(address: &str) -> Option<String> {
        zoned_socket(&address.parse().unwrap()).map(|socket| socket.to_string())
    }

    #[test]
    fn the_zone_becomes_the_scope_of_the_socket() {
        assert_eq!(socket("/ip6zone/7/ip6/fe80::1/tcp/6002").as_deref(), Some("[fe80::1%7]:6002"));
        assert_eq!(socket("/ip6zone/eth0/ip6/fe80::1/tcp/6002"), None);
        assert_eq!(socket("/ip6/fe80::1/tcp/6002"), None);
        assert_eq!(socket("/ip6zone/7/ip6/fe80::1/udp/6002/quic-v1"), None);
    }

    #[tokio::test]
    async fn connections_end_soon_when_nothing_is_acknowledged() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().unwrap().port());
        let options = DialOpts {
            role: libp2p::core::Endpoint::Dialer,
            port_use: libp2p::core::transport::PortUse::New,
        };
        let stream = transport().dial(address.parse().unwrap(), options).unwrap().await.unwrap();
        let set = SockRef::from(&stream.0).tcp_user_timeout().unwrap();
        assert_eq!(set, Some(UNACKNOWLEDGED));
    }
}
