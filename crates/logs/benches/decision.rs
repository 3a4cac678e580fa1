//! Cost of a decision beside 60,000 files of 15 strangers, the quota of strangers, as a ratio of the cost of an index of
//! all files in the same run.
//!
//!     cargo bench -p logs
//!
//! A decision considers a bounded number of files, so the ratio has to be small.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails has nothing to print")]

use dcache::{End, Keypair, Kind, Limits, Moment, Policy, Record, Set, Statement, Time, Validity};
use logs::buckets::{LIFETIME, Station};
use logs::{Description, Replication, index};
use service::Decide as _;

const NOW: Time = Time(1_800_000_000);
const ROUNDS: usize = 5;

fn numbered(seed: u8, number: u64) -> ipfs::Cid {
    let text = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    let mut bytes = logs::buckets::parse(text).unwrap().to_bytes();
    let end = bytes.len() - 8;
    bytes[end - 1] = seed;
    bytes[end..].copy_from_slice(&number.to_be_bytes());
    ipfs::Cid::try_from(bytes.as_slice()).unwrap()
}

/// Makes a peer list `many` files.
fn list(set: &mut Set, seed: u8, many: u64) {
    let key = Keypair::from_seed([seed; 32]);
    for number in 0..many {
        let item = Station::Files.item(&numbered(seed, number));
        let statement = Statement::new(Kind::Propose, item, Validity::starting(NOW, LIFETIME)).unwrap();
        set.admit_verified(Record::sign(statement, &key, number + 1, End::default()), NOW).unwrap();
    }
}

/// Returns the processor time of this thread in milliseconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6
}

fn resident_mib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4 / 1024
}

fn main() {
    let mut set = Set::new(Policy::default(), Limits::default());
    for seed in 10..25 {
        list(&mut set, seed, 3999);
    }
    list(&mut set, 1, 1);
    let mut replication = Replication::new(Keypair::from_seed([2; 32]).peer_id());
    let uploader = Keypair::from_seed([1; 32]).peer_id();
    let description = Description {
        filename: "a.bag".to_owned(),
        path: None,
        size: 5,
        changed: NOW,
        uploader,
        recording: None,
    };
    replication.set_kept([(numbered(1, 0), description)].into());
    println!("{} records, resident {} MiB", set.len(), resident_mib());
    let decision = median(|| drop(replication.decide(&set, Moment::certain(NOW))));
    let whole = median(|| drop(index(&set, NOW)));
    let edge = median(|| {
        std::hint::black_box(set.next_edge(&[dcache::buckets::SHARE.matcher()], NOW));
    });
    println!("index of all files: {whole:.1} ms of processor time");
    println!("decision: {decision:.1} ms, {:.3} of the index", decision / whole);
    println!("next edge of all records: {edge:.1} ms, {:.3} of the index", edge / whole);
    println!("resident {} MiB", resident_mib());
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
