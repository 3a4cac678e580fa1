//! The comms: the brain with its channels. They live and die together, since a new brain knows of no old channels.

use crate::plan::{Plan, Rooms};
use crate::supervise::supervise;
use channels::{
    Choice, IrcSettings, PubsubEnds, PubsubSettings, Switchboard, TcpSettings, UdpSettings, Wire, run_irc,
    run_pubsub, run_tcp, run_udp,
};
use dcache::{PeerId, SwarmFile};
use ipfs::node::{PersistentPeer, PersistentPeerState, Node};
use rand::TryRng as _;
use routing::{Address, ChannelEvent};
use seal::{Sealer, SwarmKey};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;
use swarm::{Driver, DriverError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How many events of channels may wait for the brain.
const MAX_EVENTS: usize = 1024;
/// How long to wait before a topic is subscribed to again.
const AGAIN: Duration = Duration::from_secs(1);

/// How to reach others.
#[derive(Clone)]
pub(crate) struct Doors {
    pub(crate) me: PeerId,
    pub(crate) hostname: String,
    pub(crate) udp_port: u16,
    pub(crate) tcp_port: u16,
    pub(crate) interfaces: Choice,
    pub(crate) plan: watch::Receiver<Plan>,
    pub(crate) membership: watch::Receiver<Option<SwarmFile>>,
    pub(crate) node: watch::Receiver<Option<Node>>,
}

/// Why there are no comms.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommsError {
    #[error(transparent)]
    Driver(#[from] DriverError),
    #[error("the system gives no random bytes: {0}")]
    Random(std::io::Error),
}

/// Runs the brain and its channels until `stop`; a channel that fails is begun again and does not disturb the others. With
/// another swarm key, or other rooms to meet in, all begin anew.
pub(crate) async fn run_comms(
    driver: &Driver,
    mut doors: Doors,
    stop: CancellationToken,
) -> Result<(), CommsError> {
    while !stop.is_cancelled() {
        let key = doors.membership.borrow_and_update().as_ref().and_then(|file| file.key().cloned());
        let rooms = doors.plan.borrow_and_update().rooms.clone();
        let life =
            Life { doors: doors.clone(), key: key.clone(), rooms: rooms.clone(), stop: stop.child_token() };
        let (end, changed) = (life.stop.clone(), until_changed(&mut doors, &key, &rooms));
        let run = life.run(driver);
        tokio::pin!(run, changed);
        tokio::select! {
            ended = &mut run => return ended,
            () = &mut changed => {
                tracing::info!("the swarm's key or its rooms changed: the channels begin anew");
                end.cancel();
                // What waits for the disk is written first.
                run.await?;
            }
        }
    }
    Ok(())
}

async fn until_changed(doors: &mut Doors, key: &Option<SwarmKey>, rooms: &Rooms) {
    loop {
        tokio::select! {
            Ok(()) = doors.membership.changed() => {}
            Ok(()) = doors.plan.changed() => {}
            else => std::future::pending().await,
        }
        let now = doors.membership.borrow().as_ref().and_then(|file| file.key().cloned());
        if now != *key || doors.plan.borrow().rooms != *rooms {
            return;
        }
    }
}

/// One life of the channels.
struct Life {
    doors: Doors,
    key: Option<SwarmKey>,
    rooms: Rooms,
    stop: CancellationToken,
}

impl Life {
    async fn run(self, driver: &Driver) -> Result<(), CommsError> {
        let (reports, events) = mpsc::channel(MAX_EVENTS);
        let switchboard = Switchboard::new(reports);
        // Dropped, and so ended, together with this future.
        let mut channels = JoinSet::new();
        self.spawn_udp(&mut channels, &switchboard)?;
        self.spawn_tcp(&mut channels, &switchboard);
        self.spawn_irc(&mut channels, &switchboard)?;
        self.spawn_pubsub(&mut channels, &switchboard)?;
        channels.spawn(tell_of_nodes(self.doors.node.clone(), switchboard.clone()));
        Ok(driver.run(events, switchboard, self.stop.clone()).await?)
    }

    /// How one channel writes its lines: each with nonces of its own.
    fn wire(&self) -> Result<Wire, CommsError> {
        let Some(key) = &self.key else { return Ok(Wire::plain()) };
        let mut boot = [0; seal::BOOT_BYTES];
        let random = rand::rngs::SysRng.try_fill_bytes(&mut boot);
        random.map_err(|error| CommsError::Random(std::io::Error::other(error)))?;
        Ok(Wire::sealed(Sealer::new(key, boot)))
    }

    fn spawn_udp(&self, channels: &mut JoinSet<()>, switchboard: &Switchboard) -> Result<(), CommsError> {
        let (port, line_port) = (self.doors.udp_port, self.doors.tcp_port);
        let (peers, interfaces) =
            (follow(channels, &self.doors.plan, |plan| plan.udp.clone()), self.doors.interfaces.clone());
        let udp = UdpSettings { port, line_port, interfaces, peers, wire: self.wire()? };
        let board = switchboard.clone();
        channels.spawn(supervise("udp", self.stop.clone(), move || {
            told("udp", board.clone(), run_udp(udp.clone(), board.clone()))
        }));
        Ok(())
    }

    fn spawn_tcp(&self, channels: &mut JoinSet<()>, switchboard: &Switchboard) {
        let kept = follow(channels, &self.doors.plan, |plan| plan.tcp.clone());
        let (port, key) = (self.doors.tcp_port, self.key.clone());
        let tcp = TcpSettings { port, key, kept, ..TcpSettings::default() };
        let board = switchboard.clone();
        channels.spawn(supervise("tcp", self.stop.clone(), move || {
            told("tcp", board.clone(), run_tcp(tcp.clone(), board.clone()))
        }));
    }

    fn spawn_irc(&self, channels: &mut JoinSet<()>, switchboard: &Switchboard) -> Result<(), CommsError> {
        for at in &self.rooms.irc {
            let Some(mut settings) = IrcSettings::at(at, &self.doors.hostname, self.doors.me) else {
                continue;
            };
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
            channels.spawn(meet(settings, self.doors.node.clone(), switchboard.clone()));
        }
        Ok(())
    }
}

/// Is on a topic whenever there is a node.
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

/// Has the brain know which nodes of the plan are not reached, and why.
async fn tell_of_nodes(mut node: watch::Receiver<Option<Node>>, switchboard: Switchboard) {
    let mut told = BTreeMap::new();
    loop {
        let Ok(Some(node)) = node.wait_for(Option::is_some).await.map(|node| node.clone()) else { return };
        let mut kept = node.persistent_peers();
        loop {
            let now = troubles(&kept.borrow_and_update());
            let over =
                told.keys().filter(|name| !now.contains_key(*name)).map(|name: &String| (name.clone(), None));
            let new = now.iter().filter(|(name, words)| told.get(*name) != Some(*words));
            let new = new.map(|(name, words)| (name.clone(), Some(words.clone())));
            for (name, words) in over.chain(new).collect::<Vec<_>>() {
                switchboard.report(ChannelEvent::Trouble { name, words }).await;
            }
            told = now;
            if kept.changed().await.is_err() {
                break;
            }
        }
    }
}

fn troubles(kept: &[PersistentPeer]) -> BTreeMap<String, String> {
    let words = |peer: &PersistentPeer| match &peer.state {
        PersistentPeerState::Failed(words) | PersistentPeerState::Unfit(words) => {
            Some((format!("ipfs {}", peer.address), words.clone()))
        }
        PersistentPeerState::Dialling | PersistentPeerState::Connected => None,
    };
    kept.iter().filter_map(words).collect()
}

/// A part of the plan, as it changes.
fn follow<T: Clone + Default + PartialEq + Send + Sync + 'static>(
    tasks: &mut JoinSet<()>,
    plan: &watch::Receiver<Plan>,
    part: fn(&Plan) -> T,
) -> watch::Receiver<T> {
    let mut plan = plan.clone();
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

/// Runs a door, and has the brain know why it cannot be opened.
async fn told<T, E: Display>(
    name: &'static str,
    switchboard: Switchboard,
    door: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let trouble = |words| ChannelEvent::Trouble { name: name.to_owned(), words };
    switchboard.report(trouble(None)).await;
    let ended = door.await;
    if let Err(error) = &ended {
        switchboard.report(trouble(Some(error.to_string()))).await;
    }
    ended
}
