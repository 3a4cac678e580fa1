//! Simulates a power cut at every point of a workload. Checks that all DAGs that were pinned before are complete, that
//! no wrong byte is ever read, and that the store continues to work.
//!
//! The workload runs on a disk that records the writes to the pin database. For every prefix of these writes, the
//! database is laid out as a disk may hold it after the power cut: any of the sectors that were not synced may be lost.
//! Every block file that was written since the last sync of the file system gets one of the possible states of unsynced
//! files: complete, missing, empty, truncated, full of zeros, or under its temporary name. The simulation does not
//! cover a disk that damages synced data.
//!
//! To run more histories: `DT_SWARM_POWER_CUTS=200 cargo test -p ipfs power_cut`
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use database::{Faults, Journal, Operation, SimulatedDisk, Survives};
use multihash_codetable::{Code, MultihashDigest};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use super::*;
use crate::unixfs::{Content, Format, add_file, walk_complete};

const SUBSETS: u64 = 2;
const PIECE: usize = 256 * 1024;

type Blocks = BTreeMap<PathBuf, Vec<u8>>;

/// The state after a step of the workload.
#[derive(Clone, Default)]
struct Moment {
    /// Number of operations on the database so far.
    operations: usize,
    blocks: Blocks,
    /// The block files that had been synced.
    synced: Blocks,
    /// The roots that are pinned.
    pinned: BTreeSet<Cid>,
}

struct Workload {
    folder: TempDir,
    journal: Journal,
    store: Store,
    moments: Vec<Moment>,
}

fn config(directory: &Path) -> StoreConfig {
    StoreConfig { directory: directory.to_owned(), max_bytes: 1 << 30, min_free_bytes: 0 }
}

fn block(number: usize) -> (Cid, Vec<u8>) {
    let data = format!("block {number} ").repeat(100 + number * 7).into_bytes();
    (Cid::new_v1(0x55, Code::Sha2_256.digest(&data)), data)
}

fn read_blocks(directory: &Path) -> Blocks {
    let mut blocks = Blocks::new();
    for shard in fs::read_dir(directory.join("blocks")).unwrap() {
        for file in fs::read_dir(shard.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            blocks.insert(path.strip_prefix(directory).unwrap().to_owned(), fs::read(&path).unwrap());
        }
    }
    blocks
}

impl Workload {
    fn new() -> Self {
        // In memory if possible, because syncing a real disk only takes time.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let journal = Journal::recording();
        let pins = pins::location(folder.path()).with_faults(Faults::recorded_in(journal.clone()));
        let (store, _) = Store::open_with(config(folder.path()), &pins).unwrap();
        let mut new = Self { folder, journal, store, moments: Vec::new() };
        new.note(|_| {});
        new
    }

    /// Records the state after a step. `promise` adds the blocks and roots that must survive a power cut from this point.
    fn note(&mut self, promise: impl FnOnce(&mut Moment)) {
        let mut moment = self.moments.last().cloned().unwrap_or_default();
        moment.operations = self.journal.len();
        moment.blocks = read_blocks(self.folder.path());
        promise(&mut moment);
        self.moments.push(moment);
    }

    fn put(&mut self, numbers: std::ops::Range<usize>) -> Vec<Cid> {
        let put = |number| {
            let (cid, data) = block(number);
            self.store.put(&cid, &data).unwrap();
            cid
        };
        let cids = numbers.map(put).collect();
        self.note(|_| {});
        cids
    }

    fn pin(&mut self, whole: Whole) {
        let root = whole.root;
        self.store.pin(&[whole]).unwrap();
        self.note(|moment| {
            moment.synced = moment.blocks.clone();
            moment.pinned.insert(root);
        });
    }

    fn pin_blocks(&mut self, numbers: std::ops::Range<usize>) -> Cid {
        let cids = self.put(numbers);
        let keys = cids.iter().map(BlockKey::of).collect();
        self.pin(Whole { root: cids[0], bytes: 1, keys });
        cids[0]
    }

    fn add_in_place(&mut self, name: &str, seed: u8) {
        let path = self.folder.path().canonicalize().unwrap().join(name);
        fs::write(&path, [vec![seed; PIECE], vec![seed + 1; PIECE], vec![seed + 2; 9]].concat()).unwrap();
        let added = add_file(&self.store, &Content::InPlace(path), Format::V1, &mut |_, _, _| true).unwrap();
        self.note(|_| {});
        self.pin(walk_complete(&self.store, &added.root, None).unwrap());
    }

    fn run() -> Self {
        let mut work = Self::new();
        let first = work.pin_blocks(0..4);
        work.add_in_place("a", 10);
        work.pin_blocks(3..9);
        work.put(9..12);
        assert!(work.store.unpin(&first).unwrap());
        work.note(|moment| assert!(moment.pinned.remove(&first)));
        work.pin_blocks(11..14);
        work.store.collect_garbage().unwrap();
        work.note(|_| {});
        work.add_in_place("b", 20);
        // A file that replaces another at its path.
        work.add_in_place("a", 30);
        work.note(|moment| moment.pinned.clear());
        let whole = work.store.pins().unwrap().into_iter().map(|pin| pin.root);
        let incomplete = work.store.incomplete_pins().unwrap();
        let whole: BTreeSet<Cid> = whole.filter(|root| !incomplete.contains(root)).collect();
        work.note(|moment| moment.pinned = whole);
        work
    }
}

/// Returns a disk that executed these operations on the database. The name of the database is durable, because the
/// first promise is given after a sync of the whole file system.
fn disk(operations: &[Operation]) -> SimulatedDisk {
    let mut disk = SimulatedDisk::new(Some(Vec::new()));
    operations.iter().for_each(|operation| disk.apply(operation));
    disk
}

/// Writes a block file in one of the states that an unsynced file may have after a power cut.
fn lay_unsynced(directory: &Path, path: &Path, data: &[u8], random: &mut ChaCha8Rng) {
    let whole = directory.join(path);
    match random.random_range(0..6) {
        0 => {}
        1 => lay(&whole, &[]),
        2 => lay(&whole, &data[..data.len() / 2]),
        3 => lay(&whole, &vec![0; data.len()]),
        4 => lay(&whole.with_extension("3.partial"), data),
        _ => lay(&whole, data),
    }
}

/// Writes a file, and makes its folder if necessary.
fn lay(path: &Path, data: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, data).unwrap();
}

struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap() }
    }

    fn lay(&self, before: &Moment, after: &Moment, image: &[u8], is_synced: bool, random: &mut ChaCha8Rng) {
        let directory = self.folder.path();
        let _ = fs::remove_dir_all(directory.join("blocks"));
        BlockFiles::open(directory).unwrap();
        let synced = if is_synced { &after.synced } else { &before.synced };
        for (path, data) in before.blocks.iter().chain(&after.blocks) {
            match synced.get(path) {
                Some(data) => lay(&directory.join(path), data),
                None => lay_unsynced(directory, path, data, random),
            }
        }
        // Removed files may be gone or may reappear.
        for (path, data) in before.synced.iter().filter(|(path, _)| !after.blocks.contains_key(*path)) {
            if random.random() {
                lay(&directory.join(path), data);
            } else {
                let _ = fs::remove_file(directory.join(path));
            }
        }
        fs::write(directory.join("pins.redb"), image).unwrap();
    }

    /// Opens the store after the power cut. `must` is pinned and complete; besides it, only `may` may be pinned.
    fn check(&self, must: &BTreeSet<Cid>, may: &BTreeSet<Cid>, known: &BTreeMap<Cid, Vec<u8>>, cut: &str) {
        let (store, report) = Store::open(config(self.folder.path())).unwrap();
        assert!(report.pins_set_aside.is_none(), "{cut}: {report:?}");
        let pinned: BTreeSet<Cid> = store.pins().unwrap().into_iter().map(|pin| pin.root).collect();
        assert!(must.is_subset(&pinned), "{cut}: a pin is lost");
        assert!(pinned.is_subset(may), "{cut}: an unexpected pin");
        for (cid, data) in known {
            let read = store.get(cid).unwrap();
            assert!(read.is_none_or(|read| read == data), "{cut}: a wrong byte");
        }
        let incomplete = store.incomplete_pins().unwrap();
        assert!(incomplete.iter().all(|root| !must.contains(root)), "{cut}: a pin is not whole");
        for (cid, data) in known {
            store.put(cid, data).unwrap();
            assert_eq!(store.get(cid).unwrap().unwrap(), data, "{cut}: a block cannot be stored again");
        }
        let (root, keys) = (*known.keys().next().unwrap(), known.keys().map(BlockKey::of).collect());
        store.pin(&[Whole { root, bytes: 1, keys }]).unwrap();
        drop(store);
        let (store, report) = Store::open(config(self.folder.path())).unwrap();
        assert!(store.is_pinned(&root).unwrap() && !report.incomplete_pins.contains(&root), "{cut}");
    }
}

/// Returns every block of the workload.
fn known(work: &Workload) -> BTreeMap<Cid, Vec<u8>> {
    let mut known: BTreeMap<Cid, Vec<u8>> = (0..14).map(block).collect();
    for moment in &work.moments {
        for data in moment.blocks.values() {
            known.insert(Cid::new_v1(0x55, Code::Sha2_256.digest(data)), data.clone());
        }
    }
    known
}

#[test]
fn pinned_content_survives_and_no_wrong_byte_is_read() {
    let work = Workload::run();
    let (known, bench) = (known(&work), Bench::new());
    let times: u64 = std::env::var("DT_SWARM_POWER_CUTS").map_or(1, |times| times.parse().unwrap());
    let journal = work.journal.operations();
    // Files served in place are read at the paths where the workload wrote them. So the test expects no content of
    // files that were replaced by others.
    let steady = work.moments.last().unwrap().pinned.clone();
    let mut cuts = 0;
    for pair in work.moments.windows(2) {
        let [before, after] = pair else { unreachable!() };
        for operations in before.operations..=after.operations {
            let disk = disk(&journal[..operations]);
            for seed in 0..SUBSETS * times {
                let seed = seed << 32 | operations as u64;
                let mut random = ChaCha8Rng::seed_from_u64(!seed);
                let image = disk.after_power_cut(Survives::Some(seed)).unwrap();
                let is_synced = operations > before.operations;
                bench.lay(before, after, &image, is_synced, &mut random);
                let must = before.pinned.intersection(&after.pinned).copied();
                let must = must.filter(|root| steady.contains(root) || block_root(root)).collect();
                let may = before.pinned.union(&after.pinned).copied().chain(all_roots(&work)).collect();
                bench.check(&must, &may, &known, &format!("after {operations} operations, seed {seed}"));
                cuts += 1;
            }
        }
    }
    println!("{cuts} power cuts");
    assert!(cuts > 100);
}

/// Returns whether the root consists of stored blocks, which do not depend on files.
fn block_root(root: &Cid) -> bool {
    (0..14).any(|number| block(number).0 == *root)
}

fn all_roots(work: &Workload) -> impl Iterator<Item = Cid> {
    work.moments.iter().flat_map(|moment| moment.pinned.iter().copied())
}

/// Proves that the check works: without a sync it fails.
#[test]
#[should_panic(expected = "a pin is not whole")]
fn the_check_detects_a_pin_without_a_sync_before_it() {
    let mut work = Workload::new();
    work.pin_blocks(0..8);
    let (known, bench) = (known(&work), Bench::new());
    let journal = work.journal.operations();
    let mut moment = work.moments.last().unwrap().clone();
    moment.synced.clear();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let image = disk(&journal).after_power_cut(Survives::Everything).unwrap();
    bench.lay(&moment, &moment, &image, true, &mut random);
    bench.check(&moment.pinned, &moment.pinned, &known, "at the end");
}
