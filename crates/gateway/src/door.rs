//! The door: takes connections, as many as are good, and has each served.
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ipfs::node::Node;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::answer::answer;
use crate::blocks::{Holders, Source};
use crate::patience::Patient;

/// The most connections at one time. Others wait until one ends.
const MAX_CONNECTIONS: usize = 64;
/// The most connections of one host.
const MAX_OF_ONE_HOST: usize = 32;
/// The most bytes of the head of a request; as much waits to be sent before the next block is read.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The most headers of a request.
const MAX_HEADERS: usize = 64;
/// How long a client may take for the head of its request, and how long it may be idle between two.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// How long to wait when the system has no place for another connection.
const SHORTAGE: Duration = Duration::from_millis(200);

const TOO_MANY: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\
    Connection: close\r\n\r\n";

/// Where the gateway is, and how it behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The names of this host, to which it answers beside its addresses and `localhost`.
    pub names: Vec<String>,
    /// How long it waits for a block that is not here.
    pub block_limit: Duration,
    /// How long a client may take nothing of its answer.
    pub send_limit: Duration,
}

impl Settings {
    /// With half a minute for a block, and a minute for a client.
    pub fn new(listen: SocketAddr, names: Vec<String>) -> Self {
        Self { listen, names, block_limit: Duration::from_secs(30), send_limit: Duration::from_secs(60) }
    }
}

/// Why the door could not be opened. The message names the way out.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The port is taken, most often by another daemon.
    #[error(
        "TCP port {port} is taken by another program (another dt-swarm?); stop that one or set `gateway` in the \
         configuration file"
    )]
    Taken {
        /// The port.
        port: u16,
    },
    /// Anything else that the operating system says.
    #[error(
        "the gateway cannot listen at {0}: {1}; `gateway` in the configuration file chooses another address"
    )]
    Io(SocketAddr, std::io::Error),
}

impl DoorError {
    fn new(at: SocketAddr, source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::AddrInUse => Self::Taken { port: at.port() },
            _ => Self::Io(at, source),
        }
    }
}

/// An open door.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    settings: Arc<Settings>,
}

impl Door {
    /// Listens.
    ///
    /// # Errors
    /// When it cannot, mostly because the port is taken.
    pub async fn open(settings: Settings) -> Result<Self, DoorError> {
        let at = settings.listen;
        let listener = TcpListener::bind(at).await.map_err(|error| DoorError::new(at, error))?;
        Ok(Self { listener, settings: Arc::new(settings) })
    }

    /// Where it listens: with port 0 in the settings, the port that the system chose.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves content from the node, while there is one; what is not here comes from its holders and neighbours. Dropping
    /// the future ends all connections.
    pub async fn serve(self, node: watch::Receiver<Option<Node>>, holders: Holders) -> Infallible {
        let mut guests = Guests::default();
        let shop = Shop { settings: self.settings, node, holders };
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if guests.tasks.len() < MAX_CONNECTIONS => match accepted {
                    Ok((stream, from)) => guests.admit(stream, from.ip(), shop.clone()),
                    Err(error) => missed(&error).await,
                },
                Some(ended) = guests.tasks.join_next_with_id() => guests.left(ended.map(|(id, ())| id)),
            }
        }
    }
}

/// Opens the door and serves content as [`Door::serve`] does.
///
/// # Errors
/// When it cannot listen.
pub async fn run_gateway(
    settings: Settings,
    node: watch::Receiver<Option<Node>>,
    holders: Holders,
) -> Result<Infallible, DoorError> {
    Ok(Door::open(settings).await?.serve(node, holders).await)
}

/// What to do about a connection that could not be taken.
async fn missed(error: &std::io::Error) {
    if error.kind() != std::io::ErrorKind::ConnectionAborted {
        tracing::warn!(%error, "the gateway cannot take a connection");
        // Out of file descriptors: nothing tells when there is one again.
        tokio::time::sleep(SHORTAGE).await;
    }
}

/// What every connection is served from.
#[derive(Clone)]
struct Shop {
    settings: Arc<Settings>,
    node: watch::Receiver<Option<Node>>,
    holders: Holders,
}

impl Shop {
    fn source(&self) -> Option<Source> {
        let (limit, holders) = (self.settings.block_limit, self.holders.clone());
        self.node.borrow().clone().map(|node| Source { node, limit, holders })
    }
}

/// The connections that are served.
#[derive(Default)]
struct Guests {
    tasks: JoinSet<()>,
    /// Whose each is.
    hosts: BTreeMap<tokio::task::Id, IpAddr>,
}

impl Guests {
    fn admit(&mut self, stream: TcpStream, host: IpAddr, shop: Shop) {
        if self.hosts.values().filter(|other| **other == host).count() >= MAX_OF_ONE_HOST {
            // Whoever does not even read this is not waited for.
            let _ = stream.try_write(TOO_MANY);
            return;
        }
        let task = self.tasks.spawn(entertain(stream, shop));
        self.hosts.insert(task.id(), host);
    }

    fn left(&mut self, ended: Result<tokio::task::Id, tokio::task::JoinError>) {
        let id = ended.unwrap_or_else(|error| {
            tracing::error!(%error, "an answer of the gateway panicked");
            error.id()
        });
        self.hosts.remove(&id);
    }
}

/// Serves one connection to its end.
async fn entertain(stream: TcpStream, shop: Shop) {
    let service = service_fn(|request: Request<Incoming>| {
        let (shop, source) = (shop.clone(), shop.source());
        async move {
            let (head, _body) = request.into_parts();
            Ok::<_, Infallible>(answer(&head, &shop.settings.names, source).await)
        }
    });
    let stream = TokioIo::new(Patient::new(stream, shop.settings.send_limit));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(stream, service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of the gateway ended");
    }
}
