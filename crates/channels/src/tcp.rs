//! TCP: takes links from others, dials those that the brain asks for, and has persistent links with chosen peers.

use crate::bind_error::{BindError, Transport};
use crate::dial::Dialler;
use crate::link::{LinkTimeouts, Origin, run_link};
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
use tokio::task::{JoinError, JoinSet};

/// Connections that wait to be taken.
const BACKLOG: i32 = 64;

/// Settings of TCP links.
#[derive(Clone, Debug)]
pub struct TcpSettings {
    /// The port (IPSD: 8000).
    pub port: u16,
    /// The most links at a time.
    pub links: usize,
    /// The most links at a time with one host.
    pub links_per_host: usize,
    /// The longest time without a line from the other side.
    pub silent: Duration,
    /// The longest time for which the other side may leave unread what was written.
    pub stuck: Duration,
    /// The longest time for each step of dialling, and for the handshake.
    pub dial: Duration,
    /// The swarm key; with one, every link is sealed.
    pub key: Option<SwarmKey>,
    /// Whether the port is open: [`run_tcp`] keeps it current. `None` until it was tried.
    pub is_open: watch::Sender<Option<bool>>,
    /// The peers to which there are to be persistent links.
    pub peers: watch::Receiver<Vec<TcpPeer>>,
    /// How often an empty line is written to a persistent link; less than half of `silent`.
    pub sign: Duration,
    /// The shortest and the longest pause before a persistent link is dialled again.
    pub pauses: (Duration, Duration),
}

impl Default for TcpSettings {
    fn default() -> Self {
        Self {
            port: 8000,
            links: 64,
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
    /// The links under way, each with the host at its other end.
    links: JoinSet<IpAddr>,
    by_host: BTreeMap<IpAddr, usize>,
}

/// Takes and makes links until it is dropped; ends only with an error.
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
    let mut tcp = Tcp { settings, switchboard, links: JoinSet::new(), by_host: BTreeMap::new() };
    loop {
        tokio::select! {
            Ok(()) = peers.changed() => persistent.set(&peers.borrow_and_update()),
            accepted = listener.accept() => match accepted {
                Ok((stream, host)) => tcp.take(stream, host.ip().to_canonical()),
                Err(error) => {
                    // Most often too many open files: taking no more for a moment is all that helps.
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            },
            Some(address) = tcp.switchboard.next_dial() => tcp.dial(address),
            Some(ended) = tcp.links.join_next() => tcp.ended(ended),
        }
    }
}

/// One socket for IPv6 and IPv4; IPv4 alone where the host has no IPv6.
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
    // A restarted daemon must not wait for the connections of the one before to be forgotten.
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
    fn take(&mut self, stream: TcpStream, host: IpAddr) {
        let of_host = self.by_host.get(&host).copied().unwrap_or(0);
        if self.links.len() >= self.settings.links || of_host >= self.settings.links_per_host {
            // Dropping the stream closes it.
            return tracing::debug!(%host, "a link over the limit was refused");
        }
        *self.by_host.entry(host).or_default() += 1;
        let (dialler, timeouts, switchboard) = self.parts();
        self.links.spawn(async move {
            match dialler.establish(stream, false).await {
                Ok(link) => {
                    run_link(link, Origin::Taken, timeouts, switchboard).await;
                }
                Err(error) => tracing::debug!(%host, %error, "a link did not begin"),
            }
            host
        });
    }

    fn dial(&mut self, address: SocketAddr) {
        let host = address.ip();
        *self.by_host.entry(host).or_default() += 1;
        let (dialler, timeouts, switchboard) = self.parts();
        self.links.spawn(async move {
            match dialler.dial(address).await {
                Ok(link) => {
                    run_link(link, Origin::Dialled(address), timeouts, switchboard).await;
                }
                Err(error) => {
                    tracing::debug!(%address, %error, "a link did not begin");
                    switchboard.report(ChannelEvent::ConnectFailed { address }).await;
                }
            }
            host
        });
    }

    fn parts(&self) -> (Dialler, LinkTimeouts, Switchboard) {
        (self.settings.dialler(), self.settings.timeouts(), self.switchboard.clone())
    }

    fn ended(&mut self, ended: Result<IpAddr, JoinError>) {
        let Ok(host) = ended else {
            // Links catch their own panics; should one slip through, its host merely keeps a place taken.
            return tracing::error!("a link ended with a panic");
        };
        if let Some(count) = self.by_host.get_mut(&host) {
            *count -= 1;
            if *count == 0 {
                self.by_host.remove(&host);
            }
        }
    }
}
