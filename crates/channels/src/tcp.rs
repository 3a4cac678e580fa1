//! TCP: accepts links, dials those that the brain asks for, and keeps persistent links with chosen peers.

use crate::bind_error::{BindError, Transport};
use crate::dial::Dialler;
use crate::link::{Activity, LinkTimeouts, Origin, run_link};
use crate::link_places::{Admission, LinkPlaces, PlaceId, PlaceLimits};
use crate::persistent::{PersistentLinks, Redialler, TcpPeer};
use crate::switchboard::Switchboard;
use routing::ChannelEvent;
use seal::SwarmKey;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;

/// Maximum number of connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// Default maximum number of links that other hosts have open at a time: two for each robot of a class.
const LINKS: usize = 64;
/// Maximum share of these links, in percent, for one IPv6 network of 64 bits.
const PERCENT_OF_A_NETWORK: usize = 75;

/// Settings of TCP links.
#[derive(Clone, Debug)]
pub struct TcpSettings {
    /// TCP port; 8000 in IPSD.
    pub port: u16,
    /// Maximum number of links that other hosts have open at a time. At the maximum, a new link evicts the one of least
    /// use.
    pub links: usize,
    /// Maximum number of links that one host has open at a time. Programs on this computer count as one host, with
    /// places of their own.
    pub links_per_host: usize,
    /// Maximum time without a valid line from the peer.
    pub silent: Duration,
    /// Maximum time for which the peer may leave written data unread.
    pub stuck: Duration,
    /// Timeout of each step of dialling, and of the handshake.
    pub dial: Duration,
    /// Swarm key. With a key, every link is sealed.
    pub key: Option<SwarmKey>,
    /// Whether the port is open. [`run_tcp`] keeps the value current; `None` means that the port was not tried yet.
    pub is_open: watch::Sender<Option<bool>>,
    /// Peers with which this node keeps persistent links.
    pub peers: watch::Receiver<Vec<TcpPeer>>,
    /// Interval at which an empty line is sent on a persistent link. Must be less than half of `silent`.
    pub sign: Duration,
    /// Minimum and maximum pause before a persistent link is dialled again.
    pub pauses: (Duration, Duration),
}

impl Default for TcpSettings {
    fn default() -> Self {
        Self {
            port: 8000,
            links: LINKS,
            links_per_host: 16,
            silent: Duration::from_secs(60),
            stuck: Duration::from_secs(20),
            dial: Duration::from_secs(5),
            key: None,
            is_open: watch::Sender::default(),
            peers: watch::channel(Vec::new()).1,
            sign: Duration::from_secs(20),
            pauses: (Duration::from_secs(1), Duration::from_secs(60)),
        }
    }
}

struct Tcp {
    settings: TcpSettings,
    switchboard: Switchboard,
    /// Links that this node opened.
    dialled: JoinSet<()>,
    /// Links that other hosts opened.
    taken: JoinSet<()>,
    tasks: BTreeMap<PlaceId, AbortHandle>,
    places: LinkPlaces,
    started: Instant,
}

/// Accepts and opens links until it is dropped. Returns only with an error.
///
/// # Errors
/// When the port cannot be opened.
pub async fn run_tcp(settings: TcpSettings, switchboard: Switchboard) -> Result<(), BindError> {
    let port = settings.port;
    let opened = open(port);
    settings.is_open.send_replace(Some(opened.is_ok()));
    let listener = opened.map_err(|source| BindError::new(Transport::Tcp, port, source))?;
    let mut peers = settings.peers.clone();
    let mut persistent = PersistentLinks::new(settings.redialler(&switchboard));
    persistent.set(&peers.borrow_and_update());
    let mut tcp = Tcp::new(settings, switchboard);
    loop {
        tokio::select! {
            Ok(()) = peers.changed() => persistent.set(&peers.borrow_and_update()),
            accepted = listener.accept() => match accepted {
                Ok((stream, host)) => tcp.take(stream, host.ip().to_canonical()),
                Err(error) => {
                    // Usually the process has too many open files. Accepting is retried after a pause.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            },
            Some(address) = tcp.switchboard.next_dial() => tcp.dial(address),
            Some(ended) = tcp.taken.join_next_with_id() => tcp.ended(ended),
            Some(_) = tcp.dialled.join_next() => {}
        }
    }
}

/// Opens one socket for both IPv6 and IPv4, or for IPv4 alone where the host has no IPv6.
fn open(port: u16) -> std::io::Result<TcpListener> {
    let both = listen(Domain::IPV6, (Ipv6Addr::UNSPECIFIED, port).into());
    let socket = match both {
        Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => {
            listen(Domain::IPV4, (Ipv4Addr::UNSPECIFIED, port).into())?
        }
        other => other?,
    };
    TcpListener::from_std(socket.into())
}

fn listen(domain: Domain, at: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(false)?;
    }
    // A restarted daemon must not have to wait until the kernel forgets the connections of the previous one.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

impl TcpSettings {
    fn dialler(&self) -> Dialler {
        Dialler { key: self.key.clone(), patience: self.dial, port: self.port }
    }

    fn timeouts(&self) -> LinkTimeouts {
        LinkTimeouts { silent: self.silent, stuck: self.stuck }
    }

    fn redialler(&self, switchboard: &Switchboard) -> Redialler {
        Redialler {
            dialler: self.dialler(),
            timeouts: self.timeouts(),
            sign: self.sign,
            pauses: self.pauses,
            switchboard: switchboard.clone(),
        }
    }
}

impl Tcp {
    fn new(settings: TcpSettings, switchboard: Switchboard) -> Self {
        let of_network = (settings.links * PERCENT_OF_A_NETWORK / 100).max(settings.links_per_host);
        let limits = PlaceLimits { all: settings.links, of_address: settings.links_per_host, of_network };
        Self {
            settings,
            switchboard,
            dialled: JoinSet::new(),
            taken: JoinSet::new(),
            tasks: BTreeMap::new(),
            places: LinkPlaces::new(limits),
            started: Instant::now(),
        }
    }

    fn take(&mut self, stream: TcpStream, host: IpAddr) {
        let now = self.started.elapsed();
        match self.places.admission(host, now) {
            // Dropping the stream closes it.
            Admission::Full => return tracing::debug!(%host, "a link over the limit was refused"),
            Admission::InsteadOf(other) => self.evict(other),
            Admission::Free => {}
        }
        let (place, link_use) = self.places.take(host, now);
        let activity = Activity { link_use, started: self.started };
        let (dialler, timeouts, switchboard) = self.parts();
        let task = self.taken.spawn(async move {
            match dialler.establish(stream, false).await {
                Ok(link) => {
                    run_link(link, Origin::Taken, timeouts, switchboard, activity).await;
                }
                Err(error) => tracing::debug!(%host, %error, "a link could not be established"),
            }
        });
        self.tasks.insert(place, task);
    }

    /// Closes a link that is of less use than the new one.
    fn evict(&mut self, place: PlaceId) {
        self.places.free(place);
        if let Some(task) = self.tasks.remove(&place) {
            tracing::debug!("a link was evicted for a new one");
            task.abort();
        }
    }

    fn dial(&mut self, address: SocketAddr) {
        let (dialler, timeouts, switchboard) = self.parts();
        self.dialled.spawn(async move {
            match dialler.dial(address).await {
                Ok(link) => {
                    run_link(link, Origin::Dialled(address), timeouts, switchboard, Activity::new()).await;
                }
                Err(error) => {
                    tracing::debug!(%address, %error, "a link could not be established");
                    switchboard.report(ChannelEvent::ConnectFailed { address }).await;
                }
            }
        });
    }

    fn parts(&self) -> (Dialler, LinkTimeouts, Switchboard) {
        (self.settings.dialler(), self.settings.timeouts(), self.switchboard.clone())
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                if error.is_panic() {
                    tracing::error!("a link ended with a panic");
                }
                error.id()
            }
        };
        // The place of an evicted link is free already.
        let place = self.tasks.iter().find(|(_, task)| task.id() == id).map(|(place, _)| *place);
        if let Some(place) = place {
            self.tasks.remove(&place);
            self.places.free(place);
        }
    }
}
