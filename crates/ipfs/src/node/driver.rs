//! The loop that drives a node: swarm events, commands of the handle, and the exchange of blocks.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitswap::engine::Statistics;
use cid::Cid;
use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::addresses::{self, Rules};
use super::connections::OpenConnections;
use super::dial_message::{dial_message, reason};
use super::exchange::{Delivery, Exchange, Request};
use super::housekeeping::Housekeeping;
use super::inbound::Inbound;
use super::limits::Limits;
use super::persistent::{PersistentLinks, PersistentPeer, Step, keep_alive};
use super::pubsub::{self, SubscribeError, Subscriptions, Topic};
use super::swarm::{self, Behaviour, BehaviourEvent};
use super::types::{ConnectError, ListenFailure, NodeConfig, StartError};
use super::worker::blocking;
use crate::store::Store;

/// How long stopping may wait for blocks that are being stored, and for the disk.
const SHUTDOWN: Duration = Duration::from_secs(2);
/// When places become few, a connection that was not used for this long may be closed.
const CROWDED_IDLE: Duration = Duration::from_secs(60);
/// The most listen failures that are remembered.
const MAX_FAILURES: usize = 64;

/// What the handle asks of the driver.
#[derive(Debug)]
pub(super) enum Command {
    Connect { peer: PeerId, addresses: Vec<Multiaddr>, reply: oneshot::Sender<Result<(), ConnectError>> },
    Want { cid: Cid, priority: i32, reply: oneshot::Sender<Delivery> },
    Stored { cid: Cid, size: usize },
    Subscribe { topic: String, reply: oneshot::Sender<Result<Topic, SubscribeError>> },
}

/// What the driver lets the handle see.
#[derive(Clone, Debug)]
pub(super) struct Reports {
    pub(super) listening: watch::Receiver<Vec<Multiaddr>>,
    pub(super) failures: watch::Receiver<Vec<ListenFailure>>,
    pub(super) connected: watch::Receiver<Arc<BTreeSet<PeerId>>>,
    pub(super) statistics: watch::Receiver<Statistics>,
    pub(super) persistent: watch::Receiver<Arc<Vec<PersistentPeer>>>,
}

type Replies = Vec<oneshot::Sender<Result<(), ConnectError>>>;

/// What makes a node go: [`Driver::run`] has to be awaited for as long as it is to live.
pub struct Driver {
    swarm: Swarm<Behaviour>,
    exchange: Exchange,
    store: Store,
    commands: mpsc::Receiver<Command>,
    persistent: PersistentLinks,
    subscriptions: Subscriptions,
    dialling: BTreeMap<PeerId, Replies>,
    rules: Rules,
    idle_timeout: Duration,
    max_connections: usize,
    housekeeping: Housekeeping,
    listening: watch::Sender<Vec<Multiaddr>>,
    failures: watch::Sender<Vec<ListenFailure>>,
    connected: watch::Sender<Arc<BTreeSet<PeerId>>>,
    statistics: watch::Sender<Statistics>,
    connections: OpenConnections,
    limits: Arc<Limits>,
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
        wanted: watch::Receiver<Vec<Multiaddr>>,
        limits: Arc<Limits>,
    ) -> Result<(Self, Reports), StartError> {
        let me = config.keypair.public().to_peer_id();
        let rules = Rules { allow_loopback: config.allow_loopback, is_private: config.network_key.is_some() };
        let persistent = PersistentLinks::new(me, rules.is_private, config.seed, wanted);
        let swarm = swarm::build(&config, keep_alive::Behaviour::new(persistent.chosen()))?;
        let listen = swarm::listen_addresses(&config);
        let control = swarm.behaviour().outbound.new_control();
        let exchange = Exchange::new(config.bitswap, me, store.clone(), control, limits.clone());
        let mut driver = Self {
            swarm,
            exchange,
            store,
            commands,
            persistent,
            subscriptions: Subscriptions::default(),
            dialling: BTreeMap::new(),
            rules,
            idle_timeout: config.idle_timeout,
            max_connections: usize::try_from(config.max_connections).unwrap_or(usize::MAX),
            housekeeping: Housekeeping::new(config.idle_timeout.min(CROWDED_IDLE)),
            listening: watch::Sender::default(),
            failures: watch::Sender::default(),
            connected: watch::Sender::default(),
            statistics: watch::Sender::default(),
            connections: OpenConnections::default(),
            limits,
        };
        listen.into_iter().for_each(|address| driver.listen(address));
        let reports = driver.reports();
        Ok((driver, reports))
    }

    fn reports(&self) -> Reports {
        Reports {
            listening: self.listening.subscribe(),
            failures: self.failures.subscribe(),
            connected: self.connected.subscribe(),
            statistics: self.statistics.subscribe(),
            persistent: self.persistent.told(),
        }
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
                step = self.persistent.step() => self.persist(step),
                (topic, data) = self.subscriptions.next_publication() => {
                    pubsub::publish(&topic, data, &mut self.swarm.behaviour_mut().pubsub);
                }
                () = self.housekeeping.wait() => {
                    self.tidy();
                    continue;
                }
            }
            self.housekeeping.happened();
            self.answer_requests();
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
        match timeout(SHUTDOWN, blocking(move || store.sync())).await {
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
        self.subscriptions.tidy(&mut self.swarm.behaviour_mut().pubsub);
        self.close_unused();
        let statistics = self.exchange.statistics();
        self.statistics.send_if_modified(|told| std::mem::replace(told, statistics) != statistics);
        self.connections.tidy();
        let has_connections = self.swarm.connected_peers().next().is_some();
        self.housekeeping.done(has_connections || !self.subscriptions.is_empty());
        self.answer_requests();
    }

    fn answer_requests(&mut self) {
        for request in self.exchange.take_requests() {
            match request {
                Request::Reconnect(peer) => self.reconnect(peer),
                Request::LeaveAside(peer, reason) => {
                    tracing::warn!(%peer, reason, "a peer is left aside");
                    self.connections.leave_aside(peer);
                    let _ = self.swarm.disconnect_peer_id(peer);
                }
            }
        }
    }

    /// Dials a peer with whom a connection is open that carries nothing; the old one is closed when the new one is there.
    fn reconnect(&mut self, peer: PeerId) {
        let addresses = self.connections.renew(peer);
        if addresses.is_empty() {
            return;
        }
        tracing::debug!(%peer, "its connection carries nothing: another is tried");
        let options = DialOpts::peer_id(peer).condition(PeerCondition::NotDialing).addresses(addresses);
        let _ = self.swarm.dial(options.build());
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Connect { peer, addresses, reply } => self.connect(peer, addresses, reply),
            Command::Want { cid, priority, reply } => self.exchange.want(cid, priority, reply),
            Command::Stored { cid, size } => self.exchange.stored(&cid, size),
            Command::Subscribe { topic, reply } => {
                let gossip = &mut self.swarm.behaviour_mut().pubsub;
                let _ = reply.send(self.subscriptions.subscribe(topic, gossip));
            }
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
        if self.connections.is_left_aside(&peer) {
            let reason = "it is left aside for a while, since it misbehaved".to_owned();
            let _ = reply.send(Err(ConnectError::Failed(peer, reason)));
            return;
        }
        let addresses = addresses::usable(given, self.rules);
        if addresses.is_empty() {
            let _ = reply.send(Err(ConnectError::NoUsableAddress(peer)));
            return;
        }
        match self.dial(peer, addresses) {
            // A dial that is under way already answers this one too.
            Ok(()) | Err(DialError::DialPeerConditionFalse(_)) => {
                self.dialling.entry(peer).or_default().push(reply);
            }
            Err(error) => drop(reply.send(Err(ConnectError::Failed(peer, reason(&error))))),
        }
    }

    fn dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<(), DialError> {
        let condition = PeerCondition::DisconnectedAndNotDialing;
        self.swarm.dial(DialOpts::peer_id(peer).condition(condition).addresses(addresses).build())
    }

    fn persist(&mut self, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Changed => {
                let (added, removed) = self.persistent.change(|peer| self.swarm.is_connected(peer));
                let limits = &mut self.swarm.behaviour_mut().limits;
                // Whom somebody chose gets in though all places are taken.
                added.iter().for_each(|peer| limits.bypass_peer_id(peer));
                removed.iter().for_each(|peer| limits.remove_peer_id(peer));
            }
            Step::Dial(peer, _) if self.swarm.is_connected(&peer) => self.persistent.connected(&peer),
            Step::Dial(peer, addresses) => match self.dial(peer, addresses) {
                // Its end is reported as that of any other dial.
                Ok(()) | Err(DialError::DialPeerConditionFalse(_)) => {}
                Err(error) => self.persistent.failed(&peer, dial_message(&error, self.rules.is_private)),
            },
        }
    }

    /// Closes connections that nobody uses. Gossipsub holds a stream on each, so none ends by itself; those with whom
    /// a topic is shared stay, unless places become few.
    fn close_unused(&mut self) {
        let unused = self.exchange.unused_for(self.idle_timeout.min(CROWDED_IDLE));
        if unused.is_empty() {
            return;
        }
        let gossip = &self.swarm.behaviour().pubsub;
        let (chosen, sharers, mesh) = (self.persistent.chosen(), gossip.sharers(), gossip.mesh());
        let is_crowded = self.connected.borrow().len() > self.max_connections - self.max_connections / 8;
        let may_go = |(peer, idle): &&(PeerId, Duration)| {
            let is_shared = if is_crowded { mesh.contains(peer) } else { sharers.contains(peer) };
            !is_shared && !chosen.borrow().contains(peer) && (is_crowded || *idle >= self.idle_timeout)
        };
        let longest = unused.iter().filter(may_go).max_by_key(|(_, idle)| *idle);
        if let Some((peer, idle)) = longest.copied() {
            tracing::debug!(%peer, ?idle, "an unused connection is closed");
            let _ = self.swarm.disconnect_peer_id(peer);
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
            SwarmEvent::Behaviour(BehaviourEvent::Pubsub(event)) => {
                self.subscriptions.gossip_event(event, &mut self.swarm.behaviour_mut().pubsub);
            }
            SwarmEvent::ConnectionEstablished {
                peer_id, connection_id, num_established, endpoint, ..
            } => {
                self.limits.opened(peer_id, connection_id, endpoint.get_remote_address());
                for old in self.connections.established(Instant::now(), peer_id, connection_id, &endpoint) {
                    self.swarm.close_connection(old);
                    self.exchange.renewed(peer_id);
                }
                if self.connections.is_left_aside(&peer_id) {
                    let _ = self.swarm.disconnect_peer_id(peer_id);
                }
                self.connection_established(peer_id, num_established.get(), &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, cause, .. } => {
                self.connections.closed(&peer_id, connection_id);
                self.limits.closed(&peer_id, connection_id);
                if num_established > 0 {
                    return;
                }
                let cause = cause.map_or_else(|| "it was closed".to_owned(), |cause| reason(&cause));
                self.connection_closed(peer_id, cause);
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => {
                tracing::debug!(%peer, %error, "not reached");
                if !self.swarm.is_connected(&peer) {
                    self.persistent.failed(&peer, dial_message(&error, self.rules.is_private));
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
            self.persistent.connected(&peer);
        }
        self.dialled(peer, &Ok(()));
    }

    fn connection_closed(&mut self, peer: PeerId, cause: String) {
        tracing::debug!(%peer, cause, "disconnected");
        self.connected.send_modify(|peers| {
            Arc::make_mut(peers).remove(&peer);
        });
        self.exchange.disconnected(peer);
        self.subscriptions.count_peers(&self.swarm.behaviour().pubsub);
        self.persistent.disconnected(&peer, format!("the connection broke: {cause}"));
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
