//! Engines on links with limited rates: one node with a slow uplink sends a file to a whole class, in virtual time.
//!
//! The messages that a node is sending share its uplink evenly, a piece at a time, as with TCP.
use std::collections::BTreeSet;

use super::*;
use bytes::Bytes;

const BLOCK: usize = 256 * 1024;
const PIECE: usize = 16 * 1024;
/// Latency from one host to another.
const LATENCY: Duration = Duration::from_micros(500);
/// Time that a disk takes to read or write a block.
const DISK: Duration = Duration::from_millis(1);
/// Extra latency of a piece that passes the full queue of a slow uplink.
const QUEUE: Duration = Duration::from_millis(50);
/// Rate, in bytes per second, of links that are not slow: one gigabit per second.
const FAST: f64 = 125e6;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The uplink of a node is free for the next piece.
    Uplink(usize),
    /// A piece of a message arrived. In the last piece, `last` is the number of the message.
    Piece {
        from: usize,
        to: usize,
        bytes: usize,
        last: Option<u64>,
    },
    Stored {
        node: usize,
        block: u32,
    },
    Loaded {
        node: usize,
        peer: usize,
        blocks: Vec<u32>,
    },
    Tick(usize),
}

struct Sending {
    to: usize,
    left: usize,
    number: u64,
}

struct Node {
    engine: Engine<usize>,
    store: BTreeSet<u32>,
    uplink: f64,
    /// Rate of incoming pieces, in bytes per second.
    downlink: f64,
    is_dead: bool,
    sending: VecDeque<Sending>,
    is_sending: bool,
    wake: Option<Duration>,
    sent_blocks: u64,
    done: Option<Duration>,
}

struct World {
    nodes: Vec<Node>,
    now: Duration,
    events: BTreeMap<(Duration, u64), Event>,
    messages: BTreeMap<u64, Message>,
    count: u64,
    blocks: u32,
}

fn cid(block: u32) -> Cid {
    // Blocks are not hashed here, but their digests have to be distributed like hashes.
    let word = rendezvous::score(u64::from(block), &Multihash::wrap(0x12, &block.to_le_bytes()).unwrap());
    let mut digest = [0; 32];
    digest[..4].copy_from_slice(&block.to_be_bytes());
    digest[24..].copy_from_slice(&word.to_be_bytes());
    Cid::new_v1(0x55, Multihash::wrap(0x12, &digest).unwrap())
}

fn token(seed: u64, name: usize) -> u64 {
    (seed * 1000 + name as u64 + 1).wrapping_mul(0x1234_5678_9abc_def1)
}

fn number(cid: &Cid) -> u32 {
    u32::from_be_bytes(cid.hash().digest()[..4].try_into().unwrap())
}

fn weight(message: &Message) -> usize {
    let items = message.wantlist.len() + message.presences.len();
    60 + 44 * items + message.blocks.iter().map(|_| BLOCK + 50).sum::<usize>()
}

impl Node {
    fn is_full(&self) -> bool {
        self.uplink < FAST && self.sending.len() >= 2
    }
}

impl World {
    /// Creates a source, node 0, with a file of `blocks` blocks, and nodes 1 to `fetchers` without any. All are connected.
    fn new(uplink: f64, fetchers: usize, blocks: u32, seed: u64) -> Self {
        let node = |name: usize| {
            let engine = Engine::new(Config::default(), token(seed, name));
            let uplink = if name == 0 { uplink } else { FAST };
            let store = if name == 0 { (0..blocks).collect() } else { BTreeSet::new() };
            Node {
                engine,
                store,
                uplink,
                downlink: FAST,
                is_dead: false,
                sending: VecDeque::new(),
                is_sending: false,
                wake: None,
                sent_blocks: 0,
                done: None,
            }
        };
        let nodes: Vec<Node> = (0..=fetchers).map(node).collect();
        let (events, messages) = (BTreeMap::new(), BTreeMap::new());
        let mut world = Self { nodes, now: Duration::ZERO, events, messages, count: 0, blocks };
        for a in 0..=fetchers {
            for b in (0..=fetchers).filter(|b| *b != a) {
                world.nodes[a].engine.connected(Duration::ZERO, b, token(seed, b));
            }
        }
        world
    }

    fn at(&mut self, after: Duration, event: Event) {
        self.count += 1;
        self.events.insert((self.now + after, self.count), event);
    }

    fn begin(&mut self, node: usize) {
        // Like a real fetch, wants 256 blocks at first. When a block is stored, the next one is wanted.
        for block in 0..self.blocks.min(256) {
            self.nodes[node].engine.want(self.now, cid(block), 0).unwrap();
        }
        self.carry_out(node);
    }

    fn carry_out(&mut self, name: usize) {
        while let Some(output) = self.nodes[name].engine.poll_output() {
            match output {
                Output::Send { peer, message } => self.send(name, peer, message),
                Output::LookUp { peer, cids } => {
                    let node = &mut self.nodes[name];
                    let answers: Vec<_> = cids
                        .iter()
                        .map(|cid| (*cid, node.store.contains(&number(cid)).then_some(BLOCK)))
                        .collect();
                    node.engine.looked_up(peer, answers);
                }
                Output::Load { peer, cids } => {
                    let blocks = cids.iter().map(number).collect();
                    self.at(DISK, Event::Loaded { node: name, peer, blocks });
                }
                Output::Store { cid, .. } => {
                    self.at(DISK, Event::Stored { node: name, block: number(&cid) });
                }
                Output::Satisfied { .. } | Output::Reconnect { .. } => {}
                Output::LeaveAside { peer, reason } => panic!("{name} disconnects {peer}: {reason}"),
            }
        }
        let wake = self.nodes[name].engine.next_wake();
        if let Some(at) = wake.filter(|_| wake != self.nodes[name].wake) {
            self.nodes[name].wake = wake;
            self.at(at.saturating_sub(self.now), Event::Tick(name));
        }
    }

    fn send(&mut self, from: usize, to: usize, message: Message) {
        self.count += 1;
        let left = weight(&message);
        self.nodes[from].sent_blocks += message.blocks.len() as u64;
        self.messages.insert(self.count, message);
        let number = self.count;
        self.nodes[from].sending.push_back(Sending { to, left, number });
        if !self.nodes[from].is_sending {
            self.nodes[from].is_sending = true;
            self.at(Duration::ZERO, Event::Uplink(from));
        }
    }

    fn next_piece(&mut self, from: usize) {
        let Some(mut sending) = self.nodes[from].sending.pop_front() else {
            self.nodes[from].is_sending = false;
            return;
        };
        let bytes = sending.left.min(PIECE);
        sending.left -= bytes;
        let last = (sending.left == 0).then_some(sending.number);
        let to = sending.to;
        let rate = self.nodes[from].uplink.min(self.nodes[to].downlink);
        let takes = Duration::from_secs_f64(bytes as f64 / rate);
        // A piece on a saturated uplink waits in the queue of that uplink.
        let waits = if self.nodes[from].is_full() { QUEUE } else { Duration::ZERO };
        self.at(takes + LATENCY + waits, Event::Piece { from, to, bytes, last });
        // A slow receiver does not delay pieces to other receivers.
        let own = Duration::from_secs_f64(bytes as f64 / self.nodes[from].uplink);
        self.at(own, Event::Uplink(from));
        if sending.left > 0 {
            self.nodes[from].sending.push_back(sending);
        }
    }

    fn handle(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Uplink(from) => self.next_piece(from),
            Event::Piece { from, to, bytes, last } => {
                if self.nodes[from].is_dead || self.nodes[to].is_dead {
                    return;
                }
                if bytes > 1000 {
                    self.nodes[to].engine.receiving(now, from, bytes as u64);
                }
                if let Some(message) = last.and_then(|number| self.messages.remove(&number)) {
                    self.nodes[from].engine.sent(to);
                    self.nodes[to].engine.received(now, from, message);
                    self.carry_out(from);
                    self.carry_out(to);
                }
            }
            Event::Stored { node, block } => {
                self.nodes[node].store.insert(block);
                self.nodes[node].engine.stored(now, &cid(block), BLOCK);
                let stored = self.nodes[node].store.len() as u32;
                let next = stored - 1 + 256;
                if next < self.blocks {
                    self.nodes[node].engine.want(now, cid(next), 0).unwrap();
                }
                if stored == self.blocks {
                    self.nodes[node].done = Some(now);
                }
                self.carry_out(node);
            }
            Event::Loaded { node, peer, blocks } => {
                let data = Bytes::from_static(&[0; BLOCK]);
                let block = |number: &u32| Block { cid: cid(*number), data: data.clone() };
                let blocks = blocks.iter().map(block).collect();
                self.nodes[node].engine.loaded(peer, blocks, &[]);
                self.carry_out(node);
            }
            Event::Tick(node) => {
                if self.nodes[node].engine.next_wake().is_some_and(|wake| wake <= now) {
                    self.nodes[node].engine.tick(now);
                    self.nodes[node].wake = None;
                    self.carry_out(node);
                }
            }
        }
    }

    fn run_until(&mut self, end: Duration) {
        while let Some(((at, _), event)) = self.events.pop_first() {
            if at > end {
                self.count += 1;
                self.events.insert((at, self.count), event);
                break;
            }
            self.now = at;
            self.handle(event);
        }
        self.now = self.now.max(end);
    }

    fn kill(&mut self, node: usize) {
        self.nodes[node].is_dead = true;
        for other in 0..self.nodes.len() {
            if other != node {
                self.nodes[other].engine.disconnected(self.now, node);
                self.nodes[other].sending.retain(|sending| sending.to != node);
                self.carry_out(other);
            }
        }
    }

    /// Runs until every living fetcher has the file.
    ///
    /// Returns two numbers: the duration, in units of the time that the source's uplink takes for one copy of the file,
    /// and the number of copies that the source sent.
    fn finish(&mut self) -> (f64, f64) {
        self.run_until(Duration::from_secs(600));
        let alive = self.nodes.iter().skip(1).filter(|node| !node.is_dead);
        let last = alive.map(|node| node.done.expect("a fetcher never finished")).max().unwrap();
        let limit = f64::from(self.blocks) * BLOCK as f64 / self.nodes[0].uplink;
        (last.as_secs_f64() / limit, self.nodes[0].sent_blocks as f64 / f64::from(self.blocks))
    }
}

const UPLINK: f64 = 50e6 / 8.0;

fn class(uplink: f64, fetchers: usize, seed: u64) -> World {
    let mut world = World::new(uplink, fetchers, 400, seed);
    for node in 1..=fetchers {
        let begin = Duration::from_millis(10 * node as u64);
        world.run_until(begin);
        world.begin(node);
    }
    world
}

#[test]
fn each_byte_leaves_a_slow_source_about_once() {
    for (uplink, fetchers) in [(UPLINK, 4), (UPLINK, 10), (20e6 / 8.0, 20)] {
        for seed in 1..4 {
            let (time, copies) = class(uplink, fetchers, seed).finish();
            assert!(time < 1.01 && copies < 1.002, "{fetchers} fetchers: time {time:.3}, copies {copies:.3}");
        }
    }
}

#[test]
fn two_fetchers_that_fail_and_one_that_starts_late_cost_little() {
    let mut world = World::new(UPLINK, 10, 400, 2);
    (1..=9).for_each(|node| world.begin(node));
    world.run_until(Duration::from_secs(8));
    world.kill(3);
    world.kill(5);
    world.begin(10);
    let (time, copies) = world.finish();
    assert!(time < 1.02 && copies < 1.01, "time {time:.3}, copies {copies:.3}");
}

#[test]
fn a_slow_fetcher_does_not_delay_the_others() {
    let mut world = class(UPLINK, 10, 3);
    world.nodes[4].downlink = 1e6 / 8.0;
    world.run_until(Duration::from_secs(60));
    let limit = 400.0 * BLOCK as f64 / UPLINK;
    for (name, node) in world.nodes.iter().enumerate().skip(1).filter(|(name, _)| *name != 4) {
        let time = node.done.map_or(f64::MAX, |done| done.as_secs_f64()) / limit;
        assert!(time < 1.25, "{name} took {time:.3}");
    }
}

/// Creates a class whose fetchers have uplinks from one to ten times the rate of the source's.
fn uneven(fetchers: usize, seed: u64) -> World {
    let mut world = class(UPLINK, fetchers, seed);
    for name in 1..=fetchers {
        world.nodes[name].uplink = UPLINK * (1 + (name - 1) * 7 % 10) as f64;
    }
    world
}

#[test]
fn fetchers_with_slow_uplinks_do_not_delay_the_class() {
    let runs: Vec<(f64, f64)> = (1..9).map(|seed| uneven(10, seed).finish()).collect();
    let mean = |figure: fn(&(f64, f64)) -> f64| runs.iter().map(figure).sum::<f64>() / runs.len() as f64;
    let (time, copies) = (mean(|run| run.0), mean(|run| run.1));
    assert!(time < 1.05 && copies < 1.002, "time {time:.3}, copies {copies:.3}: {runs:.3?}");
}
