//! Robots without dt-swarm: their DNS-SD facts, and their answers on UDP port 11411.
//!
//! [`ForeignRobots`] asks the own networks for such robots and keeps the table of them. It also answers the pings of
//! the programs of Duckietown, and publishes the facts of this robot where no other program on this host does.
//!
//! # In short
//! - **Inputs**: the networks of this host, the profile of this robot, and datagrams of hosts on the same networks.
//! - **Outputs**: the table of foreign robots, and answers to other hosts.
//! - **Invariants**: nothing is sent beyond the own networks; everything that a host can send is limited in size, number
//!   and time; an idle robot asks every five minutes.
//! - **Start reading** at `facts/table.rs` and `browse.rs`.

mod advertiser;
mod answer;
mod avahi;
mod browse;
pub mod dns;
pub mod facts;
mod interfaces;
mod limits;
mod networks;
pub mod own_service;
pub mod ping;
mod pinger;
mod publish;
mod responder;
mod schedule;
mod socket;

use facts::ForeignTable;
use own_service::{NearbyHosts, OwnService, announced_peer};
use ping::{PING_PORT, Pong};
use service::{Context, LocalFacts};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A robot that was found without dt-swarm. Its texts come from other hosts and are bounded when
/// they are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignRobot {
    /// The host name.
    pub name: String,
    /// The type, as the robot states it.
    pub robot_type: Option<String>,
    /// The configuration, as the robot states it.
    pub configuration: Option<String>,
    /// The hardware, as the robot states it.
    pub hardware: Option<String>,
    /// `Ready` or `Booting`; `None` if the robot only answered a ping.
    pub status: Option<String>,
    /// Address of the robot, if it is known.
    pub address: Option<IpAddr>,
    /// Whether the facts come from an answer to a ping, and not from DNS-SD.
    pub is_by_ping: bool,
    /// Time since the robot was last heard.
    pub age: Duration,
}

/// The facts that this robot tells the programs of Duckietown about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Name of the robot. Without a name, nothing is told.
    pub name: String,
    /// The type, such as `duckiebot`.
    pub robot_type: Option<String>,
    /// The configuration, such as `DB21J`.
    pub configuration: Option<String>,
    /// The hardware, such as `jetson_nano`.
    pub hardware: Option<String>,
    /// The instance of dt-swarm's own service type; `None` if it is not published.
    pub own: Option<OwnService>,
}

/// The keys of the section `[discovery]` about robots without dt-swarm; see [`crate::Settings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignSettings {
    /// Whether to look for robots without dt-swarm.
    pub find_foreign: bool,
    /// Whether to answer pings to UDP port 11411.
    pub answer_pings: bool,
    /// Whether to publish the facts `DT::*`.
    pub publish_facts: bool,
    /// Whether to publish the own service type.
    pub publish_service: bool,
}

impl Default for ForeignSettings {
    fn default() -> Self {
        Self { find_foreign: true, answer_pings: true, publish_facts: true, publish_service: true }
    }
}

/// The robots without dt-swarm on the networks of this host. Clones share the same table.
#[derive(Clone, Debug)]
pub struct ForeignRobots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: ForeignSettings,
    started: Instant,
    table: Mutex<ForeignTable>,
    /// Number of times that a client wanted fresh facts.
    wishes: watch::Sender<u64>,
    /// Number of answers that were heard.
    heard: watch::Sender<u64>,
    /// The hosts that announced a robot with dt-swarm.
    nearby: Mutex<NearbyHosts>,
    /// The same hosts, for the channels.
    found: watch::Sender<Vec<Ipv4Addr>>,
    /// Whether this node hears nobody by lines on its networks.
    alone: watch::Sender<bool>,
}

impl ForeignRobots {
    /// Returns an empty table. [`Self::run`] fills it.
    pub fn new(settings: ForeignSettings) -> Self {
        let (started, table, wishes) = (Instant::now(), Mutex::default(), watch::Sender::new(0));
        let (heard, nearby, found) = (watch::Sender::new(0), Mutex::default(), watch::Sender::default());
        let alone = watch::Sender::new(false);
        Self(Arc::new(Inner { settings, started, table, wishes, heard, nearby, found, alone }))
    }

    /// Returns the robots that were heard lately, sorted by name.
    pub fn list(&self) -> Vec<ForeignRobot> {
        let now = self.now();
        self.table().list(now)
    }

    /// Returns a receiver that is notified when a robot was heard.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.heard.subscribe()
    }

    /// Returns a receiver of the hosts that announced a robot with dt-swarm.
    pub fn nearby(&self) -> watch::Receiver<Vec<Ipv4Addr>> {
        self.0.found.subscribe()
    }

    /// Sets whether this node hears nobody by lines on its networks. While it does, the other robots with dt-swarm are
    /// asked for as well.
    pub(crate) fn set_alone(&self, is_alone: bool) {
        self.0.alone.send_if_modified(|known| std::mem::replace(known, is_alone) != is_alone);
    }

    /// Notes that a host announced a robot with dt-swarm.
    fn note_nearby(&self, source: IpAddr) {
        let IpAddr::V4(host) = source.to_canonical() else { return };
        // The hosts are independent, so they stay usable after a panic.
        let mut nearby = self.0.nearby.lock().unwrap_or_else(PoisonError::into_inner);
        nearby.note(host, self.now());
        let hosts = nearby.list();
        self.0.found.send_if_modified(|found| {
            let is_new = *found != hosts;
            *found = hosts;
            is_new
        });
    }

    fn was_heard(&self) {
        self.0.heard.send_modify(|heard| *heard = heard.wrapping_add(1));
    }

    /// Asks for fresh facts, because a client wants the table. Returns at once. DNS-SD is asked at most every two
    /// seconds, and pings are sent at most every 30 seconds.
    pub fn ask(&self) {
        self.0.wishes.send_modify(|wishes| *wishes = wishes.wrapping_add(1));
    }

    /// Fills the table, looks for robots with dt-swarm while this node hears none, and answers other hosts, until the future is dropped.
    pub async fn run(&self, context: &Context, profile: watch::Receiver<Profile>) -> Infallible {
        self.run_with(context.facts.clone(), profile).await
    }

    /// Like [`Self::run`], with the facts about this node alone.
    pub async fn run_with(
        &self,
        facts: watch::Receiver<LocalFacts>,
        profile: watch::Receiver<Profile>,
    ) -> Infallible {
        let networks = watch::Sender::new(interfaces::networks(&facts.borrow().lines));
        let [browsed, pinged, answered, told] = std::array::from_fn(|_| networks.subscribe());
        let ForeignSettings { find_foreign, answer_pings, publish_facts, publish_service } = self.0.settings;
        let (never, ..) = tokio::join!(
            interfaces::follow(facts, networks),
            browse::browse(self, browsed),
            when(find_foreign, pinger::ping_on_request(self, pinged)),
            when(answer_pings, responder::respond(PING_PORT, answered, profile.clone())),
            when(publish_facts || publish_service, advertiser::advertise(told, profile, publish_facts)),
        );
        never
    }

    /// Returns a receiver that is notified when a client wants fresh facts. A wish from before the start counts.
    fn wishes(&self) -> watch::Receiver<u64> {
        let mut wishes = self.0.wishes.subscribe();
        if *wishes.borrow() > 0 {
            wishes.mark_changed();
        }
        wishes
    }

    fn take_message(&self, bytes: &[u8], source: IpAddr) {
        match dns::read(bytes) {
            Ok(message) => {
                if announced_peer(&message).is_some() {
                    self.note_nearby(source);
                }
                if self.0.settings.find_foreign {
                    self.table().take_message(&message, source.to_canonical(), self.now());
                    self.was_heard();
                }
            }
            Err(error) => tracing::debug!(%source, %error, "an answer that is no DNS message"),
        }
    }

    fn take_pong(&self, bytes: &[u8], source: IpAddr) {
        match Pong::decode(bytes) {
            Ok(pong) => {
                self.table().take_pong(pong, source.to_canonical(), self.now());
                self.was_heard();
            }
            Err(error) => tracing::debug!(%source, %error, "an answer to a ping in another form"),
        }
    }

    /// Returns the time since the table was made.
    fn now(&self) -> Duration {
        self.0.started.elapsed()
    }

    fn table(&self) -> MutexGuard<'_, ForeignTable> {
        // A panic in the table is a defect; the table stays usable, because its entries are independent.
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether a host is on one of the networks of this host. `lines` are the addresses at which the node accepts
/// connections.
pub(crate) fn near(lines: &[SocketAddr]) -> impl Fn(IpAddr) -> bool + use<> {
    let networks = interfaces::networks(lines);
    move |host| networks::is_near(&networks, host)
}

/// Runs a task if it is switched on, and waits for ever otherwise.
async fn when(is_on: bool, task: impl Future<Output = Infallible>) -> Infallible {
    if is_on { task.await } else { std::future::pending().await }
}
