//! A node with a TCP listener on the loopback interface, and helpers for tests of links.

use channels::{Switchboard, TcpPeer, TcpSettings, run_tcp};
use routing::{Address, Beacon, ChannelCommand, ChannelEvent, ChannelId, Envelope, Medium, Message, Target};
use seal::SwarmKey;
use std::net::SocketAddr;
use std::time::Duration;
use telemetry::FaultReport;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) fn key(byte: u8) -> Option<SwarmKey> {
    Some(SwarmKey::from_bytes([byte; 32]))
}

pub(crate) fn settings(key: Option<SwarmKey>) -> TcpSettings {
    let pauses = (Duration::from_millis(20), Duration::from_millis(200));
    TcpSettings { key, pauses, dial: Duration::from_secs(2), ..TcpSettings::default() }
}

pub(crate) fn ping() -> Envelope {
    Envelope::new(Address::command_line(), Address::every_brain(), Message::ping(dcache::Validity::ALWAYS))
}

pub(crate) fn beacon() -> Envelope {
    let shown = Beacon { bound: dcache::Time(1), fingerprint: dcache::Fingerprint { count: 0, sum: 0 } };
    Envelope { beacon: Some(shown), ..ping() }
}

/// A node with a TCP listener. Dropping it stops the node.
pub(crate) struct Node {
    pub(crate) switchboard: Switchboard,
    pub(crate) events: mpsc::Receiver<ChannelEvent>,
    pub(crate) port: u16,
    pub(crate) task: tokio::task::JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

pub(crate) async fn node(settings: TcpSettings) -> Node {
    node_at(free_port().await, settings).await
}

/// Starts a node and waits until it listens.
pub(crate) async fn node_at(port: u16, settings: TcpSettings) -> Node {
    let (reports, events) = mpsc::channel(1024);
    let switchboard = Switchboard::new(reports);
    let is_plain = settings.key.is_none();
    let run = run_tcp(TcpSettings { port, ..settings }, switchboard.clone());
    let task = tokio::spawn(async move { run.await.unwrap() });
    let mut node = Node { switchboard, events, port, task };
    drop(node.connect().await);
    if is_plain {
        // Closes the link by which this was found out, as the brain would.
        let ended = |event| if let ChannelEvent::Ended { channel } = event { Some(channel) } else { None };
        let channel = node.until(ended).await;
        node.switchboard.carry_out(ChannelCommand::Close { channel });
    }
    node
}

impl Node {
    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    pub(crate) fn peer(&self) -> TcpPeer {
        TcpPeer { host: "127.0.0.1".to_owned(), port: self.port }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        let attempt = async {
            loop {
                match TcpStream::connect(self.address()).await {
                    Ok(stream) => return stream,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        tokio::time::timeout(DEADLINE, attempt).await.expect("a listener in time")
    }

    /// Waits for the first event that `find` accepts.
    pub(crate) async fn until<T>(&mut self, mut find: impl FnMut(ChannelEvent) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = find(self.events.recv().await.unwrap()) {
                    return found;
                }
            }
        };
        tokio::time::timeout(DEADLINE, found).await.expect("an event in time")
    }

    /// Waits for the next persistent link of this node.
    pub(crate) async fn persistent(&mut self) -> ChannelId {
        self.until(|event| match event {
            ChannelEvent::Up { channel, medium: Medium::Link { dialled: Some(_), is_kept: true } } => {
                Some(channel)
            }
            _ => None,
        })
        .await
    }

    pub(crate) async fn trouble(&mut self) -> (String, Option<FaultReport>) {
        self.until(|event| match event {
            ChannelEvent::Trouble { name, fault } => Some((name, fault)),
            _ => None,
        })
        .await
    }

    pub(crate) async fn received(&mut self) -> (ChannelId, Envelope) {
        self.until(|event| match event {
            ChannelEvent::Received { channel, envelope, .. } => Some((channel, envelope)),
            _ => None,
        })
        .await
    }

    pub(crate) fn say(&self, channel: ChannelId) {
        self.send(channel, &ping());
    }

    pub(crate) fn send(&self, channel: ChannelId, envelope: &Envelope) {
        let line = envelope.encode();
        self.switchboard.carry_out(ChannelCommand::Send { channel, target: Target::All, line });
    }
}

/// Starts a node with persistent links to others.
pub(crate) async fn linked(to: Vec<TcpPeer>, settings: TcpSettings) -> (Node, watch::Sender<Vec<TcpPeer>>) {
    let (list, peers) = watch::channel(Vec::new());
    let node = node(TcpSettings { peers, ..settings }).await;
    list.send(to).unwrap();
    (node, list)
}

/// Returns whether no event is reported for this long.
pub(crate) async fn is_quiet(node: &mut Node, time: Duration) -> bool {
    tokio::time::timeout(time, node.events.recv()).await.is_err()
}

/// Reads everything that arrives until the connection is closed.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("closed in time");
    String::from_utf8(rest).unwrap()
}

/// Forwards the bytes between two sides, and returns a copy of all of them.
pub(crate) async fn tap(to: SocketAddr) -> (TcpPeer, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (mut near, mut far) = (listener.accept().await.unwrap().0, TcpStream::connect(to).await.unwrap());
        let (mut said, mut one, mut other) = (Vec::new(), [0; 4096], [0; 4096]);
        loop {
            let (bytes, to) = tokio::select! {
                length = near.read(&mut one) => (&one[..length.unwrap_or(0)], &mut far),
                length = far.read(&mut other) => (&other[..length.unwrap_or(0)], &mut near),
            };
            said.extend_from_slice(bytes);
            if bytes.is_empty() || to.write_all(bytes).await.is_err() {
                return said;
            }
        }
    });
    (TcpPeer { host: "127.0.0.1".to_owned(), port }, task)
}

/// Connects from this address, which has to be in the loopback network.
pub(crate) async fn connect_from(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    socket.connect(to).await.unwrap()
}
