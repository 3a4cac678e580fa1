//! Checks whether another program of the same user listens on a TCP address.
//!
//! libp2p sets SO_REUSEPORT on its listening sockets, so two programs of one user can listen on the same port. The
//! operating system then distributes the connections between them.
use std::io;
use std::net::SocketAddr;

use libp2p::multiaddr::{Multiaddr, Protocol};
use socket2::{Domain, Socket, Type};

/// Fails when another socket listens on this address. Addresses for other transports than TCP are not checked.
///
/// # Errors
/// `AddrInUse` for a taken port, or the reason why no socket can be bound to the address.
pub(super) fn check(address: &Multiaddr) -> io::Result<()> {
    let Some(at) = tcp_socket(address).filter(|at| at.port() != 0) else { return Ok(()) };
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, None)?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // With this option, old connections in the state TIME_WAIT do not block the port, but a listener does.
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())
}

fn tcp_socket(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    match (parts.next()?, parts.next()?) {
        (Protocol::Ip4(ip), Protocol::Tcp(port)) => Some((ip, port).into()),
        (Protocol::Ip6(ip), Protocol::Tcp(port)) => Some((ip, port).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(host: &str) -> (Socket, Multiaddr) {
        let at: SocketAddr = format!("{host}:0").parse().unwrap();
        let socket = Socket::new(Domain::for_address(at), Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&at.into()).unwrap();
        socket.listen(8).unwrap();
        let at = socket.local_addr().unwrap().as_socket().unwrap();
        let family = if at.is_ipv4() { "ip4" } else { "ip6" };
        (socket, format!("/{family}/{}/tcp/{}", at.ip(), at.port()).parse().unwrap())
    }

    #[test]
    fn a_port_is_taken_as_long_as_another_socket_listens_on_it() {
        let (socket, address) = listening("127.0.0.1");
        assert_eq!(check(&address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let port = tcp_socket(&address).unwrap().port();
        let everywhere = format!("/ip4/0.0.0.0/tcp/{port}").parse().unwrap();
        assert_eq!(check(&everywhere).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        check(&address).unwrap();
        check(&everywhere).unwrap();
    }

    #[test]
    fn connections_of_an_earlier_run_do_not_block_the_port() {
        let (socket, address) = listening("127.0.0.1");
        let client = std::net::TcpStream::connect(tcp_socket(&address).unwrap()).unwrap();
        let (taken, _) = socket.accept().unwrap();
        drop(socket);
        check(&address).unwrap();
        // The side that closes first keeps the connection in the state TIME_WAIT.
        drop((taken, client));
        check(&address).unwrap();
    }

    #[test]
    fn port_zero_and_other_transports_are_free() {
        for address in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/1/quic-v1"] {
            check(&address.parse().unwrap()).unwrap();
        }
    }
}
