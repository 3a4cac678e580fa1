//! Measures the processor time of a decision beside 60,000 files of 15 strangers, the quota of strangers:
//!
//!     cargo test -p logs --test decision_time -- --ignored --nocapture
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use dcache::{End, Keypair, Kind, Limits, Moment, Policy, Record, Set, Statement, Time, Validity};
use logs::buckets::{LIFETIME, Station};
use logs::{Description, Replication, index};
use service::Decide as _;

const NOW: Time = Time(1_800_000_000);

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

#[test]
#[ignore = "measures"]
fn a_decision_beside_many_files_of_strangers() {
    let mut set = Set::new(Policy::default(), Limits::default());
    for seed in 10..25 {
        list(&mut set, seed, 3999);
    }
    list(&mut set, 1, 1);
    let mut replication = Replication::new(Keypair::from_seed([2; 32]).peer_id());
    let uploader = Keypair::from_seed([1; 32]).peer_id();
    let description = Description { filename: "a.bag".to_owned(), size: 5, changed: NOW, uploader };
    replication.set_kept([(numbered(1, 0), description)].into());
    println!("{} records, resident {} MiB", set.len(), resident_mib());
    for _ in 0..5 {
        let began = cpu();
        let decision = replication.decide(&set, Moment::certain(NOW));
        let took = cpu() - began;
        println!("decide: {took:.1} ms, {} actions, resident {} MiB", decision.actions.len(), resident_mib());
    }
    let began = cpu();
    let all = index(&set, NOW).len();
    println!("index of all {all} files: {:.1} ms", cpu() - began);
    let began = cpu();
    let edge = set.next_edge(&[dcache::buckets::SHARE.matcher()], NOW);
    println!("edge of all records: {edge:?}, {:.1} ms", cpu() - began);
}
