//! The world: all nodes, networks, links and planned events, and the virtual time.

use crate::action::Sabotage;
use crate::copies::CopyChecks;
use crate::event::{Event, Queue};
use crate::health::HealthChecks;
use crate::ledger::Ledger;
use crate::line::Tally;
use crate::link::{Link, LinkId};
use crate::meetings::Meetings;
use crate::network::Network;
use crate::node::{Body, Life, Node, NodeId, Port};
use crate::safety::Safety;
use crate::scenario::Scenario;
use crate::tables::TableChecks;
use brain::{Input, Output};
use dcache::{Key, Record, VerifiedRecords};
use rand_chacha::ChaCha8Rng;
use routing::ChannelEvent;
use siphasher::sip::SipHasher13;
use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::sync::Arc;
use std::time::Duration;

/// Maximum number of events at one moment. If there are more, a brain most likely asks again and again to be woken at
/// once.
const MOST_AT_ONCE: u64 = 3_000_000;
/// Maximum number of failures that are reported for a run.
const MOST_FAILURES: usize = 20;

/// Returns the number of steps of ten seconds in a time. The progress of a run is told once in each.
fn steps(time: Duration) -> u64 {
    time.as_secs() / 10
}

/// Options of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Seed of all random choices.
    pub seed: u64,
    /// Number of the node whose inputs and outputs are passed to `tell`.
    pub trace: Option<usize>,
    /// Function that takes the lines of the trace.
    pub tell: Option<fn(&str)>,
    /// Function that is called with the virtual time of the run, each time it has advanced by some seconds.
    pub progress: Option<fn(Duration)>,
    /// Fault to inject, in a test of the checks.
    pub sabotage: Option<Sabotage>,
}

/// Sums over all honest nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) at: Duration,
    pub(crate) sent: Tally,
    pub(crate) received: Tally,
    /// Number of records that honest nodes took from other signers.
    pub(crate) taken: u64,
    /// Number of records that their makers published.
    pub(crate) told: u64,
    /// Number of bytes that these records take if each of them is sent once, in a line of its own.
    pub(crate) told_bytes: u64,
}

/// The state of a run: all nodes, networks, links and planned events, and the virtual time.
pub(crate) struct World {
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) options: Options,
    pub(crate) now: Duration,
    pub(crate) queue: Queue,
    /// Generator of the random choices of networks and links.
    pub(crate) random: ChaCha8Rng,
    /// Generator of the random choices of liars.
    pub(crate) adversary_rng: ChaCha8Rng,
    /// Generator of the seeds of brains.
    pub(crate) seeds: ChaCha8Rng,
    pub(crate) nodes: Vec<Node>,
    pub(crate) networks: Vec<Network>,
    pub(crate) links: BTreeMap<LinkId, Link>,
    pub(crate) ledger: Ledger,
    /// Records that a node has verified, so that the other nodes need not verify them again.
    pub(crate) verified: VerifiedRecords,
    pub(crate) safety: Safety,
    pub(crate) copies: CopyChecks,
    pub(crate) tables: TableChecks,
    pub(crate) health: HealthChecks,
    pub(crate) meetings: Meetings,
    /// Records that nodes hold at their first start.
    pub(crate) stock: BTreeMap<NodeId, Vec<Record>>,
    pub(crate) failures: Vec<String>,
    pub(crate) refusals: BTreeMap<String, u64>,
    pub(crate) is_calm: bool,
    /// The sums at the start and at the end of the measurement.
    pub(crate) measured: [Option<Sums>; 2],
    pub(crate) told: (u64, u64),
    pub(crate) events: u64,
    pub(crate) last_number: u64,
    hash: SipHasher13,
    at_once: u64,
}

impl World {
    /// Returns a world without nodes and events; see `plan`.
    pub(crate) fn empty(scenario: Arc<Scenario>, options: Options, randoms: [ChaCha8Rng; 3]) -> Self {
        let [random, adversary_rng, seeds] = randoms;
        Self {
            scenario,
            options,
            now: Duration::ZERO,
            queue: Queue::default(),
            random,
            adversary_rng,
            seeds,
            nodes: Vec::new(),
            networks: Vec::new(),
            links: BTreeMap::new(),
            ledger: Ledger::default(),
            verified: VerifiedRecords::default(),
            safety: Safety::default(),
            copies: CopyChecks::default(),
            tables: TableChecks::default(),
            health: HealthChecks::default(),
            meetings: Meetings::default(),
            stock: BTreeMap::new(),
            failures: Vec::new(),
            refusals: BTreeMap::new(),
            is_calm: false,
            measured: [None, None],
            told: (0, 0),
            events: 0,
            last_number: 0,
            hash: SipHasher13::new(),
            at_once: 0,
        }
    }

    /// Handles all events up to a time.
    pub(crate) fn run_until(&mut self, end: Duration) {
        while self.queue.next().is_some_and(|at| at <= end) && !self.is_hopeless() {
            let Some((at, event)) = self.queue.pop() else { break };
            self.at_once = if at > self.now { 0 } else { self.at_once + 1 };
            if let Some(progress) = self.options.progress.filter(|_| steps(at) > steps(self.now)) {
                progress(at);
            }
            self.now = at;
            self.events += 1;
            self.happen(event);
            if self.at_once > MOST_AT_ONCE {
                self.fail("too many events happen at one moment, so the time does not advance".to_owned());
                self.at_once = 0;
            }
        }
        self.now = self.now.max(end);
    }

    fn happen(&mut self, event: Event) {
        self.note(self.now.as_nanos() as u64);
        match event {
            Event::Arrives { node, channel, from, line } => self.arrives(node, channel, from, &line),
            Event::Wake { node } => self.wake(node),
            Event::Called { link } => self.called(link),
            Event::Connected { link } => self.connected(link),
            Event::Uncalled { life, address } => {
                self.input_of(life, Input::Channel(ChannelEvent::ConnectFailed { address }));
            }
            Event::Passed { end, line } => self.passed(end, &line),
            Event::Drained { end } => self.drained(end),
            Event::Ended { end } => self.ended(end),
            Event::Gone { end } => self.gone(end),
            Event::Patience { end } => self.patience(end),
            Event::Written { life, record } => self.written(life, record),
            Event::Told { life, record } => self.tell(life, *record),
            Event::Flush { life } => self.flush(life),
            Event::Decide { life } => self.decide(life),
            Event::Fetched { life, cid } => self.fetched(life, cid),
            Event::Lie { node } => self.lie(node),
            Event::Act(action) => self.act(*action),
        }
    }

    /// Passes an input to a node's brain, and carries out its outputs.
    pub(crate) fn input(&mut self, node: NodeId, input: Input) {
        let now = self.nodes[node].now(self.now);
        self.services_see(node, now);
        if self.options.trace == Some(node) {
            self.trace_input(&input);
        }
        let Body::Brain(brain) = &mut self.nodes[node].body else { return };
        for output in brain.handle(now, input) {
            self.output(node, output);
        }
        self.plan_wake(node);
    }

    /// Passes an input to a node's brain, unless the run for which the input was planned has ended.
    pub(crate) fn input_of(&mut self, life: Life, input: Input) {
        if self.nodes[life.node].life == life {
            self.input(life.node, input);
        }
    }

    /// Returns the time at which the brain of a node wants to be woken; `None` if none runs.
    fn wanted_wake(&self, node: NodeId) -> Option<Duration> {
        let node = &self.nodes[node];
        node.brain().map(|brain| (node.started + brain.next_wake()).max(self.now))
    }

    fn plan_wake(&mut self, node: NodeId) {
        let Some(at) = self.wanted_wake(node) else { return };
        let planned = &mut self.nodes[node].wake;
        if planned.is_none_or(|planned| planned > at) {
            *planned = Some(at);
            self.queue.push(at, Event::Wake { node });
        }
    }

    fn wake(&mut self, node: NodeId) {
        if self.nodes[node].wake != Some(self.now) {
            return;
        }
        self.nodes[node].wake = None;
        match self.wanted_wake(node) {
            Some(at) if at <= self.now => self.input(node, Input::Tick),
            _ => self.plan_wake(node),
        }
    }

    fn output(&mut self, node: NodeId, output: Output) {
        if self.options.trace == Some(node) {
            self.trace(&format!("  > {output:?}"));
        }
        match output {
            Output::Channel(command) => self.carry_out(node, command),
            Output::Admitted { record, .. } => self.admitted(node, &record),
            Output::Removed(keys) => keys.into_iter().for_each(|key| self.keep(node, key, None)),
            Output::NotSaid(reason) => self.count(format!("own: {reason}")),
            Output::Refused { reason, .. } => self.count(reason.to_string()),
        }
    }

    fn admitted(&mut self, node: NodeId, record: &Record) {
        if !self.ledger.is_genuine(record) {
            self.fail(format!("node {node} took a record that no node signed: {record:?}"));
        }
        self.ledger.reached(record, node, self.now);
        self.note_meeting(node, record);
        match record.signer() == self.nodes[node].me {
            true => self.nodes[node].heard_own(record),
            false => self.ledger.taken += 1,
        }
        self.services_hear(node, &record.item().bucket);
        self.keep(node, Key::from(record), Some(record.clone()));
    }

    /// Records a failure of the run.
    pub(crate) fn fail(&mut self, what: String) {
        self.trace(&what);
        if self.failures.len() < MOST_FAILURES {
            self.failures.push(format!("at {:.3} s: {what}", self.now.as_secs_f64()));
        }
    }

    /// Returns whether the run should end because [`MOST_FAILURES`] failures have occurred.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.failures.len() >= MOST_FAILURES
    }

    fn count(&mut self, what: String) {
        *self.refusals.entry(what).or_default() += 1;
    }

    /// Adds a number to the hash of all events.
    pub(crate) fn note(&mut self, what: u64) {
        self.hash.write_u64(what);
    }

    pub(crate) fn note_text(&mut self, text: &str) {
        self.hash.write(text.as_bytes());
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.finish()
    }

    pub(crate) fn new_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn trace_input(&self, input: &Input) {
        self.trace(&format!("< {input:?}"));
    }

    pub(crate) fn trace(&self, what: &str) {
        if let (Some(_), Some(tell)) = (self.options.trace, self.options.tell) {
            tell(&format!("{:12.6} {what}", self.now.as_secs_f64()));
        }
    }

    pub(crate) fn honest(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().filter(|(_, node)| node.is_honest)
    }

    /// Returns the counts of all honest nodes so far.
    pub(crate) fn sums(&self) -> Sums {
        let (told, told_bytes) = self.told;
        let mut sums = Sums { at: self.now, taken: self.ledger.taken, told, told_bytes, ..Sums::default() };
        for (_, node) in self.honest() {
            sums.sent.merge(&node.traffic.sent);
            sums.received.merge(&node.traffic.received);
        }
        sums
    }

    /// Returns the network that a channel of a node leads to; `None` if it leads to a link.
    pub(crate) fn network_of(&self, node: NodeId, channel: routing::ChannelId) -> Option<usize> {
        match self.nodes[node].channels.get(&channel) {
            Some(Port::Network(network)) => Some(*network),
            _ => None,
        }
    }
}
