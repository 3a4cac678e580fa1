//! The event loop of a node: events of the swarm, commands of the handle, and the exchange of blocks.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitswap::engine::Statistics;
use cid::Cid;
use futures::StreamExt;
use libp2p::{Multiaddr, PeerId, Swarm};
use targets::Targets;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::addresses::Rules;
use super::connections::OpenConnections;
use super::dial_message::root;
use super::dials::Dials;
use super::exchange::{Delivery, Exchange, Request};
use super::housekeeping::Housekeeping;
use super::limits::Limits;
use super::observed::Observed;
use super::paths::SharedPaths;
use super::persistent::{PersistentLinks, PersistentPeer, Step, keep_alive};
use super::probes::Probes;
use super::pubsub::{self, SubscribeError, Subscriptions, Topic};
use super::punch::Punches;
use super::reachability::Reachability;
use super::reachability::outside::{Outside, RouterPort};
use super::relay::served::Served;
use super::relay::slots::Slots;
use super::service_streams::ServiceStreams;
use super::swarm::{self, Behaviour};
use super::types::{ConnectError, ListenFailure, NodeConfig, StartError, Zones};
use super::waiting_dials::WaitingDials;
use super::worker::blocking;
use crate::store::Store;

mod checking;
mod connecting;
mod events;
mod relaying;

use relaying::Identity;

/// Maximum time that stopping waits for blocks that are being stored, and again for the final sync.
const SHUTDOWN: Duration = Duration::from_secs(2);
/// Idle time after which a connection may be closed when most connection slots are used.
const CROWDED_IDLE: Duration = Duration::from_secs(60);
/// Maximum number of listen failures that are remembered.
const MAX_FAILURES: usize = 64;

/// A command of the handle to the driver.
#[derive(Debug)]
pub(super) enum Command {
    Connect { peer: PeerId, addresses: Vec<Multiaddr>, reply: oneshot::Sender<Result<(), ConnectError>> },
    Want { cid: Cid, priority: i32, reply: oneshot::Sender<Delivery> },
    Stored { cid: Cid, size: usize },
    Subscribe { topic: String, reply: oneshot::Sender<Result<Topic, SubscribeError>> },
    RouterPort(RouterPort),
}

/// State of the driver that the handle can read.
#[derive(Clone, Debug)]
pub(super) struct Reports {
    pub(super) listening: watch::Receiver<Vec<Multiaddr>>,
    pub(super) failures: watch::Receiver<Vec<ListenFailure>>,
    pub(super) connected: watch::Receiver<Arc<BTreeSet<PeerId>>>,
    pub(super) statistics: watch::Receiver<Statistics>,
    pub(super) persistent: watch::Receiver<Arc<Vec<PersistentPeer>>>,
    pub(super) streams: ServiceStreams,
    pub(super) relayed: watch::Receiver<Vec<Multiaddr>>,
    pub(super) paths: watch::Receiver<SharedPaths>,
    pub(super) outside: watch::Receiver<Outside>,
}

/// The future that runs a node: [`Driver::run`] must be awaited as long as the node is to work.
pub struct Driver {
    swarm: Swarm<Behaviour>,
    exchange: Exchange,
    store: Store,
    commands: mpsc::Receiver<Command>,
    persistent: PersistentLinks,
    subscriptions: Subscriptions,
    dials: Dials,
    waiting_dials: WaitingDials,
    /// Addresses that other peers named and that this node dialled recently.
    targets: Targets<PeerId>,
    started: Instant,
    probes: Probes,
    zones: Zones,
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
    is_relay: bool,
    served: Served,
    slots: Slots,
    /// The statements of each connected peer about itself and this node.
    identities: BTreeMap<PeerId, Identity>,
    observed: Observed,
    punches: Punches,
    reachability: Reachability,
    /// Time at which relayed connections are closed, because direct ones exist.
    settled: Option<Instant>,
    relayed: watch::Sender<Vec<Multiaddr>>,
    paths: watch::Sender<SharedPaths>,
    outside: watch::Sender<Outside>,
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
        let swarm =
            swarm::build(&config, keep_alive::Behaviour::new(persistent.chosen()), persistent.chosen())?;
        let listen = swarm::listen_addresses(&config);
        let control = swarm.behaviour().outbound.new_control();
        let punches = Punches::new(control.clone());
        let network_key = config.network_key.as_ref().map(|key| key.0);
        let reachability = Reachability::new(control.clone(), network_key, config.relay.clone());
        let exchange = Exchange::new(config.bitswap, me, store.clone(), control, limits.clone());
        let mut driver = Self {
            swarm,
            exchange,
            store,
            commands,
            persistent,
            subscriptions: Subscriptions::default(),
            dials: Dials::default(),
            waiting_dials: WaitingDials::default(),
            targets: Targets::default(),
            started: Instant::now(),
            probes: Probes::default(),
            zones: config.zones,
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
            is_relay: config.relay.is_some(),
            served: Served::default(),
            slots: Slots::default(),
            identities: BTreeMap::new(),
            observed: Observed::default(),
            punches,
            reachability,
            settled: None,
            relayed: watch::Sender::default(),
            paths: watch::Sender::default(),
            outside: watch::Sender::default(),
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
            streams: self.service_streams(),
            relayed: self.relayed.subscribe(),
            paths: self.paths.subscribe(),
            outside: self.outside.subscribe(),
        }
    }

    fn service_streams(&self) -> ServiceStreams {
        let behaviour = self.swarm.behaviour();
        let (control, registry) = (behaviour.outbound.new_control(), behaviour.service.registry());
        ServiceStreams::new(control, registry, self.limits.clone())
    }

    /// Runs the node until `shutdown` is cancelled. Then blocks that have arrived are stored and made durable, within a
    /// few seconds. Dropping the future stops the node at once.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let observed = self.observed.addresses(&self.listening.borrow());
            let (waiting_due, next_check, next_slot) =
                (self.waiting_due(), self.next_check(), self.next_slot());
            let (started, connections) = (self.started, &self.connections);
            tokio::select! {
                () = shutdown.cancelled() => break,
                event = self.swarm.select_next_some() => self.swarm_event(event),
                Some(command) = self.commands.recv() => self.command(command),
                () = self.exchange.step() => {}
                step = self.persistent.step() => self.persist(step),
                probed = self.probes.next() => self.probed(&probed),
                punch = self.punches.next(&observed) => self.punch(punch),
                event = self.reachability.next(|| started.elapsed(), |peer| connections.source(peer)) => {
                    self.reachability_event(event);
                }
                () = relaying::wait_until(next_check) => self.check_addresses(),
                () = relaying::wait_until(next_slot) => self.ask_relays(),
                () = relaying::wait_until(self.settled) => self.close_superseded(),
                () = relaying::wait_until(waiting_due) => self.dial_waiting(),
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
            tracing::warn!("not all received blocks could be stored in time; they will be fetched again");
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
            self.listen_failed(address, root(&error));
        }
    }

    fn listen_failed(&self, address: Multiaddr, reason: String) {
        tracing::debug!(%address, reason, "cannot listen on this address");
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
                Request::Reconnect(peer) => {
                    self.probe(peer);
                    self.reconnect(peer);
                }
                Request::LeaveAside(peer, reason) => {
                    tracing::warn!(%peer, reason, "banning a peer for ten minutes because it misbehaved");
                    self.connections.leave_aside(peer);
                    let _ = self.swarm.disconnect_peer_id(peer);
                }
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Connect { peer, addresses, reply } => self.connect(peer, addresses, reply),
            Command::Want { cid, priority, reply } => self.exchange.want(cid, priority, reply),
            Command::RouterPort(port) => {
                self.reachability.set_router_port(port);
                self.use_observed();
            }
            Command::Stored { cid, size } => self.exchange.stored(&cid, size),
            Command::Subscribe { topic, reply } => {
                let gossip = &mut self.swarm.behaviour_mut().pubsub;
                let _ = reply.send(self.subscriptions.subscribe(topic, gossip));
            }
        }
    }

    fn persist(&mut self, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Changed => {
                let (added, removed) = self.persistent.change(|peer| self.swarm.is_connected(peer));
                let limits = &mut self.swarm.behaviour_mut().limits;
                // A persistent peer may connect even if all connection slots are used.
                added.iter().for_each(|peer| limits.bypass_peer_id(peer));
                removed.iter().for_each(|peer| limits.remove_peer_id(peer));
                removed.iter().for_each(|peer| self.leave_relay(peer));
                added.iter().for_each(|peer| self.use_identity(peer));
            }
            Step::Dial(peer, addresses) => {
                let kept = self.waiting_dials.keep(
                    peer,
                    addresses,
                    &self.listening.borrow(),
                    self.started.elapsed(),
                );
                if let Some(addresses) = kept {
                    self.dial_persistent(peer, addresses);
                }
            }
        }
    }

    /// Closes the connection that was unused for the longest time. Gossipsub holds a stream on each connection, so none
    /// ends by itself. Connections with peers that share a topic stay open, unless slots become few.
    fn close_unused(&mut self) {
        let unused = self.exchange.unused_for(self.idle_timeout.min(CROWDED_IDLE));
        if unused.is_empty() {
            return;
        }
        let gossip = &self.swarm.behaviour().pubsub;
        let (chosen, sharers, mesh) = (self.persistent.chosen(), gossip.sharers(), gossip.mesh());
        let services = self.swarm.behaviour().service.registry();
        let relays = self.connections.relays();
        let is_crowded = self.connected.borrow().len() > self.max_connections - self.max_connections / 8;
        let may_go = |(peer, idle): &&(PeerId, Duration)| {
            let is_shared = if is_crowded { mesh.contains(peer) } else { sharers.contains(peer) };
            let is_relaying = self.served.has(peer) || relays.contains(peer);
            let is_kept = chosen.borrow().contains(peer) || services.is_in_use(peer);
            !is_shared && !is_relaying && !is_kept && (is_crowded || *idle >= self.idle_timeout)
        };
        let longest = unused.iter().filter(may_go).max_by_key(|(_, idle)| *idle);
        if let Some((peer, idle)) = longest.copied() {
            tracing::debug!(%peer, ?idle, "closing an unused connection");
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }
}
