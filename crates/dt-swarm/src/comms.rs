//! Runs the brain with its channels. Both are restarted together, because a new brain does not know the channels of the
//! earlier one.

use crate::plan::{MeetingPoints, Plan};
use crate::shared::{Shared, key_of};
use channels::{
    BindError, IrcSettings, PubsubEnds, PubsubSettings, Switchboard, TcpSettings, UdpSettings, Wire, run_irc,
    run_pubsub, run_tcp, run_udp,
};
use ipfs::node::{ListenFailure, Node, PersistentPeer, PersistentPeerState};
use rand::TryRng as _;
use routing::{Address, ChannelEvent};
use seal::{Sealer, SwarmKey};
use service::supervise;
use std::collections::BTreeMap;
use std::time::Duration;
use swarm::{Driver, DriverError};
use telemetry::{FaultReport, faults, report};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Maximum number of channel events that wait for the brain.
const MAX_EVENTS: usize = 1024;
/// Delay before the next attempt to subscribe to a topic.
const AGAIN: Duration = Duration::from_secs(1);

/// Reason why the brain and its channels ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommsError {
    #[error(transparent)]
    Driver(#[from] DriverError),
    #[error("the system provides no random bytes: {0}")]
    Random(std::io::Error),
}

/// Runs the brain and its channels until the daemon stops. A channel that fails is restarted while the other channels
/// continue. When the swarm key or the meeting points change, the brain and all channels are restarted.
pub(crate) async fn run_comms(driver: &Driver, shared: Shared) -> Result<(), CommsError> {
    let (mut membership, mut plan) = (shared.membership.subscribe(), shared.plan.subscribe());
    while !shared.stop.is_cancelled() {
        let key = key_of(&membership);
        let rooms = plan.borrow_and_update().rooms.clone();
        let stop = shared.stop.child_token();
        let life =
            Life { shared: shared.clone(), key: key.clone(), rooms: rooms.clone(), stop: stop.clone() };
        let (run, changed) = (life.run(driver), until_changed(&mut membership, &mut plan, &key, &rooms));
        tokio::pin!(run, changed);
        tokio::select! {
            ended = &mut run => return ended,
            () = &mut changed => {
                tracing::info!("the swarm key or the meeting points changed: the channels are restarted");
                stop.cancel();
                // The driver writes its waiting records to the disk before it ends.
                run.await?;
            }
        }
    }
    Ok(())
}

async fn until_changed(
    membership: &mut watch::Receiver<Option<dcache::SwarmFile>>,
    plan: &mut watch::Receiver<Plan>,
    key: &Option<SwarmKey>,
    rooms: &MeetingPoints,
) {
    loop {
        tokio::select! {
            Ok(()) = membership.changed() => {}
            Ok(()) = plan.changed() => {}
            else => std::future::pending().await,
        }
        if key_of(membership) != *key || plan.borrow_and_update().rooms != *rooms {
            return;
        }
    }
}

/// The channels between two restarts.
struct Life {
    shared: Shared,
    key: Option<SwarmKey>,
    rooms: MeetingPoints,
    stop: CancellationToken,
}

impl Life {
    async fn run(self, driver: &Driver) -> Result<(), CommsError> {
        let (reports, events) = mpsc::channel(MAX_EVENTS);
        let switchboard = Switchboard::new(reports);
        // The channels end when this future is dropped.
        let mut channels = JoinSet::new();
        self.spawn_udp(&mut channels, &switchboard)?;
        self.spawn_tcp(&mut channels, &switchboard);
        self.spawn_irc(&mut channels, &switchboard)?;
        self.spawn_pubsub(&mut channels, &switchboard)?;
        channels.spawn(report_nodes(self.shared.node.subscribe(), switchboard.clone()));
        channels.spawn(report_machine(self.shared.machine_fault.subscribe(), switchboard.clone()));
        Ok(driver.run(events, switchboard, self.stop.clone()).await?)
    }

    /// Makes the wire format of one channel. With a key, each channel gets its own sealer, and so its own nonces.
    fn wire(&self) -> Result<Wire, CommsError> {
        let Some(key) = &self.key else { return Ok(Wire::plain()) };
        let mut boot = [0; seal::BOOT_BYTES];
        let random = rand::rngs::SysRng.try_fill_bytes(&mut boot);
        random.map_err(|error| CommsError::Random(std::io::Error::other(error)))?;
        Ok(Wire::sealed(Sealer::new(key, boot)))
    }

    fn spawn_udp(&self, channels: &mut JoinSet<()>, switchboard: &Switchboard) -> Result<(), CommsError> {
        let (port, line_port) = (self.shared.config.udp_port, self.shared.config.tcp_port);
        let (peers, interfaces) =
            (follow(channels, &self.shared.plan, |plan| plan.udp.clone()), self.shared.choice.clone());
        let heard = self.shared.heard.clone();
        let known = follow(channels, &self.shared.plan, |plan| plan.known.clone());
        let (nearby, wire) = (self.shared.nearby.subscribe(), self.wire()?);
        let udp = UdpSettings { port, line_port, interfaces, peers, known, nearby, heard, wire };
        let board = switchboard.clone();
        channels.spawn(supervise("udp", self.stop.clone(), move || {
            run_reporting_faults("udp", board.clone(), run_udp(udp.clone(), board.clone()))
        }));
        Ok(())
    }

    fn spawn_tcp(&self, channels: &mut JoinSet<()>, switchboard: &Switchboard) {
        let peers = follow(channels, &self.shared.plan, |plan| plan.tcp.clone());
        let (port, key) = (self.shared.config.tcp_port, self.key.clone());
        let is_open = self.shared.is_line_port_open.clone();
        let tcp = TcpSettings { port, key, peers, is_open, ..TcpSettings::default() };
        let board = switchboard.clone();
        channels.spawn(supervise("tcp", self.stop.clone(), move || {
            run_reporting_faults("tcp", board.clone(), run_tcp(tcp.clone(), board.clone()))
        }));
    }

    fn spawn_irc(&self, channels: &mut JoinSet<()>, switchboard: &Switchboard) -> Result<(), CommsError> {
        for at in &self.rooms.irc {
            let (hostname, me) = (self.shared.facts.borrow().hostname.clone(), self.shared.keypair.peer_id());
            let Some(mut settings) = IrcSettings::at(at, &hostname, me) else { continue };
            settings.wire = self.wire()?;
            let board = switchboard.clone();
            channels.spawn(supervise("irc", self.stop.clone(), move || {
                let (settings, board) = (settings.clone(), board.clone());
                async move { run_irc(settings, board).await.map(|never| match never {}) }
            }));
        }
        Ok(())
    }

    fn spawn_pubsub(&self, channels: &mut JoinSet<()>, switchboard: &Switchboard) -> Result<(), CommsError> {
        for topic in &self.rooms.topics {
            let Ok(at) = Address::pubsub_line(topic) else { continue };
            let settings = PubsubSettings { topic: topic.clone(), at, wire: self.wire()? };
            channels.spawn(meet(settings, self.shared.node.subscribe(), switchboard.clone()));
        }
        Ok(())
    }
}

/// Subscribes to a topic and runs its channel. Subscribes again when the IPFS node is replaced or the subscription ends.
async fn meet(settings: PubsubSettings, mut node: watch::Receiver<Option<Node>>, switchboard: Switchboard) {
    loop {
        let Ok(node) = node.wait_for(Option::is_some).await.map(|node| node.clone()) else { return };
        let Some(node) = node else { continue };
        match node.subscribe(&settings.topic).await {
            Ok(topic) => {
                let ends =
                    PubsubEnds { publish: topic.publish, messages: topic.messages, peers: topic.peers };
                run_pubsub(settings.clone(), ends, switchboard.clone()).await;
            }
            Err(error) => tracing::debug!(topic = settings.topic, %error, "not subscribed"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Reports two kinds of faults to the brain: nodes of the plan that cannot be reached, and ports of this node that
/// another program uses.
async fn report_nodes(mut node: watch::Receiver<Option<Node>>, switchboard: Switchboard) {
    let mut told = BTreeMap::new();
    loop {
        let Ok(Some(node)) = node.wait_for(Option::is_some).await.map(|node| node.clone()) else { return };
        let (mut kept, mut failures) = (node.persistent_peers(), node.listen_errors());
        loop {
            let mut now = troubles(&kept.borrow_and_update());
            let taken = failures.borrow_and_update().clone();
            now.extend(taken.iter().filter(|failure| failure.is_port_taken()).map(not_listening));
            let over =
                told.keys().filter(|name| !now.contains_key(*name)).map(|name: &String| (name.clone(), None));
            let new = now.iter().filter(|(name, fault)| told.get(*name) != Some(*fault));
            let new = new.map(|(name, fault)| (name.clone(), Some(fault.clone())));
            for (name, fault) in over.chain(new).collect::<Vec<_>>() {
                switchboard.report(ChannelEvent::Trouble { name, fault }).await;
            }
            told = now;
            // Both channels close when the node ends.
            let changed = tokio::select! {
                changed = kept.changed() => changed,
                changed = failures.changed() => changed,
            };
            if changed.is_err() {
                break;
            }
        }
    }
}

/// Reports to the brain whether this identity was used on another machine before.
async fn report_machine(mut fault: watch::Receiver<Option<FaultReport>>, switchboard: Switchboard) {
    loop {
        let now = fault.borrow_and_update().clone();
        switchboard.report(ChannelEvent::Trouble { name: "machine".to_owned(), fault: now }).await;
        if fault.changed().await.is_err() {
            return;
        }
    }
}

fn troubles(kept: &[PersistentPeer]) -> BTreeMap<String, FaultReport> {
    let fault = |peer: &PersistentPeer| match &peer.state {
        PersistentPeerState::Failed(error) => Some(report!(faults::IPFS_PEER_UNREACHABLE, error = error)),
        PersistentPeerState::Unfit(error) => Some(report!(faults::IPFS_PEER_ADDRESS_INVALID, error = error)),
        PersistentPeerState::Dialling | PersistentPeerState::Connected => None,
    };
    kept.iter().filter_map(|peer| Some((format!("ipfs {}", peer.address), fault(peer)?))).collect()
}

/// Returns the name and the report of the fault that the IPFS node cannot listen at an address.
pub(crate) fn not_listening(failure: &ListenFailure) -> (String, FaultReport) {
    let ListenFailure { address, reason } = failure;
    let fault = report!(faults::IPFS_PORT_UNAVAILABLE, address = address, error = reason);
    (format!("ipfs {address}"), fault)
}

/// Returns a receiver for one part of the plan, which changes only when that part changes.
fn follow<T: Clone + Default + PartialEq + Send + Sync + 'static>(
    tasks: &mut JoinSet<()>,
    plan: &watch::Sender<Plan>,
    part: fn(&Plan) -> T,
) -> watch::Receiver<T> {
    let mut plan = plan.subscribe();
    let (sender, receiver) = watch::channel(part(&plan.borrow_and_update()));
    tasks.spawn(async move {
        while plan.changed().await.is_ok() {
            let new = part(&plan.borrow_and_update());
            sender.send_if_modified(|old| {
                let is_new = *old != new;
                *old = new;
                is_new
            });
        }
    });
    receiver
}

/// Runs a channel. If its port cannot be opened, reports the fault to the brain.
async fn run_reporting_faults(
    name: &'static str,
    switchboard: Switchboard,
    channel: impl Future<Output = Result<(), BindError>>,
) -> Result<(), BindError> {
    let trouble = |fault| ChannelEvent::Trouble { name: name.to_owned(), fault };
    switchboard.report(trouble(None)).await;
    let ended = channel.await;
    if let Err(error) = &ended {
        switchboard.report(trouble(Some(error.report()))).await;
    }
    ended
}
