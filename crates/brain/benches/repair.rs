//! Measures the bytes that finding and giving missing records costs over a link, beside negentropy on the same sets.
//!
//!     cargo bench -p brain
//!
//! Two brains on one network share 10,000 records, some of which one of them lacks. The benchmark counts all bytes of
//! all lines that they exchange over the link, both ways. The size of a record is that of its line when it is sent as
//! news.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails has nothing to print")]

use brain::{Brain, Input, Now, Output, Settings};
use dcache::{
    Data, End, Item, Keypair, Kind, Limits, Moment, Policy, Record, Set, Statement, Time, Validity,
};
use negentropy::{Id, Negentropy, NegentropyStorageVector};
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use routing::{Address, Capacity, ChannelCommand, ChannelEvent, ChannelId, Envelope, Medium};
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const NOW: Time = Time(1_800_000_000);
const SHARED: usize = 10_000;
const NETWORK: ChannelId = ChannelId(1);
const LINK: ChannelId = ChannelId(2);
const DELAY: Duration = Duration::from_millis(5);

fn main() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let records = records(&mut random);
    println!("{SHARED} records, bytes per byte of missing records (their lines); aim: 1.15 recent, 2 random");
    println!(
        "{:>7} {:>7} {:>9} {:>9} {:>7} {:>10} {:>7} {:>12} {:>10}",
        "missing", "gaps", "B/record", "moved", "ratio", "with TCP", "lines", "negentropy", "CPU"
    );
    for missing in [10, 100, 1000] {
        for gaps in ["recent", "random"] {
            let lacking = lacking(&records, missing, gaps, &mut random);
            row(&records, &lacking, gaps);
        }
    }
}

/// Returns records as a class makes them over a week, oldest first.
fn records(random: &mut ChaCha8Rng) -> Vec<Record> {
    let keys: Vec<Keypair> = (0..50u8).map(|seed| Keypair::from_seed([seed; 32])).collect();
    let make = |n: usize| {
        let cid: String = (0..52).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect();
        let item = Item {
            bucket: "share/files".parse().unwrap(),
            data: Data::new(&format!("bafybei{cid}")).unwrap(),
        };
        let from = NOW.0 - ((SHARED - n) as u64) * 60;
        let validity = Validity::new(Some(Time(from)), Some(Time(from + 8 * 86_400))).unwrap();
        let statement = Statement::new(Kind::Propose, item, validity).unwrap();
        Record::sign(statement, &keys[n % keys.len()], n as u64 + 1, End::default())
    };
    (0..SHARED).map(make).collect()
}

fn lacking(records: &[Record], missing: usize, gaps: &str, random: &mut ChaCha8Rng) -> BTreeSet<usize> {
    let mut places: Vec<usize> = (0..records.len()).rev().collect();
    if gaps == "random" {
        places.shuffle(random);
    }
    places.into_iter().take(missing).collect()
}

fn line_bytes(record: &Record) -> usize {
    let from = Address::brain(Keypair::from_seed([1; 32]).peer_id());
    Envelope::record(from, Address::every_brain(), record).encode().len()
}

fn row(records: &[Record], lacking: &BTreeSet<usize>, gaps: &str) {
    let missing: usize = lacking.iter().map(|place| line_bytes(&records[*place])).sum();
    let mut pair = Pair::new(records, lacking);
    let begun = Instant::now();
    pair.run();
    let took = begun.elapsed();
    assert_eq!(pair.brains[1].set().len(), records.len(), "all records arrived");
    let found = negentropy(records, lacking);
    let ratio = |bytes: usize| bytes as f64 / missing as f64;
    println!(
        "{:>7} {gaps:>7} {:>9} {:>9} {:>7.2} {:>10.2} {:>7} {:>12.2} {:>7.0} ms",
        lacking.len(),
        missing / lacking.len(),
        pair.bytes,
        ratio(pair.bytes),
        ratio(pair.bytes + tcp(&pair)),
        pair.lines,
        ratio(found + missing),
        took.as_secs_f64() * 1e3,
    );
}

/// Returns the size of the headers of Ethernet, IP and TCP. Counts 8 segments that open and close the connection, full
/// segments of 1448 bytes, a segment for each change of direction, and an acknowledgement for every second segment.
fn tcp(pair: &Pair) -> usize {
    let segments = pair.bytes / 1448 + pair.turns;
    66 * (8 + segments + segments / 2)
}

/// Returns the number of bytes that negentropy sends to find the same difference and to name the wanted records. Orders
/// the records by the start of their validity.
fn negentropy(records: &[Record], lacking: &BTreeSet<usize>) -> usize {
    let storage = |is_in: &dyn Fn(usize) -> bool| {
        let mut storage = NegentropyStorageVector::new();
        for (place, record) in records.iter().enumerate().filter(|(place, _)| is_in(*place)) {
            let mut id = [0; 32];
            id[..16].copy_from_slice(&record.id().0);
            id[16..].copy_from_slice(&record.signature().bytes[..16]);
            storage.insert(NOW.0 - (SHARED - place) as u64 * 60, Id::from_byte_array(id)).unwrap();
        }
        storage.seal().unwrap();
        storage
    };
    let (all, some) = (storage(&|_| true), storage(&|place| !lacking.contains(&place)));
    let mut asks = Negentropy::borrowed(&some, 0).unwrap();
    let mut answers = Negentropy::borrowed(&all, 0).unwrap();
    let (mut have, mut need) = (Vec::new(), Vec::new());
    let mut message = asks.initiate().unwrap();
    let mut bytes = message.len();
    loop {
        let answer = answers.reconcile(&message).unwrap();
        bytes += answer.len();
        match asks.reconcile_with_ids(&answer, &mut have, &mut need).unwrap() {
            Some(next) => {
                bytes += next.len();
                message = next;
            }
            None => return bytes + 32 * need.len(),
        }
    }
}

/// Two brains that meet on a network, and then exchange records over a link.
struct Pair {
    brains: [Brain; 2],
    elapsed: Duration,
    queue: VecDeque<(Duration, usize, Input)>,
    bytes: usize,
    lines: usize,
    /// Number of times that the direction on the link changed.
    turns: usize,
    last: usize,
}

fn address(node: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, node as u8], 8000))
}

impl Pair {
    fn new(records: &[Record], lacking: &BTreeSet<usize>) -> Self {
        let brain = |node: usize| {
            let mut set = Set::new(Policy::default(), Limits::default());
            let held = records.iter().enumerate().filter(|(place, _)| node == 0 || !lacking.contains(place));
            set.restore(held.map(|(_, record)| record.clone()), Moment::certain(NOW));
            let me = Keypair::from_seed([100 + node as u8; 32]).peer_id();
            let settings = Settings { few: 0, ..Settings::default() };
            Brain::new(me, set, settings, "bench", node as u64)
        };
        let mut pair = Self {
            brains: [brain(0), brain(1)],
            elapsed: Duration::ZERO,
            queue: VecDeque::new(),
            bytes: 0,
            lines: 0,
            turns: 0,
            last: 0,
        };
        for node in 0..2 {
            let medium = Medium::Broadcast {
                at: None,
                name: "lan".to_owned(),
                line: Some(Address::tcp_line(address(node))),
                capacity: Capacity::LAN,
            };
            pair.input(node, Input::Channel(ChannelEvent::Up { channel: NETWORK, medium }));
        }
        pair
    }

    fn now(&self) -> Now {
        Now { moment: Moment::certain(NOW.plus(self.elapsed.as_secs())), elapsed: self.elapsed }
    }

    fn input(&mut self, node: usize, input: Input) {
        for output in self.brains[node].handle(self.now(), input) {
            if let Output::Channel(command) = output {
                self.carry_out(node, command);
            }
        }
    }

    fn later(&mut self, node: usize, event: ChannelEvent) {
        self.queue.push_back((self.elapsed + DELAY, node, Input::Channel(event)));
    }

    fn carry_out(&mut self, node: usize, command: ChannelCommand) {
        match command {
            ChannelCommand::Send { channel, line, .. } => self.send(node, channel, &line),
            ChannelCommand::Connect { address } => {
                self.later(
                    1 - node,
                    ChannelEvent::Up {
                        channel: LINK,
                        medium: Medium::Link { dialled: None, is_kept: false },
                    },
                );
                let medium = Medium::Link { dialled: Some(address), is_kept: false };
                self.later(node, ChannelEvent::Up { channel: LINK, medium });
            }
            ChannelCommand::Close { channel } => {
                self.later(0, ChannelEvent::Down { channel });
                self.later(1, ChannelEvent::Down { channel });
            }
        }
    }

    fn send(&mut self, node: usize, channel: ChannelId, line: &str) {
        if channel == LINK {
            self.bytes += line.len() + 1;
            self.lines += 1;
            self.turns += usize::from(self.last != node);
            self.last = node;
            self.later(node, ChannelEvent::Drained { channel });
        }
        let source = (channel == NETWORK).then(|| address(node));
        let envelope = Envelope::decode(line.as_bytes()).unwrap();
        self.later(
            1 - node,
            ChannelEvent::Received { channel, source, envelope, bytes: line.len(), reaches_all: true },
        );
    }

    fn run(&mut self) {
        while self.elapsed < Duration::from_secs(5) {
            let wakes = [0, 1].map(|node| (self.brains[node].next_wake(), node));
            let (wake, node) = wakes.into_iter().min().unwrap();
            match self.queue.front().map(|(at, ..)| *at) {
                Some(at) if at <= wake => {
                    let (at, node, input) = self.queue.pop_front().unwrap();
                    self.elapsed = at;
                    self.input(node, input);
                }
                _ => {
                    self.elapsed = self.elapsed.max(wake);
                    self.input(node, Input::Tick);
                }
            }
        }
    }
}
