//! Cost of the table of 5,000 robots, as a ratio of the cost of writing the same table as JSON in the same run.
//!
//!     cargo bench -p discovery
//!
//! The table is made inside the brain's task, and meanwhile the node answers nobody.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails has nothing to print")]

use dcache::buckets::{ADDRESSES, HOSTNAME, IPFS_ADDRESSES, PEER, ROBOT, VERSION};
use dcache::{Data, End, Item, Keypair, Kind, Limits, Policy, Record, Set, Statement, Time, Validity};
use discovery::{Surroundings, rows};

const NOW: Time = Time(1_800_000_000);
const ROBOTS: u32 = 5000;
const ROUNDS: usize = 9;

/// Adds the records of one robot about itself.
fn add(set: &mut Set, number: u32) {
    let mut seed = [9; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    let key = Keypair::from_seed(seed);
    let peer = key.peer_id();
    let host = format!("/ip4/10.64.{}.{}", number >> 8 & 0xff, number & 0xff);
    let facts = [
        (PEER.path(), peer.to_string(), PEER.lifetime()),
        (HOSTNAME.of(peer), format!("robot{number}"), HOSTNAME.lifetime()),
        (VERSION.of(peer), "0.1.0".to_owned(), VERSION.lifetime()),
        (ROBOT.of(peer), r#"{"configuration":"DB21J","type":"duckiebot"}"#.to_owned(), ROBOT.lifetime()),
        (ADDRESSES.of(peer), format!("{host}/tcp/8000/dswarm-line"), ADDRESSES.lifetime()),
        (IPFS_ADDRESSES.of(peer), format!("{host}/tcp/6002/p2p/{peer}"), IPFS_ADDRESSES.lifetime()),
    ];
    for ((bucket, data, lifetime), sequence) in facts.into_iter().zip(1..) {
        let item = Item { bucket, data: Data::new(&data).unwrap() };
        let statement = Statement::new(Kind::Propose, item, Validity::starting(NOW, lifetime)).unwrap();
        set.admit_verified(Record::sign(statement, &key, sequence, End::default()), NOW).unwrap();
    }
}

/// Returns the processor time of this thread in milliseconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6
}

/// Returns the median processor time of several runs, in milliseconds.
fn median(mut run: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = cpu();
            run();
            cpu() - begun
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

fn main() {
    let mut set = Set::new(Policy::default(), Limits::default());
    for number in 0..ROBOTS {
        add(&mut set, number);
    }
    let me = Keypair::from_seed([1; 32]).peer_id();
    let around = Surroundings { me, is_copied: false, sightings: Vec::new(), foreign: Vec::new() };
    let table = rows(&set, NOW, &around);
    println!("{} records, {} rows", set.len(), table.len());
    let made = median(|| drop(rows(&set, NOW, &around)));
    let text = median(|| drop(serde_json::to_string(&table).unwrap()));
    println!("table: {made:.1} ms of processor time, {:.1} of its JSON ({text:.1} ms)", made / text);
}
