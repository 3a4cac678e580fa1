//! A node: either a brain with the same environment as in the daemon, or a liar.

use crate::copies::FullDisk;
use crate::disk::Disk;
use crate::liar::Liar;
use crate::line::Traffic;
use crate::link::EndOf;
use crate::network::NetworkId;
use crate::services::{Files, Services};
use crate::wall::{BUILT, Wall};
use brain::{Brain, Now};
use dcache::{Clock, End, Item, Key, Keypair, PeerId, Record, Set, Statement};
use routing::ChannelId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Number of a node.
pub(crate) type NodeId = usize;

/// One run of a node, from its start to its end. Events that were planned for an earlier run do not happen in a later
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) node: NodeId,
    pub(crate) number: u32,
}

/// The program that runs at a node.
#[derive(Debug)]
pub(crate) enum Body {
    /// The node runs a brain.
    Brain(Box<Brain>),
    /// The node runs a malicious script.
    Liar(Box<Liar>),
    /// The node does not run at present.
    Off,
}

/// The network or the link of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Network(NetworkId),
    Link(EndOf),
}

/// State of a node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) key: Keypair,
    pub(crate) me: PeerId,
    pub(crate) body: Body,
    pub(crate) is_honest: bool,
    pub(crate) life: Life,
    pub(crate) started: Duration,
    pub(crate) clock: Clock,
    pub(crate) wall: Wall,
    /// Disk of the node. `None` for a node that never stops, to save memory.
    pub(crate) disk: Option<Disk>,
    /// Networks that it is on while it runs.
    pub(crate) networks: BTreeSet<NetworkId>,
    pub(crate) channels: BTreeMap<ChannelId, Port>,
    /// Time of the earliest planned wake-up.
    pub(crate) wake: Option<Duration>,
    pub(crate) traffic: Traffic,
    /// Services of the node, while it runs.
    pub(crate) services: Option<Box<Services>>,
    /// Files that the node has and knows.
    pub(crate) files: Files,
    /// The disk, if it is full or was full.
    pub(crate) full: Option<FullDisk>,
    /// Last sequence number that the node used.
    sequence: u64,
    /// Items of own records that were not yet given to the brain, and the time until which the latest record about each
    /// item is kept.
    untold: BTreeMap<Item, End>,
}

impl Node {
    pub(crate) fn new(id: NodeId, key: Keypair, is_honest: bool) -> Self {
        Self {
            me: key.peer_id(),
            key,
            body: Body::Off,
            is_honest,
            life: Life { node: id, number: 0 },
            started: Duration::ZERO,
            clock: Clock::new(BUILT, None, Duration::ZERO),
            wall: Wall::default(),
            disk: None,
            networks: BTreeSet::new(),
            channels: BTreeMap::new(),
            wake: None,
            traffic: Traffic::default(),
            services: None,
            files: Files::default(),
            full: None,
            sequence: 0,
            untold: BTreeMap::new(),
        }
    }

    /// Returns the time as the node knows it. (The daemon also takes the times that peers with roles have signed; in
    /// the open swarm no peer has a role.)
    pub(crate) fn now(&mut self, now: Duration) -> Now {
        let elapsed = now.saturating_sub(self.started);
        if self.clock.is_to_hear(elapsed) {
            let shown = self.brain().and_then(|brain| brain.neighbour_time(elapsed));
            self.clock.hear(shown, elapsed);
        }
        Now { moment: self.clock.read(self.wall.shows(now), elapsed), elapsed }
    }

    /// Begins a run. Returns the set at its start, and the keys of expired records.
    pub(crate) fn begin(
        &mut self,
        stock: impl IntoIterator<Item = Record>,
        now: Duration,
    ) -> (Set, Vec<Key>) {
        self.life.number += 1;
        self.started = now;
        self.untold.clear();
        let saved = self.disk.as_ref().and_then(|disk| disk.time);
        self.clock = Clock::new(BUILT, saved, Duration::ZERO);
        let moment = self.now(now);
        let mut set = Set::default();
        let dropped = set.restore(stock, moment.moment);
        let sequence = self.disk.as_ref().map(|disk| disk.sequence).filter(|sequence| *sequence > 0);
        self.sequence = sequence.unwrap_or(moment.moment.time.0).max(set.latest_sequence(self.me));
        (set, dropped)
    }

    /// Signs a statement. Its record is kept for at least as long as the record that it replaces.
    pub(crate) fn sign(&mut self, statement: Statement) -> Record {
        let item = statement.item().clone();
        let held = self.set().and_then(|set| set.get(&Key { item: item.clone(), signer: self.me }));
        let former = held.map(Record::keep).max(self.untold.get(&item).copied()).unwrap_or_default();
        self.sequence += 1;
        let record = Record::sign(statement, &self.key, self.sequence, former);
        self.untold.insert(item, record.keep());
        record
    }

    /// Notes that an own record was given to the brain.
    pub(crate) fn settled(&mut self, record: &Record) {
        if self.untold.get(record.item()) == Some(&record.keep()) {
            self.untold.remove(record.item());
        }
    }

    /// Notes an own record that the swarm still has and the disk has lost.
    pub(crate) fn heard_own(&mut self, record: &Record) {
        self.sequence = self.sequence.max(record.signature().sequence);
    }

    /// Notes a change for the disk. Returns whether a commit has to be planned.
    pub(crate) fn keep(&mut self, key: Key, record: Option<Record>) -> bool {
        self.disk.as_mut().is_some_and(|disk| disk.change(key, record))
    }

    pub(crate) fn set(&self) -> Option<&Set> {
        self.brain().map(Brain::set)
    }

    pub(crate) fn brain(&self) -> Option<&Brain> {
        match &self.body {
            Body::Brain(brain) => Some(brain),
            Body::Liar(_) | Body::Off => None,
        }
    }

    pub(crate) fn is_off(&self) -> bool {
        matches!(self.body, Body::Off)
    }

    /// Returns the number of its links.
    pub(crate) fn links(&self) -> usize {
        self.channels.values().filter(|port| matches!(port, Port::Link(_))).count()
    }
}
