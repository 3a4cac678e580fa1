//! Malicious nodes: scripts without a brain. They hear all lines and never pass a record on.

use crate::budget::Budget;
use crate::event::Event;
use crate::line::Line;
use crate::living::statement;
use crate::network::{Member, NetworkId, address};
use crate::node::{Body, NodeId, Port};
use crate::scenario::{Habit, Liars};
use crate::world::World;
use dcache::{BucketPath, End, Fingerprint, PeerId, Record, Time, Validity, buckets};
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, RngExt as _};
use rand_chacha::ChaCha8Rng;
use routing::{Address, Beacon, ChannelId, Envelope, Message, Repair, Sketch, Target};
use std::time::Duration;

/// Maximum number of lines that a liar keeps in order to repeat them.
const MOST_HEARD: usize = 200;
/// Number of malformed lines that are sent at once.
const RUBBISH: usize = 10;
/// Number of symbols of an empty set that are sent at once.
const SYMBOLS: usize = 20;

/// State of a malicious node.
#[derive(Debug)]
pub(crate) struct Liar {
    habits: Vec<Habit>,
    per_minute: u32,
    junk: usize,
    sequence: u64,
    heard: Vec<Box<str>>,
    beacon: Option<Beacon>,
}

impl Liar {
    pub(crate) fn new(plan: &Liars) -> Self {
        Self {
            habits: plan.habits.clone(),
            per_minute: plan.per_minute.max(1),
            junk: plan.junk,
            sequence: 0,
            heard: Vec::new(),
            beacon: None,
        }
    }

    fn hear(&mut self, line: &Line, random: &mut ChaCha8Rng) {
        if let Some(beacon) = line.envelope.as_ref().and_then(|envelope| envelope.beacon) {
            self.beacon = Some(beacon);
        }
        match self.heard.len() {
            0..MOST_HEARD => self.heard.push(line.text.clone()),
            _ => self.heard[random.random_range(0..MOST_HEARD)] = line.text.clone(),
        }
    }

    fn withholds(&self) -> bool {
        self.habits.contains(&Habit::Withhold)
    }
}

impl World {
    /// Adds a liar to its networks, from the beginning of the run.
    pub(crate) fn liar_joins(&mut self, node: NodeId) {
        for id in self.nodes[node].networks.clone() {
            let channel = ChannelId(self.new_number());
            let budget = Budget::new(&self.networks[id].capacity, self.now);
            self.networks[id].members.insert(node, Member { channel, budget, is_over: false });
            self.nodes[node].channels.insert(channel, Port::Network(id));
        }
        self.queue.push(Duration::from_secs(1), Event::Lie { node });
    }

    pub(crate) fn liar_hears(&mut self, node: NodeId, channel: ChannelId, line: &Line) {
        let Body::Liar(liar) = &mut self.nodes[node].body else { return };
        liar.hear(line, &mut self.adversary_rng);
        if !liar.withholds() {
            return;
        }
        let Some(envelope) = &line.envelope else { return };
        let is_link = self.network_of(node, channel).is_none();
        let mut answer =
            Envelope::new(self.liars_address(node, channel), envelope.from.clone(), String::new());
        answer.payload = Message::pong(self.soon());
        match &envelope.repair {
            Some(Repair::Sketch(sketch)) => answer.repair = Some(Repair::Sketch(empty(sketch))),
            Some(Repair::More { .. } | Repair::Want(_)) => return,
            None if is_link && envelope.beacon.is_some() => {
                let bound = envelope.beacon.map_or(Time(0), |beacon| beacon.bound);
                answer.beacon = Some(Beacon { bound, fingerprint: Fingerprint::default() });
            }
            None if is_link
                && Message::parse(&envelope.payload).is_ok_and(|message| is_question(&message)) => {}
            None => return,
        }
        self.send(node, channel, Target::All, answer.encode());
    }

    fn liars_address(&self, node: NodeId, channel: ChannelId) -> Address {
        let brain = Address::brain(self.nodes[node].me);
        let network = self.network_of(node, channel).filter(|network| self.networks[*network].is_dialable);
        network.and_then(|id| Address::tcp_line(address(id, node)).then(&brain).ok()).unwrap_or(brain)
    }

    fn soon(&self) -> Validity {
        Validity::starting(crate::wall::Wall::default().shows(self.now), 60)
    }

    pub(crate) fn lie(&mut self, node: NodeId) {
        let Body::Liar(liar) = &self.nodes[node].body else { return };
        let wait = Duration::from_secs_f64(
            60.0 / f64::from(liar.per_minute) * self.adversary_rng.random_range(0.5..1.5),
        );
        let habit = liar.habits.choose(&mut self.adversary_rng).copied();
        self.queue.push(self.now + wait, Event::Lie { node });
        let networks: Vec<(ChannelId, NetworkId)> = self.nodes[node]
            .channels
            .iter()
            .filter_map(|(channel, port)| match port {
                Port::Network(network) => Some((*channel, *network)),
                Port::Link(_) => None,
            })
            .collect();
        if let (Some(habit), Some((channel, _))) = (habit, networks.choose(&mut self.adversary_rng).copied())
        {
            for line in self.lies(node, channel, habit) {
                self.send(node, channel, Target::All, line);
            }
        }
    }

    fn lies(&mut self, node: NodeId, channel: ChannelId, habit: Habit) -> Vec<String> {
        let from = self.liars_address(node, channel);
        let Body::Liar(liar) = &self.nodes[node].body else { return Vec::new() };
        let ping = Message::ping(self.soon());
        let beacon = |bound, fingerprint| {
            let mut envelope = Envelope::new(from.clone(), Address::every_brain(), ping.clone());
            envelope.beacon = Some(Beacon { bound, fingerprint });
            envelope.encode()
        };
        match habit {
            Habit::Replay => {
                liar.heard.choose(&mut self.adversary_rng).map(|line| line.to_string()).into_iter().collect()
            }
            Habit::Rubbish => {
                (0..RUBBISH).map(|number| rubbish(number, &from, &mut self.adversary_rng)).collect()
            }
            Habit::Junk => self.junk(node).into_iter().collect(),
            Habit::Withhold => Vec::new(),
            Habit::FalseBeacon => {
                let (count, sum) = (self.adversary_rng.random_range(0..2000), self.adversary_rng.random());
                let bound = crate::wall::Wall::default()
                    .shows(self.now)
                    .plus(self.adversary_rng.random_range(0..300));
                // Nodes ignore bounds that are not on the grid.
                let bound = Time(bound.0.next_multiple_of(dcache::BOUND_GRID));
                vec![beacon(bound, Fingerprint { count, sum })]
            }
            Habit::CopiedBeacon => {
                liar.beacon.map(|copied| beacon(copied.bound, copied.fingerprint)).into_iter().collect()
            }
            Habit::Forge => self.forged(node).into_iter().collect(),
        }
    }

    /// Makes a record that the liar may sign. Makes none in the calm, in which no new records may appear.
    fn junk(&mut self, node: NodeId) -> Option<String> {
        let Body::Liar(liar) = &mut self.nodes[node].body else { return None };
        if liar.junk == 0 || self.is_calm {
            return None;
        }
        liar.junk -= 1;
        let record = self.liars_record(node, &buckets::SHARE_FILES.path())?;
        self.ledger.signed(&record);
        Some(self.said(node, &record).encode())
    }

    fn liars_record(&mut self, node: NodeId, bucket: &BucketPath) -> Option<Record> {
        let time = crate::wall::Wall::default().shows(self.now);
        let data = format!("junk {:016x}", self.adversary_rng.next_u64());
        let of = &mut self.nodes[node];
        let Body::Liar(liar) = &mut of.body else { return None };
        liar.sequence += 1;
        let statement = statement(bucket, &data, time, 3 * 3600)?;
        Some(Record::sign(statement, &of.key, liar.sequence, End::default()))
    }

    fn said(&self, node: NodeId, record: &Record) -> Envelope {
        Envelope::record(Address::brain(self.nodes[node].me), Address::every_brain(), record)
    }

    /// Makes a copy of a line that was heard, with one byte changed.
    fn changed(&mut self, node: NodeId) -> Option<String> {
        let Body::Liar(liar) = &self.nodes[node].body else { return None };
        let mut envelope = Envelope::decode(liar.heard.choose(&mut self.adversary_rng)?.as_bytes()).ok()?;
        let changed = envelope.payload.replacen("\"data\":\"", "\"data\":\"x", 1);
        let is_changed = changed != envelope.payload && !envelope.signatures.is_empty();
        envelope.payload = changed;
        is_changed.then(|| envelope.encode())
    }

    /// Makes a record that no node signed, or whose signer had no right to it.
    fn forged(&mut self, node: NodeId) -> Option<String> {
        // The victim is never the liar itself, which may sign for itself.
        let others = 1..self.nodes.len();
        let victim: PeerId =
            self.nodes[(node + self.adversary_rng.random_range(others)) % self.nodes.len()].me;
        match self.adversary_rng.random_range(0..4) {
            0 => self.changed(node),
            // The record makes a statement about another peer.
            1 => {
                let record = self.liars_record(node, &buckets::HOSTNAME.of(victim))?;
                Some(self.said(node, &record).encode())
            }
            // The record names another peer as its signer.
            2 => {
                let record = self.liars_record(node, &buckets::SHARE_FILES.path())?;
                let mut envelope = self.said(node, &record);
                envelope.signatures[0].signer = victim;
                Some(envelope.encode())
            }
            // The signature belongs to another statement.
            _ => {
                let (one, other) = (
                    self.liars_record(node, &buckets::SHARE_FILES.path())?,
                    self.liars_record(node, &buckets::SHARE_FILES.path())?,
                );
                let mut envelope = self.said(node, &one);
                envelope.signatures[0] = *other.signature();
                Some(envelope.encode())
            }
        }
    }
}

fn is_question(message: &Message) -> bool {
    matches!(message, Message::Request { .. } | Message::Ping { .. })
}

/// Returns the sketch of a node that has no records.
fn empty(sketch: &Sketch) -> Sketch {
    let symbols = sketch::Encoder::new(std::iter::empty()).symbols(SYMBOLS);
    Sketch { bound: sketch.bound, count: 0, salt: sketch.salt, first: 0, symbols }
}

fn rubbish(number: usize, from: &Address, random: &mut ChaCha8Rng) -> String {
    let noise: String = (0..random.random_range(1..400)).map(|_| random.random_range(' '..'~')).collect();
    match number % 3 {
        0 => noise,
        1 => Envelope::new(from.clone(), Address::every_brain(), noise).encode(),
        _ => {
            format!("{{\"from\":\"{from}\",\"to\":\"/dswarm/*/brain\",\"payload\":\"{{}}\",\"beacon\":{{}}}}")
        }
    }
}
