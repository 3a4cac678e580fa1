//! The loop that drives a node: swarm events, commands of the handle, and the exchange of blocks.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bitswap::engine::Statistics;
use cid::Cid;
use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{DialError, NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, connection_limits, identify, noise, ping, tcp, yamux};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Interval, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::exchange::{Delivery, Exchange};
use super::inbound::{self, Inbound};
use super::{ConnectError, ListenFailure, NodeConfig, StartError, addresses, streams};
use crate::store::Store;

/// How long stopping may wait for blocks that are being stored, and for the disk.
const SHUTDOWN: Duration = Duration::from_secs(2);
/// How often what is forgotten is tidied up, and statistics are told.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// The most listen failures that are remembered.
const MAX_FAILURES: usize = 64;

/// What the handle asks of the driver.
#[derive(Debug)]
pub(super) enum Command {
    Connect { peer: PeerId, addresses: Vec<Multiaddr>, reply: oneshot::Sender<Result<(), ConnectError>> },
    Want { cid: Cid, reply: oneshot::Sender<Delivery> },
    Stored { cid: Cid, size: usize },
}

/// What the driver lets the handle see.
#[derive(Clone, Debug)]
pub(super) struct Reports {
    pub(super) listening: watch::Receiver<Vec<Multiaddr>>,
    pub(super) failures: watch::Receiver<Vec<ListenFailure>>,
    pub(super) connected: watch::Receiver<Arc<BTreeSet<PeerId>>>,
    pub(super) statistics: watch::Receiver<Statistics>,
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    limits: connection_limits::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    outbound: libp2p_stream::Behaviour,
    inbound: inbound::Behaviour,
}

type Replies = Vec<oneshot::Sender<Result<(), ConnectError>>>;

/// What makes a node go: [`Driver::run`] has to be awaited for as long as it is to live.
pub struct Driver {
    swarm: Swarm<Behaviour>,
    exchange: Exchange,
    store: Store,
    commands: mpsc::Receiver<Command>,
    dialling: BTreeMap<PeerId, Replies>,
    allow_loopback: bool,
    housekeeping: Interval,
    listening: watch::Sender<Vec<Multiaddr>>,
    failures: watch::Sender<Vec<ListenFailure>>,
    connected: watch::Sender<Arc<BTreeSet<PeerId>>>,
    statistics: watch::Sender<Statistics>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Driver").field("peer_id", self.swarm.local_peer_id()).finish_non_exhaustive()
    }
}

impl Driver {
    pub(super) fn new(
        config: NodeConfig,
        store: Store,
        commands: mpsc::Receiver<Command>,
    ) -> Result<(Self, Reports), StartError> {
        let swarm = build_swarm(&config)?;
        let control = swarm.behaviour().outbound.new_control();
        let exchange = Exchange::new(config.bitswap, config.seed, store.clone(), control);
        let mut driver = Self {
            swarm,
            exchange,
            store,
            commands,
            dialling: BTreeMap::new(),
            allow_loopback: config.allow_loopback,
            housekeeping: interval(HOUSEKEEPING),
            listening: watch::Sender::default(),
            failures: watch::Sender::default(),
            connected: watch::Sender::default(),
            statistics: watch::Sender::default(),
        };
        config.listen.into_iter().for_each(|address| driver.listen(address));
        let reports = Reports {
            listening: driver.listening.subscribe(),
            failures: driver.failures.subscribe(),
            connected: driver.connected.subscribe(),
            statistics: driver.statistics.subscribe(),
        };
        Ok((driver, reports))
    }

    /// Drives the node until `shutdown` is cancelled; then what has arrived is stored and made durable, within a few
    /// seconds. Dropping the future stops the node at once.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                event = self.swarm.select_next_some() => self.swarm_event(event),
                Some(command) = self.commands.recv() => self.command(command),
                () = self.exchange.step() => {}
                _ = self.housekeeping.tick() => self.tidy(),
            }
        }
        self.stop().await;
    }

    async fn stop(mut self) {
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        if timeout(SHUTDOWN, self.exchange.finish()).await.is_err() {
            tracing::warn!("not all blocks that arrived could be stored in time; they will be fetched again");
        }
        let store = self.store.clone();
        match timeout(SHUTDOWN, super::blocking(move || store.sync())).await {
            Ok(Err(error)) => tracing::warn!(%error, "the blocks were not made durable"),
            Err(_) => tracing::warn!("the disk is slow: blocks that are not pinned are not durable yet"),
            Ok(Ok(())) => {}
        }
    }

    fn listen(&mut self, address: Multiaddr) {
        if let Err(error) = self.swarm.listen_on(address.clone()) {
            self.listen_failed(address, reason(&error));
        }
    }

    fn listen_failed(&self, address: Multiaddr, reason: String) {
        tracing::warn!(%address, reason, "cannot listen here");
        self.failures.send_modify(|failures| {
            if failures.len() < MAX_FAILURES {
                failures.push(ListenFailure { address, reason });
            }
        });
    }

    fn tidy(&mut self) {
        self.exchange.tidy();
        let statistics = self.exchange.statistics();
        self.statistics.send_if_modified(|told| std::mem::replace(told, statistics) != statistics);
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Connect { peer, addresses, reply } => self.connect(peer, addresses, reply),
            Command::Want { cid, reply } => self.exchange.want(cid, reply),
            Command::Stored { cid, size } => self.exchange.stored(&cid, size),
        }
    }

    fn connect(
        &mut self,
        peer: PeerId,
        given: Vec<Multiaddr>,
        reply: oneshot::Sender<Result<(), ConnectError>>,
    ) {
        if self.swarm.is_connected(&peer) {
            let _ = reply.send(Ok(()));
            return;
        }
        let addresses = addresses::usable(given, self.allow_loopback);
        if addresses.is_empty() {
            let _ = reply.send(Err(ConnectError::NoUsableAddress(peer)));
            return;
        }
        let condition = PeerCondition::DisconnectedAndNotDialing;
        match self.swarm.dial(DialOpts::peer_id(peer).condition(condition).addresses(addresses).build()) {
            // A dial that is under way already answers this one too.
            Ok(()) | Err(DialError::DialPeerConditionFalse(_)) => {
                self.dialling.entry(peer).or_default().push(reply);
            }
            Err(error) => drop(reply.send(Err(ConnectError::Failed(peer, reason(&error))))),
        }
    }

    fn dialled(&mut self, peer: PeerId, result: &Result<(), ConnectError>) {
        for reply in self.dialling.remove(&peer).into_iter().flatten() {
            let _ = reply.send(result.clone());
        }
    }

    fn swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Inbound(Inbound { peer, stream })) => {
                self.exchange.opened(peer, stream);
            }
            SwarmEvent::ConnectionEstablished { peer_id, num_established, endpoint, .. } => {
                self.connection_established(peer_id, num_established.get(), &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, cause, .. } => {
                tracing::debug!(peer = %peer_id, ?cause, "disconnected");
                self.connected.send_modify(|peers| {
                    Arc::make_mut(peers).remove(&peer_id);
                });
                self.exchange.disconnected(peer_id);
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => {
                tracing::debug!(%peer, %error, "not reached");
                if !self.swarm.is_connected(&peer) {
                    self.dialled(peer, &Err(ConnectError::Failed(peer, reason(&error))));
                }
            }
            listener_event => self.listener_event(listener_event),
        }
    }

    fn connection_established(&mut self, peer: PeerId, count: u32, endpoint: &ConnectedPoint) {
        tracing::debug!(%peer, address = %endpoint.get_remote_address(), count, "connected");
        if count == 1 {
            self.connected.send_modify(|peers| {
                Arc::make_mut(peers).insert(peer);
            });
            self.exchange.connected(peer);
        }
        self.dialled(peer, &Ok(()));
    }

    fn listener_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => self.listening.send_modify(|all| all.push(address)),
            SwarmEvent::ExpiredListenAddr { address, .. } => self.stopped_listening(&[address]),
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                self.stopped_listening(&addresses);
                let reason =
                    reason.err().map_or_else(|| "the listener closed".to_owned(), |error| error.to_string());
                addresses.into_iter().for_each(|address| self.listen_failed(address, reason.clone()));
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener has trouble"),
            _ => {}
        }
    }

    fn stopped_listening(&self, gone: &[Multiaddr]) {
        self.listening.send_modify(|all| all.retain(|address| !gone.contains(address)));
    }
}

/// An error with all its causes in one line.
fn reason(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn build_swarm(config: &NodeConfig) -> Result<Swarm<Behaviour>, StartError> {
    let idle_timeout = config.idle_timeout;
    let builder = SwarmBuilder::with_existing_identity(config.keypair.clone())
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_quic();
    let Ok(built) = builder.with_behaviour(|_| behaviour(config));
    Ok(built.with_swarm_config(|swarm| swarm.with_idle_connection_timeout(idle_timeout)).build())
}

fn behaviour(config: &NodeConfig) -> Behaviour {
    let identify = identify::Config::new("/ipfs/0.1.0".to_owned(), config.keypair.public())
        .with_agent_version(concat!("dt-swarm/", env!("CARGO_PKG_VERSION")).to_owned())
        // Only addresses that a peer signed in a record are dialled.
        .with_cache_size(0);
    Behaviour {
        limits: connection_limits::Behaviour::new(limits(config)),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::default(),
        outbound: libp2p_stream::Behaviour::new(),
        inbound: inbound::Behaviour::new(streams::PROTOCOL),
    }
}

fn limits(config: &NodeConfig) -> connection_limits::ConnectionLimits {
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(32))
        .with_max_pending_outgoing(Some(64))
        .with_max_established(Some(config.max_connections))
        .with_max_established_per_peer(Some(config.max_connections_per_peer))
}
