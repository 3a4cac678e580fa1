//! Opens the sockets with which this node asks other hosts.

use super::networks::OwnNetwork;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use tokio::net::UdpSocket;

/// Multicast datagrams have this lifetime, in hops (RFC 6762, section 11).
const HOPS: u32 = 255;

/// Opens an ephemeral port on a network. Multicast datagrams leave by the interface of that network; programs on this
/// host do not receive them.
pub(super) fn open(network: OwnNetwork) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_multicast_if_v4(&network.address)?;
    socket.set_multicast_ttl_v4(HOPS)?;
    socket.set_multicast_loop_v4(false)?;
    socket.bind(&SocketAddr::from((network.address, 0)).into())?;
    UdpSocket::from_std(socket.into())
}
