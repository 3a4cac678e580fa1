//! The state that all parts of the brain share.

use crate::brain::OtherHost;
use crate::channel::Channel;
use crate::channels::Channels;
use crate::clocks::ShownTimes;
use crate::neighbours::Neighbours;
use crate::paths::Paths;
use crate::replica::Replica;
use crate::troubles::Troubles;
use crate::waiting::WaitingLines;
use crate::{Now, Output, Settings};
use dcache::{PeerId, Prover, Set, Validity};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use routing::{Address, Capacity, ChannelCommand, ChannelId, Medium};
use std::time::Duration;
use targets::Targets;
use telemetry::{Counters, Metric, metrics};

/// Validity, in seconds, of a message that receivers use at once, such as a beacon or a pong.
const MESSAGE_LIFETIME: u64 = 60;

/// The state that all parts of the brain share: the identity of this node, its records, and its channels. Each part
/// takes it by reference, and keeps only its private state itself.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) me: PeerId,
    /// Address of this brain. It is compared with the address of each line, so it is built once.
    pub(crate) here: Address,
    /// The address of all brains.
    pub(crate) everybody: Address,
    pub(crate) version: String,
    /// Path of the control socket, for programs on this computer.
    pub(crate) control_socket: Option<String>,
    /// Proves the identity of this node; `None` if it proves it to nobody.
    pub(crate) prover: Option<Prover>,
    pub(crate) settings: Settings,
    pub(crate) replica: Replica,
    pub(crate) channels: Channels,
    pub(crate) neighbours: Neighbours,
    pub(crate) clocks: ShownTimes,
    pub(crate) paths: Paths,
    pub(crate) waiting: WaitingLines,
    /// Addresses that other peers named and this node dialled lately.
    pub(crate) targets: Targets<()>,
    pub(crate) troubles: Troubles,
    /// The latest host whose datagrams are sealed with another key.
    pub(crate) other_key: Option<OtherHost>,
    /// The latest host that sent a record signed in another swarm.
    pub(crate) other_records: Option<OtherHost>,
    pub(crate) counters: Counters,
    pub(crate) random: ChaCha8Rng,
    /// Outputs of the current input.
    pub(crate) outputs: Vec<Output>,
}

impl Node {
    pub(crate) fn new(me: PeerId, set: Set, settings: Settings, version: &str, seed: u64) -> Self {
        Self {
            me,
            here: Address::brain(me),
            everybody: Address::every_brain(),
            version: version.to_owned(),
            control_socket: None,
            prover: None,
            settings,
            replica: Replica::new(set),
            channels: Channels::new(),
            neighbours: Neighbours::default(),
            clocks: ShownTimes::default(),
            paths: Paths::default(),
            waiting: WaitingLines::default(),
            targets: Targets::default(),
            troubles: Troubles::default(),
            other_key: None,
            other_records: None,
            counters: Counters::default(),
            random: ChaCha8Rng::seed_from_u64(seed),
            outputs: Vec::new(),
        }
    }

    /// Returns a random number from 0 to 1.
    pub(crate) fn chance(&mut self) -> f64 {
        self.random.random()
    }

    /// Returns a random duration between zero and `longest`.
    pub(crate) fn random_wait(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.chance())
    }

    pub(crate) fn count(&mut self, metric: &'static Metric) {
        self.counters.add(metric, 1);
    }

    pub(crate) fn command(&mut self, command: ChannelCommand) {
        self.outputs.push(Output::Channel(command));
    }

    /// Counts misbehaviour on a channel. Closes a link that misbehaved too often; a network cannot be closed.
    pub(crate) fn penalize(&mut self, metric: &'static Metric, id: ChannelId) {
        self.count(metric);
        let limit = self.settings.max_penalties;
        if self.channels.get_mut(id).is_some_and(|channel| channel.penalize(limit)) {
            self.command(ChannelCommand::Close { channel: id });
            self.count(&metrics::BRAIN_LINKS_CLOSED_MISBEHAVIOUR);
        }
    }

    /// Starts beacons and pushed records on a channel that is up.
    pub(crate) fn activate(&mut self, now: Now, id: ChannelId, name: String, capacity: Capacity) {
        let chance = self.chance();
        if let Some(channel) = self.channels.get_mut(id) {
            channel.activate(name, capacity, now.elapsed, chance);
        }
    }

    /// Adds a path as a channel.
    pub(crate) fn add_path(&mut self, now: Now, id: ChannelId, chain: Address, capacity: Capacity) {
        let name = format!("path {chain}");
        let medium =
            Medium::Broadcast { name: name.clone(), at: Some(chain), line: None, capacity: capacity.clone() };
        self.channels.open(id, medium);
        self.activate(now, id, name, capacity);
    }

    /// Resets the beacon timer of a network because records differ or will soon differ. The nodes then compare soon. They
    /// do so on a local network if all of them hear one.
    pub(crate) fn reset_timer(&mut self, now: Now, id: ChannelId) {
        if self.is_spare(id) {
            return;
        }
        let chance = self.chance();
        if let Some(channel) = self.channels.get_mut(id) {
            channel.reset_timer(now.elapsed, chance);
        }
    }

    pub(crate) fn reset_timers(&mut self, now: Now) {
        for id in self.channels.networks() {
            self.reset_timer(now, id);
        }
    }

    /// Returns this node's address on a channel. On a network, it includes the address at which this node takes links,
    /// so that others can ask for more.
    pub(crate) fn own_address(&self, channel: &Channel) -> Address {
        let brain = self.here.clone();
        match channel.medium() {
            Medium::Broadcast { line: Some(line), .. } => line.then(&brain).unwrap_or(brain),
            _ => brain,
        }
    }
}

/// Returns the validity of a message that receivers use at once. Its start shows this node's clock. A node that does
/// not know the time names no start.
pub(crate) fn briefly(now: Now) -> Validity {
    if !now.moment.is_certain {
        return Validity::ALWAYS;
    }
    Validity::starting(now.moment.time, MESSAGE_LIFETIME)
}
