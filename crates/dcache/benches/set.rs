//! Costs of the set, as ratios of figures from one run. Absolute figures depend on the machine and are noisy.
//!
//!     cargo bench -p dcache
//!
//! Each figure is the median of several rounds. All work runs on one core.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that fails has nothing to print")]

use dcache::{
    Data, End, Item, Keypair, Kind, Limits, Moment, PeerId, Policy, Record, Set, Signature, Statement, Time,
    Validity,
};
use std::hint::black_box;
use std::time::{Duration, Instant};

const NOW: Time = Time(1_800_000_000);
const ROUNDS: usize = 5;
/// Size of the measured payloads, in bytes.
const PAYLOAD_BYTES: usize = 146;

fn main() {
    println!("payloads of {PAYLOAD_BYTES} bytes, medians of {ROUNDS} rounds");
    ingest(20_000);
    point_queries();
    crowd();
    reopening(100_000);
}

/// Returns the median time of several rounds, each with a fresh input.
fn median<T>(mut make: impl FnMut() -> T, mut run: impl FnMut(T)) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let made = make();
            let begun = Instant::now();
            run(made);
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}

fn micros(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}

/// Returns item number `n`, whose payload has [`PAYLOAD_BYTES`] bytes. Its data resembles real data: a CID with a
/// number.
fn item(n: usize) -> Item {
    let digits = format!("{n:08}");
    // The digits are reversed, so that the items are in no order, like hashes.
    let scattered: String = digits.chars().rev().collect();
    let data = format!("bafybeih{scattered}{}", "q".repeat(PAYLOAD_BYTES - 91 - 16));
    Item { bucket: "share/files".parse().unwrap(), data: Data::new(&data).unwrap() }
}

fn statement(n: usize) -> Statement {
    let statement = Statement::new(Kind::Propose, item(n), Validity::starting(NOW, 7 * 86_400)).unwrap();
    assert_eq!(statement.payload().len(), PAYLOAD_BYTES);
    statement
}

/// Returns signed payloads in the form in which they arrive on a channel.
fn signed(count: usize) -> Vec<(String, Signature)> {
    let keys: Vec<Keypair> = (0..100u8).map(|seed| Keypair::from_seed([seed; 32])).collect();
    let sign = |n: usize| {
        let payload = statement(n).payload().into_owned();
        let signature = keys[n % keys.len()].sign(n as u64 + 1, End::default(), &payload);
        (payload, signature)
    };
    (0..count).map(sign).collect()
}

fn empty() -> Set {
    Set::new(Policy::default(), Limits::NONE)
}

fn admit_all(set: &mut Set, signed: &[(String, Signature)]) {
    for (payload, signature) in signed {
        black_box(set.admit(Statement::parse(payload).unwrap(), *signature, NOW).unwrap());
    }
}

/// Measures the signature library alone: the same messages, with decoded keys.
fn verify_all(signed: &[(String, Signature)]) -> Duration {
    type Ready = (ed25519_dalek::VerifyingKey, Vec<u8>, ed25519_dalek::Signature);
    let ready: Vec<Ready> = signed
        .iter()
        .map(|(payload, signature)| {
            let key = ed25519_dalek::VerifyingKey::from_bytes(signature.signer.public_key()).unwrap();
            let domain: &[u8] = b"dt-swarm record v1\0";
            let message = [domain, &signature.sequence.to_be_bytes(), payload.as_bytes()].concat();
            (key, message, ed25519_dalek::Signature::from_bytes(&signature.bytes))
        })
        .collect();
    median(
        || (),
        |()| ready.iter().for_each(|(key, message, bytes)| key.verify_strict(message, bytes).unwrap()),
    )
}

fn ingest(count: usize) {
    let signed = signed(count);
    let raw = verify_all(&signed);
    let fresh = median(empty, |mut set| admit_all(&mut set, &signed));
    let mut set = empty();
    admit_all(&mut set, &signed);
    let known = median(|| (), |()| admit_all(&mut set, &signed));
    let text =
        median(|| (), |()| signed.iter().for_each(|(payload, _)| drop(black_box(Statement::parse(payload)))));
    println!("\n{count} records from text into the set, per record:");
    println!("  signature library alone {:8.2} µs", micros(raw, count));
    println!(
        "  verified ingest         {:8.2} µs   {:.2} of the library's rate (aim: 0.8)",
        micros(fresh, count),
        raw.as_secs_f64() / fresh.as_secs_f64()
    );
    println!(
        "  known records again     {:8.2} µs   {:.0} times faster than ingest (aim: 20)",
        micros(known, count),
        fresh.as_secs_f64() / known.as_secs_f64()
    );
    println!("  parsing the text alone  {:8.2} µs", micros(text, count));
}

/// Returns a record with an invalid signature, which is never verified. Signing a million records would take too long.
fn unsigned(n: usize) -> Record {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&(n as u64 % 1000).to_be_bytes());
    let signer = PeerId::from_public_key(key);
    let signature = Signature { signer, sequence: n as u64 + 1, keep: End::default(), bytes: [n as u8; 64] };
    let text = statement(n).payload().into_owned();
    Record::from_own_disk(Statement::parse(&text).unwrap(), signature)
}

fn point_queries() {
    const QUERIES: usize = 100_000;
    println!("\npoint query (is this item in its bucket, and which signers propose it), {QUERIES} items:");
    let mut first = None;
    for count in [1_000, 1_000_000] {
        let before = resident_bytes();
        let mut set = empty();
        for n in 0..count {
            set.admit_verified(unsigned(n), NOW).unwrap();
        }
        let taken = resident_bytes().saturating_sub(before);
        // The step is large, so that the queries visit items far apart. Each query contains a text, like the queries of
        // users.
        let asked: Vec<String> =
            (0..QUERIES).map(|n| item(n * 7_919 % count).data.as_str().to_owned()).collect();
        let is_there = |data: &&String| {
            let item = Item { bucket: "share/files".parse().unwrap(), data: Data::new(data).unwrap() };
            set.item(&item, NOW).is_some()
        };
        let found = || asked.iter().filter(is_there).count();
        assert_eq!(found(), QUERIES);
        let time = median(
            || (),
            |()| {
                black_box(found());
            },
        );
        let slower = time.as_secs_f64() / first.get_or_insert(time).as_secs_f64();
        println!(
            "  {count:>9} records      {:8.2} µs   {slower:.1} times that of 1,000 (aim: 5)",
            micros(time, QUERIES)
        );
        if count == 1_000_000 {
            println!("\nmemory: {} bytes a record at {count} records (aim: 450)", taken / count as u64);
        }
    }
}

/// Measures one item with many signers. The original IPSD implementation compared every record of an item with every
/// other: 200 of them took seconds, and four times as many took sixteen times as long.
fn crowd() {
    println!("\none item with many signers, per record:");
    let mut first = None;
    for count in [200, 800, 12_800] {
        let signed = |n: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&(n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            let signature = Signature {
                signer: PeerId::from_public_key(key),
                sequence: 1,
                keep: End::default(),
                bytes: [0; 64],
            };
            Record::from_own_disk(statement(0), signature)
        };
        let records: Vec<Record> = (0..count).map(signed).collect();
        let admit = |mut set: Set| {
            records.iter().for_each(|record| {
                black_box(set.admit_verified(record.clone(), NOW).unwrap());
            })
        };
        let time = micros(median(empty, admit), count);
        println!(
            "  {count:>9} signers      {time:8.2} µs   {:.1} times that of 200",
            time / *first.get_or_insert(time)
        );
    }
}

/// Returns the resident memory of this process, in bytes (proc(5), statm, second field, in pages).
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc/self/statm is readable on Linux");
    let pages: u64 =
        statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("statm has a number of pages");
    pages * 4096
}

fn reopening(count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.redb");
    let signed = signed(count);
    let ingest = || {
        let mut set = empty();
        admit_all(&mut set, &signed);
        set
    };
    let begun = Instant::now();
    let set = ingest();
    let ingested = begun.elapsed();
    let store = store::Store::open(&file).unwrap().0;
    store.write(&store::Batch { put: set.records().cloned().collect(), ..store::Batch::default() }).unwrap();
    drop(store);
    let reopened = median(
        || (),
        |()| {
            let store = store::Store::open(&file).unwrap().0;
            let mut again = empty();
            again.restore(store.load().unwrap().records, Moment::certain(NOW));
            assert_eq!(again.len(), count);
        },
    );
    println!("\n{count} records after a restart:");
    println!("  from the disk           {:8.2} s", reopened.as_secs_f64());
    println!(
        "  from peers              {:8.2} s   {:.0} times as long",
        ingested.as_secs_f64(),
        ingested.as_secs_f64() / reopened.as_secs_f64()
    );
}
