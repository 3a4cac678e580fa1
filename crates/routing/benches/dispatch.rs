//! Measures the cost of parsing and dispatching lines, compared with parsing the same lines with `serde_json` alone.
//!
//!     cargo bench -p routing
//!
//! Each line is decoded to an envelope. The table, with 100 rules and 1,000 learned routes, determines its destination.
//! If that is this node, the payload is parsed as a message. Otherwise the envelope is encoded again for the next hop.
//!
//! The comparison is `serde_json::from_slice::<Value>` of the same lines. Both run in turn on one core, and the best
//! round of each counts.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails has nothing to print")]

use dcache::{Data, End, Fingerprint, Item, Keypair, Kind, PeerId, Record, Statement, Time, Validity};
use routing::{
    Address, Beacon, Carried, Envelope, MAX_RECORDS, Message, Repair, Resolution, Sketch, Table, Want,
};
use std::hint::black_box;
use std::time::{Duration, Instant};

const NOW: Duration = Duration::from_secs(1000);
const TIME: Time = Time(1_800_000_000);
const ROUNDS: usize = 30;
const LINES: usize = 2000;
const RULES: usize = 100;
const LEARNED: usize = 1000;

fn main() {
    let table = table();
    println!("{LINES} lines of each kind, best of {ROUNDS} alternating rounds, one core");
    println!(
        "{:<34} {:>7} {:>12} {:>12} {:>7} {:>9}",
        "kind", "bytes", "lines/s", "serde_json", "ratio", "forwarded"
    );
    let kinds = kinds();
    for (name, _, make) in &kinds {
        row(&table, name, &(0..LINES).map(make).collect::<Vec<_>>());
    }
    row(&table, "all kinds, mixed (aim: 0.6)", &mixed(&kinds));
}

type Make = fn(usize) -> String;

/// Returns the name of each kind of line, its share in percent of mixed lines, and a function that makes one.
fn kinds() -> [(&'static str, usize, Make); 8] {
    [
        ("record, for everybody", 40, |n| {
            Envelope::record(from(n), Address::every_brain(), &record(n)).encode()
        }),
        ("beacon", 20, |n| beacon(n).encode()),
        ("records together in a datagram", 10, |n| together(n, 3).encode()),
        ("records together on a link", 2, |n| together(n, MAX_RECORDS / 2).encode()),
        ("sketch of a comparison", 6, |n| step(n, sketch(n)).encode()),
        ("records that a comparison lacks", 2, |n| step(n, want(n)).encode()),
        ("record, to a peer by the table", 10, |n| {
            Envelope::record(from(n), Address::brain(peer(n)), &record(n)).encode()
        }),
        ("record, by a chained address", 10, |n| Envelope::record(from(n), chain(n), &record(n)).encode()),
    ]
}

/// Returns a mixture of lines of all kinds.
fn mixed(kinds: &[(&str, usize, Make)]) -> Vec<String> {
    let of_hundred: Vec<Make> =
        kinds.iter().flat_map(|(_, count, make)| std::iter::repeat_n(*make, *count)).collect();
    // 37 and 100 are coprime, so all entries are used in turn.
    (0..LINES).map(|n| of_hundred[n * 37 % of_hundred.len()](n)).collect()
}

fn row(table: &Table, name: &str, lines: &[String]) {
    let forwarded = lines.iter().filter(|line| dispatch(table, line.as_bytes()).is_some()).count();
    let mut best = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        best[0] = best[0].min(time(lines, |line| drop(black_box(dispatch(table, line)))));
        best[1] = best[1].min(time(lines, |line| {
            drop(black_box(serde_json::from_slice::<serde_json::Value>(line).unwrap()));
        }));
    }
    let [own, other] = best.map(|time| lines.len() as f64 / time.as_secs_f64());
    let bytes: usize = lines.iter().map(String::len).sum();
    let bytes = bytes / lines.len();
    println!("{name:<34} {bytes:>7} {own:>12.0} {other:>12.0} {:>7.2} {forwarded:>9}", own / other);
}

fn time(lines: &[String], mut run: impl FnMut(&[u8])) -> Duration {
    let begun = Instant::now();
    lines.iter().for_each(|line| run(line.as_bytes()));
    begun.elapsed()
}

/// Dispatches a line. Returns the line to forward, if any.
fn dispatch(table: &Table, line: &[u8]) -> Option<String> {
    let mut envelope = Envelope::decode(line).unwrap();
    match table.resolve(&envelope.to, NOW).unwrap() {
        Resolution::Here => {
            black_box(Message::parse(&envelope.payload).unwrap());
            None
        }
        Resolution::Channel { address } => {
            envelope.to = address.first_hop()?.1?;
            Some(envelope.encode())
        }
        Resolution::NoRoute { address } => panic!("no route to {address}"),
    }
}

/// Returns one of 50 peers. None of them is the node under test.
fn peer(n: usize) -> PeerId {
    Keypair::from_seed([(n % 50) as u8 + 1; 32]).peer_id()
}

fn unheard(n: usize) -> PeerId {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&(n as u64).to_be_bytes());
    PeerId::from_public_key(key)
}

fn udp(n: usize) -> Address {
    Address::udp_line(([10, 0, (n >> 8) as u8, n as u8], 1240).into())
}

/// Returns a table in which half of the peers are in rules, and half were learned.
fn table() -> Table {
    let mut table = Table::new(unheard(0));
    for n in 0..RULES - 1 {
        let to = if n < 25 { peer(2 * n) } else { unheard(n + 1) };
        table.add(format!("{} => {}/$0", Address::brain(to), udp(n)).parse().unwrap()).unwrap();
    }
    table.add("/dswarm/*/pinner => /ipfs-pubsub/duckiebots/dswarm-line/$0".parse().unwrap()).unwrap();
    for n in 0..LEARNED {
        let to = if n < 25 { peer(2 * n + 1) } else { unheard(n + 1) };
        assert!(table.learn(to, &udp(n), 1, NOW));
    }
    table
}

fn from(n: usize) -> Address {
    let brain = Address::brain(peer(n));
    // The sender of every other line states where it accepts connections.
    if n.is_multiple_of(2) {
        brain
    } else {
        Address::tcp_line(([10, 0, 0, n as u8], 8000).into()).then(&brain).unwrap()
    }
}

fn chain(n: usize) -> Address {
    let topic = Address::pubsub_line("duckiebots").unwrap();
    topic.then(&udp(n)).unwrap().then(&Address::brain(peer(n + 1))).unwrap()
}

fn record(n: usize) -> Record {
    let data = format!("bafybei{:052}", n as u64 * 0x9e37_79b9);
    let item = Item { bucket: "share/files".parse().unwrap(), data: Data::new(&data).unwrap() };
    let statement = Statement::new(Kind::Propose, item, Validity::starting(TIME, 7 * 86_400)).unwrap();
    let key = Keypair::from_seed([(n % 50) as u8 + 1; 32]);
    Record::sign(statement, &key, n as u64 + 1, End::default())
}

fn pong(n: usize) -> Envelope {
    let validity = Validity::starting(TIME, 60);
    Envelope::new(from(n), Address::every_brain(), Message::pong(validity))
}

fn beacon(n: usize) -> Envelope {
    let sum = (n as u128 + 1) * 0x0123_4567_89ab_cdef_0123_4567_89ab;
    let fingerprint = Fingerprint { count: n as u64, sum };
    Envelope { beacon: Some(Beacon { bound: TIME, fingerprint }), ..pong(n) }
}

fn together(n: usize, count: usize) -> Envelope {
    let records = (1..count).map(|more| Carried::from(&record(n + more))).collect();
    Envelope { records, ..Envelope::record(from(n), Address::every_brain(), &record(n)) }
}

fn step(n: usize, repair: Repair) -> Envelope {
    Envelope { repair: Some(repair), ..pong(n) }
}

fn sketch(n: usize) -> Repair {
    let numbers = (0..100).map(|more: u64| (n as u64 + more).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let symbols = sketch::Encoder::new(numbers).symbols(48);
    Repair::Sketch(Sketch { bound: TIME, count: 10_000, salt: n as u64, first: 0, symbols })
}

fn want(n: usize) -> Repair {
    let ids = (0..100).map(|more: u64| (n as u64 + more).wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    Repair::Want(Want { salt: n as u64, ids })
}
