//! Tests with a few brains on a few networks, in virtual time. The networks lose datagrams at random, by a fixed seed.

use crate::*;
use dcache::{Clock, Data, End, Item, Keypair, Kind, Moment, Refusal, Set, Statement, Time, Validity};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use routing::{Address, Capacity, ChannelCommand, ChannelEvent, ChannelId, Envelope, Medium, Target};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;
use telemetry::{Metric, metrics};

mod audience;
mod bridge;
mod clocks;
mod copied_key;
mod greeting;
mod hearing;
mod hostile;
mod local;
mod named_addresses;
mod sightings;
mod ways;

const START: Time = Time(1_800_000_000);
const DELAY: Duration = Duration::from_millis(1);

struct Node {
    key: Keypair,
    brain: Brain,
    sequence: u64,
    outputs: Vec<Output>,
    clock: Clock,
    /// Number of seconds by which its wall clock is ahead.
    ahead: u64,
    /// Returns the time that the node uses instead of that of its clock.
    fixed: Option<fn(Duration) -> Now>,
}

/// Networks by number; a node's address on network `n` is `10.n.0.node`.
#[derive(Default)]
struct World {
    nodes: Vec<Node>,
    networks: BTreeMap<u8, BTreeSet<usize>>,
    links: BTreeMap<ChannelId, (usize, ChannelId)>,
    owners: BTreeMap<ChannelId, usize>,
    queue: VecDeque<(Duration, usize, Input)>,
    elapsed: Duration,
    channels: u64,
    loss: f64,
    /// Whether all nodes refuse links.
    refuses_links: bool,
    /// Hosts that accept links but run no brain.
    liars: BTreeSet<SocketAddr>,
    /// Links that these hosts accepted, each with the node that dialled it.
    liars_links: Vec<(usize, ChannelId)>,
    /// Networks on which no broadcast is heard.
    deaf: BTreeSet<u8>,
    /// Nodes whose lines for all reach only these other nodes, as where multicasts are filtered at some hosts.
    audience: BTreeMap<usize, BTreeSet<usize>>,
    random: Option<ChaCha8Rng>,
    /// Number of datagrams sent.
    said: usize,
    /// Number of datagrams sent that carry a record.
    told: usize,
}

fn host(network: u8, node: usize) -> SocketAddr {
    SocketAddr::from(([10, network, 0, node as u8], 8000))
}

fn network_channel(network: u8) -> ChannelId {
    ChannelId(u64::from(network))
}

fn item(data: &str) -> Item {
    Item { bucket: "share/files".parse().unwrap(), data: Data::new(data).unwrap() }
}

impl World {
    fn new(loss: f64) -> Self {
        let random = Some(ChaCha8Rng::seed_from_u64(1));
        Self { loss, random, channels: 1000, ..Self::default() }
    }

    fn add(&mut self) -> usize {
        let node = self.nodes.len();
        let key = Keypair::from_seed([node as u8 + 1; 32]);
        let brain = Brain::new(key.peer_id(), Set::default(), Settings::default(), "test", node as u64);
        let clock = Clock::new(START, None, self.elapsed);
        self.nodes.push(Node { key, brain, sequence: 0, outputs: Vec::new(), clock, ahead: 0, fixed: None });
        node
    }

    fn join(&mut self, node: usize, network: u8) {
        self.join_as(node, network, Capacity::LAN);
    }

    fn join_as(&mut self, node: usize, network: u8, capacity: Capacity) {
        self.networks.entry(network).or_default().insert(node);
        let medium = Medium::Broadcast {
            at: Some(Address::udp_line(SocketAddr::from(([10, network, 0, 255], 8000)))),
            name: "lan".to_owned(),
            line: Some(Address::tcp_line(host(network, node))),
            capacity,
        };
        self.input(node, Input::Channel(ChannelEvent::Up { channel: network_channel(network), medium }));
    }

    fn leave(&mut self, node: usize, network: u8) {
        self.networks.entry(network).or_default().remove(&node);
        self.input(node, Input::Channel(ChannelEvent::Down { channel: network_channel(network) }));
    }

    fn now(&self) -> Now {
        Now { moment: Moment::certain(START.plus(self.elapsed.as_secs())), elapsed: self.elapsed }
    }

    /// Returns the time as the node knows it by its own clock.
    fn now_of(&mut self, node: usize) -> Now {
        let elapsed = self.elapsed;
        let of = &mut self.nodes[node];
        if let Some(fixed) = of.fixed {
            return fixed(elapsed);
        }
        let wall = START.plus(elapsed.as_secs() + of.ahead);
        Now { moment: of.clock.read(wall, elapsed), elapsed }
    }

    fn input(&mut self, node: usize, input: Input) {
        let now = self.now_of(node);
        let outputs = self.nodes[node].brain.handle(now, input);
        for output in outputs {
            self.carry_out(node, &output);
            self.nodes[node].outputs.push(output);
        }
    }

    fn propose(&mut self, node: usize, data: &str) {
        let validity = Validity::starting(self.now_of(node).moment.time, 3600);
        let statement = Statement::new(Kind::Propose, item(data), validity).unwrap();
        let of = &mut self.nodes[node];
        of.sequence += 1;
        let record = dcache::Record::sign(statement, &of.key, of.sequence, End::default());
        self.input(node, Input::Local(record));
    }

    fn carry_out(&mut self, node: usize, output: &Output) {
        match output {
            Output::Channel(ChannelCommand::Send { channel, target, line }) => {
                let envelope = Envelope::decode(line.as_bytes()).unwrap();
                self.send(node, *channel, *target, &envelope);
            }
            Output::Channel(ChannelCommand::Connect { address }) => self.connect(node, *address),
            Output::Channel(ChannelCommand::Close { channel }) => {
                if let Some((peer, other)) = self.links.remove(channel) {
                    self.links.remove(&other);
                    self.later(node, Input::Channel(ChannelEvent::Down { channel: *channel }));
                    self.later(peer, Input::Channel(ChannelEvent::Down { channel: other }));
                }
            }
            _ => {}
        }
    }

    fn later(&mut self, node: usize, input: Input) {
        self.queue.push_back((self.elapsed + DELAY, node, input));
    }

    fn send(&mut self, node: usize, channel: ChannelId, target: Target, envelope: &Envelope) {
        if let Some((peer, other)) = self.links.get(&channel).copied() {
            self.later(
                peer,
                Input::Channel(ChannelEvent::Received {
                    channel: other,
                    source: None,
                    envelope: envelope.clone(),
                    bytes: 0,
                    reaches_all: true,
                }),
            );
            return self.later(node, Input::Channel(ChannelEvent::Drained { channel }));
        }
        self.said += 1;
        self.told += usize::from(!envelope.signatures.is_empty());
        let network = channel.0 as u8;
        for listener in self.networks.get(&network).cloned().unwrap_or_default() {
            let audience = self.audience.get(&node);
            let is_meant = match target {
                Target::All => {
                    !self.deaf.contains(&network) && audience.is_none_or(|heard| heard.contains(&listener))
                }
                Target::Host(address) => address == host(network, listener),
            };
            let reaches_all = audience.is_none();
            let is_lost = self.random.as_mut().unwrap().random_bool(self.loss);
            if is_meant && !is_lost {
                let source = Some(host(network, node));
                self.later(
                    listener,
                    Input::Channel(ChannelEvent::Received {
                        channel,
                        source,
                        envelope: envelope.clone(),
                        bytes: 0,
                        reaches_all,
                    }),
                );
            }
        }
    }

    fn connect(&mut self, node: usize, address: SocketAddr) {
        if self.liars.contains(&address) {
            let channel = ChannelId(self.channels);
            self.channels += 1;
            self.liars_links.push((node, channel));
            let medium = Medium::Link { dialled: Some(address), is_kept: false };
            return self.later(node, Input::Channel(ChannelEvent::Up { channel, medium }));
        }
        let SocketAddr::V4(v4) = address else { return };
        let [_, network, _, peer] = v4.ip().octets();
        let (peer, ours) =
            (usize::from(peer), self.networks.get(&network).is_some_and(|on| on.contains(&node)));
        if self.refuses_links || !ours || !self.networks[&network].contains(&peer) {
            return self.later(node, Input::Channel(ChannelEvent::ConnectFailed { address }));
        }
        let (here, there) = (ChannelId(self.channels), ChannelId(self.channels + 1));
        self.channels += 2;
        self.links.insert(here, (peer, there));
        self.links.insert(there, (node, here));
        self.owners.extend([(here, node), (there, peer)]);
        self.later(
            peer,
            Input::Channel(ChannelEvent::Up {
                channel: there,
                medium: Medium::Link { dialled: None, is_kept: false },
            }),
        );
        self.later(
            node,
            Input::Channel(ChannelEvent::Up {
                channel: here,
                medium: Medium::Link { dialled: Some(address), is_kept: false },
            }),
        );
    }

    /// Handles all events that happen within `time`.
    fn run(&mut self, time: Duration) {
        let end = self.elapsed + time;
        loop {
            let wake =
                (0..self.nodes.len()).map(|node| (self.nodes[node].brain.next_wake(), node)).min().unwrap();
            let arrival = self.queue.front().map(|(at, ..)| *at);
            let at = arrival.unwrap_or(end).min(wake.0).max(self.elapsed);
            if at > end {
                break;
            }
            self.elapsed = at;
            match arrival {
                Some(arrival) if arrival <= at => {
                    let (_, node, input) = self.queue.pop_front().unwrap();
                    self.input(node, input);
                }
                _ if wake.0 <= at => self.input(wake.1, Input::Tick),
                _ => break,
            }
        }
        self.elapsed = end;
    }

    fn knows(&self, node: usize, data: &str) -> bool {
        self.nodes[node].brain.set().item(&item(data), self.now().moment.time).is_some()
    }

    fn all_know(&self, data: &str) -> bool {
        (0..self.nodes.len()).all(|node| self.knows(node, data))
    }

    fn counter_of(&self, node: usize, metric: &Metric) -> u64 {
        self.nodes[node].brain.status(self.now()).counters.get(metric.name).copied().unwrap_or_default()
    }
}

fn class(size: usize, loss: f64) -> World {
    let mut world = World::new(loss);
    for node in 0..size {
        world.add();
        world.join(node, 1);
    }
    world.run(Duration::from_secs(10));
    world
}

#[test]
fn a_record_reaches_a_class_at_once_and_is_sent_six_times() {
    let mut world = class(10, 0.0);
    world.told = 0;
    world.propose(0, "file");
    world.run(Duration::from_millis(10));
    assert!(world.all_know("file"));
    world.run(Duration::from_secs(5));
    assert_eq!(world.told, 6, "only its maker sends it");
}

#[test]
fn records_arrive_although_datagrams_are_lost() {
    let mut world = class(10, 0.4);
    for n in 0..50 {
        world.propose(n % 10, &format!("file{n}"));
    }
    world.run(Duration::from_secs(600));
    for n in 0..50 {
        assert!(world.all_know(&format!("file{n}")), "file{n}");
    }
}

#[test]
fn one_wrong_clock_makes_no_other_node_forget_records() {
    let mut world = class(4, 0.0);
    for node in 0..4 {
        world.propose(node, &format!("file{node}"));
    }
    world.run(Duration::from_secs(700));
    // The clock of node 0 is set to 2040 for some minutes, and the node goes on sending.
    world.nodes[0].ahead = 14 * 365 * 86_400;
    world.propose(0, "from 2040");
    world.run(Duration::from_secs(500));
    for node in 1..4 {
        assert!((0..4).all(|file| world.knows(node, &format!("file{file}"))), "node {node}");
        let later = START.plus(14 * 365 * 86_400 + 800);
        assert!(
            world.nodes[node].brain.set().item(&item("from 2040"), later).is_none(),
            "the record is refused"
        );
    }
    // Once its clock is right again, node 0 has lost no record, and receives those that it missed.
    world.propose(1, "meanwhile");
    world.nodes[0].ahead = 0;
    world.run(Duration::from_secs(200));
    assert!((0..4).all(|file| world.knows(0, &format!("file{file}"))) && world.all_know("meanwhile"));
}

#[test]
fn a_newcomer_gets_all_records_and_gives_its_own() {
    let mut world = class(3, 0.0);
    for n in 0..1000 {
        world.propose(0, &format!("file{n}"));
    }
    world.run(Duration::from_secs(10));
    let newcomer = world.add();
    for n in 0..600 {
        world.propose(newcomer, &format!("gift{n}"));
    }
    world.join(newcomer, 1);
    // The others ask for its records, so the limit for news of an unknown signer does not delay them.
    world.run(Duration::from_secs(5));
    assert!((0..1000).all(|n| world.knows(newcomer, &format!("file{n}"))));
    assert!((0..600).all(|n| world.all_know(&format!("gift{n}"))));
    assert!(world.links.is_empty(), "links are closed when nothing is left to send");
}

#[test]
fn a_node_on_two_networks_passes_records_between_them() {
    let mut world = class(2, 0.0);
    let (bridge, far) = (world.add(), world.add());
    world.join(bridge, 1);
    world.join(bridge, 2);
    world.join(far, 2);
    world.run(Duration::from_secs(5));
    world.propose(0, "file");
    world.propose(far, "back");
    world.run(Duration::from_secs(1));
    assert!(world.all_know("file") && world.all_know("back"));
}

#[test]
fn a_node_that_moves_carries_records_between_networks() {
    let mut world = class(2, 0.0);
    let (traveller, far) = (world.add(), world.add());
    world.join(far, 2);
    world.join(traveller, 1);
    world.propose(0, "file");
    world.run(Duration::from_secs(5));
    world.leave(traveller, 1);
    world.join(traveller, 2);
    world.run(Duration::from_secs(5));
    assert!(world.knows(far, "file"));
}

#[test]
fn records_of_both_sides_spread_when_a_partition_ends() {
    let mut world = class(4, 0.0);
    world.networks.get_mut(&1).unwrap().remove(&3);
    world.propose(0, "meanwhile here");
    world.propose(3, "meanwhile there");
    world.run(Duration::from_secs(600));
    assert!(!world.knows(3, "meanwhile here"));
    world.networks.get_mut(&1).unwrap().insert(3);
    world.run(Duration::from_secs(180));
    assert!(world.all_know("meanwhile here") && world.all_know("meanwhile there"));
}

/// Sends a line to node 0 of a class as a host that runs no brain.
fn inject(world: &mut World, envelope: Envelope) {
    let source = Some(SocketAddr::from(([10, 1, 0, 99], 1240)));
    world.input(
        0,
        Input::Channel(ChannelEvent::Received {
            channel: network_channel(1),
            source,
            envelope,
            bytes: 0,
            reaches_all: true,
        }),
    );
}

#[test]
fn forged_and_foreign_records_are_refused_counted_and_not_passed_on() {
    let mut world = class(2, 0.0);
    world.join(0, 2);
    world.run(Duration::from_secs(10));
    let (stranger, victim) = (Keypair::from_seed([99; 32]), Keypair::from_seed([98; 32]));
    let statement = |bucket: &str, data: &str| {
        let item = Item { bucket: bucket.parse().unwrap(), data: Data::new(data).unwrap() };
        let validity = Validity::starting(world.now().moment.time, 3600);
        Statement::new(Kind::Propose, item, validity).unwrap()
    };
    let lines = |record: &dcache::Record| {
        Envelope::record(Address::brain(stranger.peer_id()), Address::every_brain(), record)
    };
    let honest = dcache::Record::sign(statement("share/files", "cid"), &stranger, 1, End::default());
    let mut changed = lines(&honest);
    changed.payload = changed.payload.replace("cid", "cie");
    let mut claimed = lines(&honest);
    claimed.signatures[0].signer = victim.peer_id();
    let private = format!("pri/{}/info/hostname", victim.peer_id());
    let foreign = lines(&dcache::Record::sign(statement(&private, "mine now"), &stranger, 2, End::default()));
    let mut unsigned = lines(&honest);
    unsigned.signatures.clear();

    world.told = 0;
    let before = world.nodes[0].brain.set().len();
    for envelope in [changed, claimed, foreign, unsigned] {
        inject(&mut world, envelope);
    }
    world.run(Duration::from_secs(5));
    assert_eq!((world.nodes[0].brain.set().len(), world.told), (before, 0));
    let refusals = world.nodes[0].outputs.iter().filter_map(|output| match output {
        Output::Refused { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(refusals.collect::<Vec<_>>(), [Refusal::Forged, Refusal::Forged, Refusal::NotOwner]);
    assert_eq!(world.counter_of(0, &metrics::BRAIN_RECORDS_REFUSED_FORGED), 2);
    assert_eq!(world.counter_of(0, &metrics::BRAIN_RECORDS_REFUSED_NOT_OWNER), 1);
    assert_eq!(world.counter_of(0, &metrics::BRAIN_RECORDS_REFUSED_UNSIGNED), 1);
}

#[test]
fn a_link_with_many_malformed_lines_is_closed() {
    let mut world = class(1, 0.0);
    let channel = ChannelId(77);
    world.input(
        0,
        Input::Channel(ChannelEvent::Up { channel, medium: Medium::Link { dialled: None, is_kept: false } }),
    );
    for _ in 0..100 {
        world.input(0, Input::Channel(ChannelEvent::Malformed { channel }));
    }
    let closed = world.nodes[0]
        .outputs
        .iter()
        .filter(|output| **output == Output::Channel(ChannelCommand::Close { channel }))
        .count();
    assert_eq!(closed, 1);
}

#[test]
fn a_client_that_closes_its_sending_side_still_gets_the_whole_answer() {
    let mut world = class(1, 0.0);
    for n in 0..300 {
        world.propose(0, &format!("file{n}"));
    }
    let channel = ChannelId(77);
    world.input(
        0,
        Input::Channel(ChannelEvent::Up { channel, medium: Medium::Link { dialled: None, is_kept: false } }),
    );
    let req = routing::Message::req(&["*"], Validity::ALWAYS);
    let envelope = Envelope::new(Address::command_line(), Address::every_brain(), req);
    world.input(
        0,
        Input::Channel(ChannelEvent::Received {
            channel,
            source: None,
            envelope,
            bytes: 0,
            reaches_all: true,
        }),
    );
    world.input(0, Input::Channel(ChannelEvent::Ended { channel }));
    let close = Output::Channel(ChannelCommand::Close { channel });
    assert!(!world.nodes[0].outputs.contains(&close), "the answer is under way");
    world.input(0, Input::Channel(ChannelEvent::Drained { channel }));
    assert_eq!(world.nodes[0].outputs.last(), Some(&close));
    let sent = |output: &&Output| {
        matches!(output, Output::Channel(ChannelCommand::Send { channel: ChannelId(77), .. }))
    };
    assert_eq!(world.nodes[0].outputs.iter().filter(sent).count(), 301, "all records and the pong");
}

#[test]
fn a_request_on_a_network_gets_no_more_than_a_pong() {
    let mut world = class(2, 0.0);
    for n in 0..10 {
        world.propose(0, &format!("file{n}"));
    }
    world.run(Duration::from_secs(5));
    world.said = 0;
    let req = routing::Message::req(&["*"], Validity::ALWAYS);
    inject(&mut world, Envelope::new(Address::command_line(), Address::every_brain(), req));
    assert_eq!(world.said, 1);
}

#[test]
fn the_status_shows_the_counters_of_services() {
    static OWN: Metric = Metric::counter("a.service.does", "1", "Work done by a service.");
    let mut world = class(1, 0.0);
    world.nodes[0].brain.count_by(&OWN, 3);
    world.nodes[0].brain.count_by(&OWN, 4);
    assert_eq!(world.counter_of(0, &OWN), 7);
}

#[test]
fn runs_with_the_same_seed_are_equal() {
    let run = || {
        let mut world = class(5, 0.3);
        world.propose(0, "file");
        world.run(Duration::from_secs(200));
        world.nodes.into_iter().map(|node| format!("{:?}", node.outputs)).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}
