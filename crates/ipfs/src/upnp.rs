//! UPnP: asks the router of a network to forward a port to this host. This is done only if the owner of the node
//! wants it.
//!
//! Only a host on a network of this host is asked, and only the one that answered the search. Its answers are bounded in
//! size and time. Its claims are not believed: an address of the router is announced only after a server in another
//! network reached this node there.
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use libp2p::Multiaddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::node::{Node, RouterPort};

pub mod messages;

use messages::{Place, SEARCH, Service, body, command, element, location, service};

/// Address to which the search is sent.
const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 255, 255, 250), 1900);
/// Number of searches on each network, and the time for the answers to each. A datagram may get lost.
const SEARCHES: (u32, Duration) = (3, Duration::from_millis(1500));
/// Maximum number of networks on which a router is searched.
const MAX_NETWORKS: usize = 4;
/// Maximum number of answers that are looked at after one search.
const MAX_ANSWERS: usize = 16;
/// Timeout for one request to the router.
const REQUEST: Duration = Duration::from_secs(4);
/// Maximum number of bytes of one answer of the router.
const MAX_ANSWER: u64 = 64 * 1024;
/// Time for which the router forwards the port, in seconds. It is renewed at half of this time.
const LEASE: u32 = 3600;
/// Number of ports at the router that are tried. Other robots may have the first ones.
const PORTS: u16 = 8;
/// Shortest and longest pause after a failure. The pause doubles with each failure in a row.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));
/// Timeout for taking the forwarding back when the daemon stops.
const STOP: Duration = Duration::from_millis(800);
/// Error of UPnP: the port belongs to another host.
const CONFLICT: &str = "error 718";
/// Error of UPnP: the router forwards only without an end.
const ONLY_PERMANENT: &str = "error 725";

/// Reason why the router does not forward the port.
#[derive(Debug, thiserror::Error)]
pub enum UpnpError {
    /// No router answered.
    #[error("no router on the networks of this host offers UPnP")]
    NoRouter,
    /// The router offers no service that forwards ports.
    #[error("the router {0} offers no forwarding of ports")]
    NoService(Ipv4Addr),
    /// The router refused.
    #[error("the router {0} refuses to forward a port: {1}")]
    Refused(Ipv4Addr, String),
    /// The router told no address outside.
    #[error("the router {0} tells no address of its own outside")]
    NoAddress(Ipv4Addr),
    /// The router did not answer, or a socket failed.
    #[error("the router was not asked: {0}")]
    Io(#[from] io::Error),
}

/// An IPv4 network to which an interface of this host leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Address of this host on the network.
    pub address: Ipv4Addr,
    /// Netmask of the network.
    pub netmask: Ipv4Addr,
}

/// A port that a router forwards to this host.
#[derive(Clone, Debug)]
struct Forwarding {
    router: Router,
    outer: SocketAddrV4,
}

/// The service of a router.
#[derive(Clone, Debug)]
struct Router {
    at: SocketAddrV4,
    service: Service,
}

/// Keeps a TCP port of this host forwarded until `stop` is cancelled, and tells the node about it. `networks` returns the
/// networks of the interfaces that the node uses; it may block for a moment.
pub async fn run<N>(node: Node, port: u16, networks: N, stop: CancellationToken)
where
    N: Fn() -> io::Result<Vec<Network>> + Clone + Send + 'static,
{
    let (mut failures, mut last) = (0, None);
    loop {
        let pause = tokio::select! {
            () = stop.cancelled() => break,
            result = forward(port, networks.clone()) => {
                let pause = match &result {
                    Ok(_) => Duration::from_secs(u64::from(LEASE / 2)),
                    Err(_) => BACK_OFF.0.saturating_mul(2u32.saturating_pow(failures)).min(BACK_OFF.1),
                };
                failures = if result.is_ok() { 0 } else { failures.saturating_add(1) };
                node.report_router_port(told(&result)).await;
                last = result.ok();
                pause
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = sleep(pause) => {}
        }
    }
    if let Some(forwarding) = last {
        let _ = timeout(STOP, forwarding.router.take_back(forwarding.outer.port())).await;
    }
}

fn told(result: &Result<Forwarding, UpnpError>) -> RouterPort {
    match result {
        Ok(Forwarding { outer, .. }) => {
            tracing::info!(%outer, "the router forwards a port to this host (UPnP)");
            RouterPort::Forwarded(
                Multiaddr::from(*outer.ip()).with(libp2p::multiaddr::Protocol::Tcp(outer.port())),
            )
        }
        Err(error) => {
            tracing::info!(%error, "the router does not forward a port to this host (UPnP)");
            RouterPort::Failed(error.to_string())
        }
    }
}

/// Finds a router, and lets it forward a port to this host.
async fn forward<N>(port: u16, networks: N) -> Result<Forwarding, UpnpError>
where
    N: FnOnce() -> io::Result<Vec<Network>> + Send + 'static,
{
    let networks = tokio::task::spawn_blocking(networks).await.map_err(io::Error::other)??;
    for network in networks.into_iter().filter(may_have_router).take(MAX_NETWORKS) {
        let Some(description) = search(&network).await? else { continue };
        let router = *description.at.ip();
        let text = get(&description).await?;
        let service = service(&text).ok_or(UpnpError::NoService(router))?;
        let router = Router { at: description.at, service };
        let outer_port = router.forward_to(network.address, port).await?;
        let outer = SocketAddrV4::new(router.outer_address().await?, outer_port);
        return Ok(Forwarding { router, outer });
    }
    Err(UpnpError::NoRouter)
}

/// Returns whether there may be a router on the network that translates addresses.
fn may_have_router(network: &Network) -> bool {
    network.address.is_private() || network.address.is_link_local()
}

fn is_on(network: &Network, ip: Ipv4Addr) -> bool {
    ip & network.netmask == network.address & network.netmask && ip != network.address
}

/// Searches for a router on a network. Returns the place of its description.
async fn search(network: &Network) -> io::Result<Option<Place>> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
    socket.bind(&SocketAddr::from((network.address, 0)).into())?;
    socket.set_multicast_if_v4(&network.address)?;
    socket.set_multicast_ttl_v4(2)?;
    socket.set_nonblocking(true)?;
    let socket = UdpSocket::from_std(socket.into())?;
    for _ in 0..SEARCHES.0 {
        socket.send_to(SEARCH.as_bytes(), GROUP).await?;
        if let Ok(Some(place)) = timeout(SEARCHES.1, answered(&socket, network)).await {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

async fn answered(socket: &UdpSocket, network: &Network) -> Option<Place> {
    let mut buffer = [0; 2048];
    for _ in 0..MAX_ANSWERS {
        let (length, from) = socket.recv_from(&mut buffer).await.ok()?;
        let IpAddr::V4(from) = from.ip() else { continue };
        let Some(text) = buffer.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok()) else {
            continue;
        };
        if let Some(place) = location(text, from).filter(|_| is_on(network, from)) {
            return Some(place);
        }
    }
    None
}

impl Router {
    /// Lets the router forward one of a few ports to a port of this host. Returns the port at the router.
    async fn forward_to(&self, here: Ipv4Addr, port: u16) -> Result<u16, UpnpError> {
        let mut reason = String::new();
        for outer in (0..PORTS).filter_map(|number| port.checked_add(number)) {
            let mut added = self.add(here, port, outer, LEASE).await?;
            if added.as_ref().is_err_and(|error| error == ONLY_PERMANENT) {
                added = self.add(here, port, outer, 0).await?;
            }
            match added {
                Ok(()) => return Ok(outer),
                Err(error) if error == CONFLICT => reason = error,
                Err(error) => return Err(UpnpError::Refused(*self.at.ip(), error)),
            }
        }
        Err(UpnpError::Refused(*self.at.ip(), reason))
    }

    async fn add(&self, here: Ipv4Addr, port: u16, outer: u16, lease: u32) -> io::Result<Result<(), String>> {
        let (outer, port, here, lease) =
            (outer.to_string(), port.to_string(), here.to_string(), lease.to_string());
        let arguments = [
            ("NewRemoteHost", ""),
            ("NewExternalPort", &outer),
            ("NewProtocol", "TCP"),
            ("NewInternalPort", &port),
            ("NewInternalClient", &here),
            ("NewEnabled", "1"),
            ("NewPortMappingDescription", "dt-swarm"),
            ("NewLeaseDuration", &lease),
        ];
        Ok(self.command("AddPortMapping", &arguments).await?.map(drop))
    }

    async fn take_back(&self, outer: u16) -> io::Result<()> {
        let outer = outer.to_string();
        let arguments = [("NewRemoteHost", ""), ("NewExternalPort", outer.as_str()), ("NewProtocol", "TCP")];
        self.command("DeletePortMapping", &arguments).await.map(drop)
    }

    async fn outer_address(&self) -> Result<Ipv4Addr, UpnpError> {
        let answer = self.command("GetExternalIPAddress", &[]).await?;
        let router = *self.at.ip();
        let answer = answer.map_err(|error| UpnpError::Refused(router, error))?;
        let address = element(&answer, "NewExternalIPAddress").and_then(|text| text.parse().ok());
        address.filter(|address: &Ipv4Addr| !address.is_unspecified()).ok_or(UpnpError::NoAddress(router))
    }

    /// Sends a command. Returns the body of the answer, or the reason of a refusal.
    async fn command(&self, action: &str, arguments: &[(&str, &str)]) -> io::Result<Result<String, String>> {
        let Service { kind, path } = &self.service;
        let text = command(kind, action, arguments);
        let request = format!(
            "POST {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: text/xml; charset=\"utf-8\"\r\n\
             SOAPAction: \"urn:schemas-upnp-org:service:{kind}#{action}\"\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{text}",
            self.at,
            text.len()
        );
        Ok(body(&exchange(self.at, &request).await?).map(str::to_owned))
    }
}

async fn get(place: &Place) -> Result<String, UpnpError> {
    let Place { at, path } = place;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    let answer = exchange(*at, &request).await?;
    body(&answer).map(str::to_owned).map_err(|error| UpnpError::Refused(*at.ip(), error))
}

/// Sends a request to the HTTP server of the router, and returns its whole answer.
async fn exchange(at: SocketAddrV4, request: &str) -> io::Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(at).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        (&mut stream).take(MAX_ANSWER).read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    timeout(REQUEST, exchange).await.map_err(io::Error::from)?
}
