//! The whole brain: passes each input to the part that handles it.

mod admit;
mod hearing;
mod receive;
mod routes;

use crate::answers::Answers;
use crate::beacons::Beacons;
use crate::clocks::ClockQuery;
use crate::forward::Forwarding;
use crate::node::Node;
use crate::origin::Origin;
use crate::recent::RecentPayloads;
use crate::repair::Comparisons;
use crate::serve::Served;
use crate::signer_rates::SignerRates;
use crate::{Input, Now, Output, Settings, Sighting};
use admit::RecordSource;
use dcache::{Moment, NeighbourTime, PeerId, Policy, Prover, Set, Time};
pub(crate) use hearing::OtherHost;
pub use hearing::{Hearing, OtherSwarm};
use routing::{Capacity, ChannelEvent, ChannelId, Medium, SenderBudgets, Status, Table};
use std::net::IpAddr;
use std::time::Duration;
use telemetry::{Metric, metrics};

/// Minimum interval between checks for expired records, when the brain is awake anyway.
const EXPIRE_EVERY: Duration = Duration::from_secs(5);
/// Time after [`EXPIRE_EVERY`] at which the brain wakes to check for expired records, if no input woke it earlier.
const EXPIRE_LATE: Duration = Duration::from_secs(5);
/// Clock jump, in seconds, that is treated as a clock change.
const CLOCK_CHANGE: u64 = 60;

/// The brain of one node; see the documentation of the crate.
#[derive(Debug)]
pub struct Brain {
    node: Node,
    answers: Answers,
    beacons: Beacons,
    clock_query: ClockQuery,
    /// Comparisons that this node begins.
    comparisons: Comparisons,
    /// Comparisons that other nodes begin.
    served: Served,
    forwarding: Forwarding,
    /// Rate limits for the lines of hosts on networks.
    host_budgets: SenderBudgets<IpAddr>,
    signer_rates: SignerRates<RecordSource>,
    recent: RecentPayloads,
    /// Earliest time of the next check for expired records.
    next_expiry: Duration,
    /// Time at which the brain wakes to remove expired records, if no input woke it earlier.
    latest_expiry: Duration,
    /// Time of day at the last input, and whether it is certain.
    moment: Moment,
}

impl Brain {
    /// Returns the brain of the node `me`, which holds the records of `set`. All random choices follow from `seed`.
    pub fn new(me: PeerId, set: Set, settings: Settings, version: &str, seed: u64) -> Self {
        Self {
            node: Node::new(me, set, settings, version, seed),
            answers: Answers::default(),
            beacons: Beacons::default(),
            clock_query: ClockQuery::default(),
            comparisons: Comparisons::default(),
            served: Served::default(),
            forwarding: Forwarding::new(me),
            host_budgets: SenderBudgets::default(),
            signer_rates: SignerRates::default(),
            recent: RecentPayloads::default(),
            next_expiry: Duration::ZERO,
            latest_expiry: Duration::ZERO,
            moment: Moment::certain(Time(0)),
        }
    }

    /// Returns all records that this node holds.
    pub fn set(&self) -> &Set {
        self.node.replica.set()
    }

    /// Replaces the policy. Records that the new policy does not allow leave the set.
    pub fn adopt(&mut self, policy: Policy, now: Now) -> Vec<Output> {
        let is_other_swarm = self.node.replica.set().policy().mark() != policy.mark();
        let dropped = self.node.replica.adopt(policy, now.moment);
        if is_other_swarm {
            // The records that wait were verified in the former swarm. The neighbours that brought nothing there may
            // bring something here.
            self.signer_rates.forget_waiting();
            self.node.neighbours.clear_backoffs();
        }
        self.node.reset_timers(now);
        if !dropped.is_empty() {
            self.node.outputs.push(Output::Removed(dropped));
        }
        std::mem::take(&mut self.node.outputs)
    }

    /// Sets the path of the control socket of this node. Pongs name it to programs on the same computer only.
    pub fn set_control_socket(&mut self, path: Option<String>) {
        self.node.control_socket = path;
    }

    /// Sets what proves the identity of this node to programs and nodes that ask for it over a link.
    pub fn set_prover(&mut self, prover: Prover) {
        self.node.prover = Some(prover);
    }

    /// Returns the status of this node.
    pub fn status(&self, now: Now) -> Status {
        self.node.status(now)
    }

    /// Returns the peers that were heard on the channels that are up, sorted by channel and peer. A peer is included once
    /// for each of its channels. The number of sightings is limited, because the table of neighbours is.
    pub fn sightings(&self, now: Now) -> Vec<Sighting> {
        self.node.sightings(now)
    }

    /// Returns the time that the clocks of neighbours show at `elapsed`; `None` if no neighbour shows a time.
    pub fn neighbour_time(&self, elapsed: Duration) -> Option<NeighbourTime> {
        self.node.neighbour_time(elapsed)
    }

    /// Returns the number of robots whose clocks were heard within `age`.
    pub fn clocks_heard(&self, now: Now, age: Duration) -> usize {
        self.node.clocks_heard(now.elapsed, age)
    }

    /// Adds `by` to a counter that is part of the status. Services use it to count their work.
    pub fn count_by(&mut self, metric: &'static Metric, by: u64) {
        self.node.counters.add(metric, by);
    }

    /// Returns the routing table.
    pub fn table(&self) -> &Table {
        &self.forwarding.table
    }

    /// Returns the latest time, since start, at which the next [`Input::Tick`] has to come.
    pub fn next_wake(&self) -> Duration {
        let channels = &self.node.channels;
        let wakes = [
            channels.outbox.next(),
            channels.next_beacon(),
            self.comparisons.next_wake(&self.node),
            self.clock_query.next_wake(),
            self.answers.next_wake(),
            self.signer_rates.next_wake(),
        ];
        wakes.into_iter().flatten().fold(self.latest_expiry, Duration::min)
    }

    /// Handles one input, and everything that is due by `now`.
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Output> {
        self.advance(now);
        match input {
            Input::Channel(event) => self.channel_event(now, event),
            Input::Local(record) => self.local(now, record),
            Input::Tick => {}
        }
        self.take_deferred(now);
        self.node.send_due_records(now);
        self.answers.run(&mut self.node, now);
        self.comparisons.run(&mut self.node, now);
        self.beacons.run(&mut self.node, now);
        self.clock_query.run(&mut self.node, now);
        std::mem::take(&mut self.node.outputs)
    }

    fn channel_event(&mut self, now: Now, event: ChannelEvent) {
        match event {
            ChannelEvent::Up { channel, medium } => self.up(now, channel, medium),
            ChannelEvent::Local { channel } => self.node.channels.mark_local(channel),
            ChannelEvent::Down { channel } => self.down(now, channel),
            ChannelEvent::Ended { channel } => self.answers.ended(&mut self.node, channel),
            ChannelEvent::Trouble { name, fault } => self.node.troubles.note(name, fault, now.elapsed),
            ChannelEvent::ConnectFailed { address } => {
                drop(self.node.waiting.take(address));
                self.comparisons.connect_failed(&mut self.node, now, address);
            }
            ChannelEvent::Received { channel, source, envelope, bytes, reaches_all } => {
                self.received(now, Origin { channel, source, reaches_all }, &envelope, bytes);
            }
            ChannelEvent::Malformed { channel } => {
                self.node.penalize(&metrics::BRAIN_LINES_REFUSED_MALFORMED, channel);
            }
            ChannelEvent::OverBudget { datagrams } => {
                self.node.counters.add(&metrics::BRAIN_LINES_REFUSED_OVER_BUDGET, datagrams);
            }
            ChannelEvent::OtherSwarm { source } => self.node.hear_other_key(now, source),
            ChannelEvent::Drained { channel } => self.drained(now, channel),
        }
    }

    fn up(&mut self, now: Now, id: ChannelId, medium: Medium) {
        self.answers.drop_channel(id);
        self.node.channels.open(id, medium.clone());
        match medium {
            Medium::Broadcast { name, capacity, .. } => self.node.activate(now, id, name, capacity),
            Medium::Link { dialled: Some(address), is_kept: true } => {
                self.node.activate(now, id, format!("tcp {address}"), Capacity::LINK);
            }
            Medium::Link { dialled: Some(address), is_kept: false } => {
                if !self.node.send_waiting(id, address) {
                    self.comparisons.link_is_up(&mut self.node, now, id, address);
                }
            }
            Medium::Link { dialled: None, .. } => {}
        }
    }

    fn down(&mut self, now: Now, id: ChannelId) {
        self.node.channels.close(id);
        self.node.neighbours.drop_channel(id);
        self.node.clocks.drop_channel(id);
        self.answers.drop_channel(id);
        self.served.drop_channel(id);
        self.comparisons.channel_is_down(&mut self.node, now, id);
    }

    fn drained(&mut self, now: Now, id: ChannelId) {
        if let Some(progress) = self.answers.resume(&mut self.node, now, id) {
            self.comparisons.progressed(&mut self.node, now, id, progress);
        }
    }

    /// Removes expired records and recomputes the roles. Does so at intervals, and at once when the clock was set, or
    /// when the time becomes known or unknown. The roles are also recomputed when one of them begins or ends: once
    /// then, instead of each time that they are used.
    fn advance(&mut self, now: Now) {
        let before = std::mem::replace(&mut self.moment, now.moment);
        let has_jumped = before.time.0.abs_diff(now.moment.time.0) > CLOCK_CHANGE;
        let is_changed = before.is_certain != now.moment.is_certain || has_jumped;
        if now.elapsed < self.next_expiry && !is_changed {
            let dropped = self.node.replica.update_roles(now.moment);
            if !dropped.is_empty() {
                self.node.outputs.push(Output::Removed(dropped));
            }
            return;
        }
        self.next_expiry = now.elapsed + EXPIRE_EVERY;
        self.latest_expiry = self.next_expiry + EXPIRE_LATE;
        self.node.check_clock(now);
        if is_changed {
            // Records that were refused because of the time may be accepted now.
            self.node.neighbours.clear_backoffs();
            self.node.reset_timers(now);
        }
        self.drop_unused_paths(now);
        self.forwarding.table.age_out(now.elapsed);
        let dropped = self.node.replica.advance(now.moment);
        if !dropped.is_empty() {
            self.node.outputs.push(Output::Removed(dropped));
        }
    }
}

#[cfg(test)]
impl Brain {
    /// Returns whether a record on a channel is due and waits only for the channel's budget.
    pub(crate) fn is_behind(&self, channel: ChannelId) -> bool {
        self.node.channels.outbox.is_behind(channel)
    }
}
