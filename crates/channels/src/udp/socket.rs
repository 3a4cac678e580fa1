//! The UDP sockets of this host, one for IPv4 and one for IPv6. Each received datagram comes with its source, its
//! destination and its interface. Each sent datagram leaves by the given interface.
//!
//! The crate `quinn-udp` is not used, because it does not reveal the interface, and it forbids IP fragmentation.
//! Without fragmentation, a line of 16 kB cannot be sent. Binding a socket to an interface is no alternative, because
//! it requires root on robots with older kernels.

use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
};
use nix::{cmsg_space, libc};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use std::io::{Error, ErrorKind, IoSlice, IoSliceMut, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd as _;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// IPv4 multicast group of all nodes. It is in the range that organizations use freely (RFC 2365). Its last two
/// bytes encode the port 1240: 4 * 256 + 216.
pub(crate) const GROUP4: Ipv4Addr = Ipv4Addr::new(239, 192, 4, 216);
/// IPv6 multicast group of all nodes. It has link-local scope, is not assigned by an authority (RFC 4291), and has a
/// group ID from the range for dynamic allocation (RFC 3307). The last two bytes encode the port 1240.
pub(crate) const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0x8000, 0x04d8);
/// Size of the kernel's receive buffer, in bytes. Holds a burst of a few hundred records.
const RECEIVE_BUFFER: usize = 512 * 1024;
/// Timeout for sending one datagram. One dead interface must not delay the others.
const SEND_PATIENCE: Duration = Duration::from_millis(100);

/// Both sockets. A host without IPv6 uses IPv4 alone.
#[derive(Debug)]
pub(crate) struct Sockets {
    ipv4: UdpSocket,
    ipv6: Option<UdpSocket>,
}

/// Metadata of a received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Address of the sender.
    pub(crate) source: SocketAddr,
    /// Address to which the datagram was sent.
    pub(crate) destination: IpAddr,
    /// Whether the destination is an address of this host alone. Does not depend on the list of this host's networks,
    /// which may be outdated.
    pub(crate) is_unicast: bool,
    /// Index of the interface on which the datagram arrived.
    pub(crate) interface: u32,
    /// Number of bytes of the datagram in the buffer.
    pub(crate) length: usize,
    /// Whether the datagram was longer than the buffer.
    pub(crate) is_cut: bool,
}

/// Destination of a datagram, and how it leaves this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Departure {
    /// Address and port of the destination.
    pub(crate) to: SocketAddr,
    /// Source address, which belongs to this host. If `None`, the kernel chooses one.
    pub(crate) from: Option<IpAddr>,
    /// Index of the outgoing interface. If 0, the kernel chooses one.
    pub(crate) interface: u32,
}

impl Sockets {
    /// Opens the port for IPv4 and, where available, for IPv6.
    pub(crate) fn open(port: u16) -> Result<Self> {
        let ipv4 = open4(port)?;
        let ipv6 = open6(port).inspect_err(|error| tracing::info!(%error, "UDP works without IPv6")).ok();
        Ok(Self { ipv4, ipv6 })
    }

    /// Returns whether the host has IPv6.
    pub(crate) fn has_ipv6(&self) -> bool {
        self.ipv6.is_some()
    }

    /// Joins the IPv4 group on an interface. Succeeds if the group is joined already.
    pub(crate) fn join4(&self, interface: u32) -> Result<()> {
        let at = InterfaceIndexOrAddress::Index(interface);
        joined(SockRef::from(&self.ipv4).join_multicast_v4_n(&GROUP4, &at))
    }

    /// Joins the IPv6 group on an interface. Succeeds if the group is joined already.
    pub(crate) fn join6(&self, interface: u32) -> Result<()> {
        let Some(ipv6) = &self.ipv6 else { return Err(ErrorKind::Unsupported.into()) };
        joined(SockRef::from(ipv6).join_multicast_v6(&GROUP6, interface))
    }

    /// Leaves both groups on an interface, if the interface still exists.
    pub(crate) fn leave(&self, interface: u32) {
        let at = InterfaceIndexOrAddress::Index(interface);
        let _ = SockRef::from(&self.ipv4).leave_multicast_v4_n(&GROUP4, &at);
        let _ = self.ipv6.as_ref().map(|ipv6| SockRef::from(ipv6).leave_multicast_v6(&GROUP6, interface));
    }

    /// Receives the next datagram. Cancel safe: dropping the future loses no datagram.
    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> Result<Arrival> {
        loop {
            let socket = tokio::select! {
                ready = self.ipv4.readable() => ready.map(|()| &self.ipv4)?,
                ready = readable(self.ipv6.as_ref()) => ready?,
            };
            match socket.try_io(Interest::READABLE, || receive_from(socket, buffer)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                received => return received,
            }
        }
    }

    /// Sends a datagram. Fails with a timeout after `SEND_PATIENCE`.
    pub(crate) async fn send(&self, departure: Departure, bytes: &[u8]) -> Result<()> {
        let socket = match departure.to {
            SocketAddr::V4(_) => &self.ipv4,
            SocketAddr::V6(_) => self.ipv6.as_ref().ok_or(ErrorKind::Unsupported)?,
        };
        let sent = socket.async_io(Interest::WRITABLE, || send_to(socket, departure, bytes));
        tokio::time::timeout(SEND_PATIENCE, sent).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    }
}

async fn readable(socket: Option<&UdpSocket>) -> Result<&UdpSocket> {
    match socket {
        Some(socket) => socket.readable().await.map(|()| socket),
        None => std::future::pending().await,
    }
}

fn open4(port: u16) -> Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_broadcast(true)?;
    socket.set_multicast_ttl_v4(1)?;
    socket.set_multicast_loop_v4(false)?;
    // Ignores groups that only other programs on this host have joined.
    socket.set_multicast_all_v4(false)?;
    setsockopt(&socket, Ipv4PacketInfo, &true)?;
    bind(socket, (Ipv4Addr::UNSPECIFIED, port).into())
}

fn open6(port: u16) -> Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_only_v6(true)?;
    socket.set_multicast_hops_v6(1)?;
    socket.set_multicast_loop_v6(false)?;
    setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
    bind(socket, (Ipv6Addr::UNSPECIFIED, port).into())
}

fn bind(socket: Socket, at: SocketAddr) -> Result<UdpSocket> {
    socket.set_nonblocking(true)?;
    // The kernel may grant less. Bursts then lose more datagrams.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&at.into())?;
    UdpSocket::from_std(socket.into())
}

fn joined(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(()),
        other => other,
    }
}

fn receive_from(socket: &UdpSocket, buffer: &mut [u8]) -> Result<Arrival> {
    let mut control = cmsg_space!(libc::in6_pktinfo);
    let mut slices = [IoSliceMut::new(buffer)];
    let came = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut slices,
        Some(&mut control),
        MsgFlags::MSG_DONTWAIT,
    )?;
    let source = came.address.as_ref().and_then(source_of);
    let info = came.cmsgs()?.find_map(packet_info);
    let (PacketInfo { destination, is_unicast, interface }, source) =
        info.zip(source).ok_or_else(|| Error::other("no packet info"))?;
    let is_cut = came.flags.contains(MsgFlags::MSG_TRUNC);
    Ok(Arrival { source, destination, is_unicast, interface, length: came.bytes, is_cut })
}

fn source_of(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::from((v4.ip(), v4.port())));
    // The flow label is left out, because it does not identify a host.
    let v6 = || address.as_sockaddr_in6().map(|v6| SocketAddrV6::new(v6.ip(), v6.port(), 0, v6.scope_id()));
    v4.or_else(|| v6().map(SocketAddr::V6))
}

/// Control data that the kernel adds to a datagram.
struct PacketInfo {
    destination: IpAddr,
    is_unicast: bool,
    interface: u32,
}

fn packet_info(message: ControlMessageOwned) -> Option<PacketInfo> {
    match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            let [destination, own] =
                [info.ipi_addr, info.ipi_spec_dst].map(|at| Ipv4Addr::from(at.s_addr.to_ne_bytes()));
            Some(PacketInfo {
                destination: destination.into(),
                // Besides the destination, the kernel reports the local address from which to answer. The two addresses
                // differ if the datagram was a broadcast or multicast. The kernel determines this when the datagram
                // arrives, whereas our list of networks may be outdated.
                is_unicast: destination == own,
                interface: info.ipi_ifindex.try_into().ok()?,
            })
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            let destination = IpAddr::from(info.ipi6_addr.s6_addr);
            let is_unicast = !destination.is_multicast();
            Some(PacketInfo { destination, is_unicast, interface: info.ipi6_ifindex })
        }
        _ => None,
    }
}

fn send_to(socket: &UdpSocket, departure: Departure, bytes: &[u8]) -> Result<()> {
    let (slices, to) = ([IoSlice::new(bytes)], SockaddrStorage::from(departure.to));
    let send = |control: ControlMessage<'_>| {
        let (socket, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        sendmsg(socket, &slices, &[control], flags, Some(&to)).map(drop)
    };
    match departure.to {
        SocketAddr::V4(_) => send(ControlMessage::Ipv4PacketInfo(&info4(departure)))?,
        SocketAddr::V6(_) => send(ControlMessage::Ipv6PacketInfo(&info6(departure)))?,
    }
    Ok(())
}

fn info4(departure: Departure) -> libc::in_pktinfo {
    let from = match departure.from {
        Some(IpAddr::V4(from)) => from,
        _ => Ipv4Addr::UNSPECIFIED,
    };
    libc::in_pktinfo {
        // Interface indices start at 1. None exceeds the signed range.
        ipi_ifindex: departure.interface.try_into().unwrap_or(0),
        ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(from.octets()) },
        ipi_addr: libc::in_addr { s_addr: 0 },
    }
}

fn info6(departure: Departure) -> libc::in6_pktinfo {
    let from = match departure.from {
        Some(IpAddr::V6(from)) => from,
        _ => Ipv6Addr::UNSPECIFIED,
    };
    libc::in6_pktinfo {
        ipi6_addr: libc::in6_addr { s6_addr: from.octets() },
        ipi6_ifindex: departure.interface,
    }
}
