//! UDP broadcast: one socket, every fit network a channel.
//!
//! One datagram is one line, without a line end. Networks that come and go are noticed by looking again every few
//! seconds.

use crate::switchboard::Route;
use crate::{Choice, DoorError, Network, Switchboard};
use routing::{Address, Capacity, ChannelEvent, ChannelId, Envelope, MAX_LINE_BYTES, Medium, Target};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// How often this host's networks are looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// How many datagrams may wait to be sent.
const MAX_WAITING: usize = 1024;
/// What the kernel keeps for us of a burst: a few hundred records.
const RECEIVE_BUFFER: usize = 512 * 1024;

/// How to broadcast.
#[derive(Clone, Debug)]
pub struct UdpSettings {
    /// The port, the same on all hosts (IPSD: 1240).
    pub port: u16,
    /// Where this node takes links; told to others on each network.
    pub line_port: u16,
    /// On which interfaces.
    pub interfaces: Choice,
}

/// A line to send.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) channel: ChannelId,
    pub(crate) target: Target,
    pub(crate) line: String,
}

struct Udp {
    settings: UdpSettings,
    switchboard: Switchboard,
    socket: UdpSocket,
    networks: BTreeMap<Network, ChannelId>,
    outgoing: mpsc::Sender<Datagram>,
}

/// Broadcasts until it is dropped; ends only with an error.
///
/// # Errors
/// When the port cannot be opened, or the socket breaks.
pub async fn run_udp(settings: UdpSettings, switchboard: Switchboard) -> Result<(), DoorError> {
    let port = settings.port;
    let door = |source| DoorError::new("UDP", port, "udp_port", source);
    let socket = open(port).map_err(door)?;
    let (outgoing, waiting) = mpsc::channel(MAX_WAITING);
    let mut udp = Udp { settings, switchboard, socket, networks: BTreeMap::new(), outgoing };
    let result = udp.run(waiting).await.map_err(door);
    udp.leave_all().await;
    result
}

fn open(port: u16) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_broadcast(true)?;
    socket.set_nonblocking(true)?;
    // The kernel may grant less; then bursts lose more.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
    UdpSocket::from_std(socket.into())
}

impl Udp {
    async fn run(&mut self, mut waiting: mpsc::Receiver<Datagram>) -> std::io::Result<()> {
        let mut look_again = tokio::time::interval(LOOK_AGAIN);
        look_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // One byte more than a line may have, so that a longer one shows.
        let mut buffer = vec![0; MAX_LINE_BYTES + 1];
        loop {
            tokio::select! {
                _ = look_again.tick() => self.look_at_networks().await,
                Some(datagram) = waiting.recv() => self.send(&datagram).await,
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((length, source)) => self.receive(&buffer[..length], source).await,
                    // What an earlier datagram met (no route, nobody there) is reported here; it ends nothing.
                    Err(error) => tracing::debug!(%error, "UDP"),
                },
            }
        }
    }

    async fn look_at_networks(&mut self) {
        let current = match self.settings.interfaces.networks() {
            Ok(current) => current,
            Err(error) => return tracing::warn!(%error, "cannot list this host's networks"),
        };
        let gone = self.networks.keys().filter(|network| !current.contains(network)).cloned();
        for network in gone.collect::<Vec<_>>() {
            self.leave(&network).await;
        }
        for network in current {
            if !self.networks.contains_key(&network) {
                self.join(network).await;
            }
        }
    }

    async fn join(&mut self, network: Network) {
        let channel = self.switchboard.new_id();
        tracing::info!(interface = network.interface, address = %network.address, "broadcasting on a network");
        let line = Address::tcp_line((network.address, self.settings.line_port).into());
        let name = format!("{} ({})", network.interface, network.address);
        self.networks.insert(network, channel);
        self.switchboard.add(channel, Route::Network(self.outgoing.clone()));
        self.switchboard
            .report(ChannelEvent::Up {
                channel,
                medium: Medium::Broadcast { name, at: None, line: Some(line), capacity: Capacity::LAN },
            })
            .await;
    }

    async fn leave(&mut self, network: &Network) {
        if let Some(channel) = self.networks.remove(network) {
            tracing::info!(interface = network.interface, address = %network.address, "a network is gone");
            self.switchboard.remove(channel);
            self.switchboard.report(ChannelEvent::Down { channel }).await;
        }
    }

    async fn leave_all(&mut self) {
        for network in self.networks.keys().cloned().collect::<Vec<_>>() {
            self.leave(&network).await;
        }
    }

    async fn send(&self, datagram: &Datagram) {
        let network = self.networks.iter().find(|(_, channel)| **channel == datagram.channel);
        let Some((network, _)) = network else { return };
        let to = match datagram.target {
            Target::All => SocketAddr::from((network.broadcast, self.settings.port)),
            Target::Host(host) => host,
        };
        // Wi-Fi that is just gone, a full queue: the record is said again, or repaired.
        if let Err(error) = self.socket.send_to(datagram.line.as_bytes(), to).await {
            tracing::debug!(interface = network.interface, %error, "a datagram could not be sent");
        }
    }

    async fn receive(&self, bytes: &[u8], source: SocketAddr) {
        let SocketAddr::V4(v4) = source else { return };
        let network = self.networks.iter().find(|(network, _)| network.contains(*v4.ip()));
        // From a network that we are not on (any more): there is no channel to answer by.
        let Some((_, &channel)) = network else { return };
        let event = match Envelope::decode(bytes) {
            Ok(envelope) => {
                ChannelEvent::Received { channel, source: Some(source), envelope, bytes: bytes.len() }
            }
            Err(error) => {
                tracing::debug!(%source, %error, "a datagram that is no line");
                ChannelEvent::Malformed { channel }
            }
        };
        self.switchboard.report(event).await;
    }
}
