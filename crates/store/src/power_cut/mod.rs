//! Tests of a power cut at every point of a recorded workload: a commit that has returned is never lost, and no commit
//! is visible in part.
//!
//! A store works on a disk that records each operation. For every prefix of these operations, the test builds the
//! possible contents of the disk after a power cut, and opens the file. In one of them, all data that was written
//! survives; in another, only the synced data; in the others, also random subsets of the unsynced sectors. The store
//! must open in the state of the last commit that returned, or of the commit that was in progress. The state of a
//! commit that has returned is called a *promise*. The model has no disk that damages synced data, or that reports a
//! sync that it did not make.
//!
//! `DT_SWARM_POWER_CUTS` multiplies the number of subsets, and thereby the time that the tests take:
//! `DT_SWARM_POWER_CUTS=200 cargo test -p store power_cut`

mod migration;
mod recording;
mod state;
mod workload;

use crate::{Batch, Opened, Store};
use database::{Operation, SimulatedDisk, Survives};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use recording::{Promise, Recorder, Recording};
use state::State;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Number of subsets for each point, if `DT_SWARM_POWER_CUTS` is not set.
const SUBSETS: u64 = 3;
/// Maximum number of losses that are reported. A single bug in the store causes thousands of losses.
const MAX_LOSSES_TOLD: usize = 5;

/// Reason why the state after a power cut is wrong.
#[derive(Debug, thiserror::Error)]
enum Loss {
    #[error("the store cannot be opened, read or written: {0}")]
    Refused(String),
    #[error("the store had been created before the cut, but the opening returned {0:?}")]
    NoStore(Opened),
    #[error("a commit that had returned is missing; the store has {0:?}")]
    Older(State),
    #[error("the state is not that of any commit: {0:?}")]
    Torn(State),
}

/// A loss, and how to reproduce it.
#[derive(Debug, thiserror::Error)]
#[error("power cut {cut}, {survives:?} of the unsynced data survived: {loss}")]
struct Found {
    /// Describes the point of the power cut, such as "after 7 operations".
    cut: String,
    survives: Survives,
    loss: Loss,
}

/// Folder in which disk images are opened. It is in memory if possible: the disk is simulated, so syncs of a real disk
/// would only make the tests slower.
struct Bench {
    _folder: TempDir,
    file: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        Self { file: folder.path().join("records.redb"), _folder: folder }
    }

    fn lay(&self, image: Option<&[u8]>) {
        match image {
            Some(image) => std::fs::write(&self.file, image).unwrap(),
            None => drop(std::fs::remove_file(&self.file)),
        }
    }

    /// Opens the content that survived, and checks it against the promises made before the cut. Then checks that the
    /// store still works.
    fn check(&self, image: Option<&[u8]>, recording: &Recording, cut: usize) -> Result<(), Loss> {
        self.lay(image);
        let (store, opened) = open(&self.file)?;
        let mut state = State::of(&store).map_err(Loss::Refused)?;
        judge(opened, &state, recording, cut)?;
        let batch = Batch { sequence: Some(10_001), ..workload::put(10_000..10_001, 10_001) };
        store.write(&batch).map_err(|error| Loss::Refused(error.to_string()))?;
        state.write(&batch);
        drop(store);
        let (store, opened) = open(&self.file)?;
        let found = State::of(&store).map_err(Loss::Refused)?;
        if found == state && is_store(&opened, &found) { Ok(()) } else { Err(Loss::Torn(found)) }
    }
}

fn open(file: &Path) -> Result<(Store, Opened), Loss> {
    Store::open(file).map_err(|error| Loss::Refused(error.to_string()))
}

fn is_store(opened: &Opened, state: &State) -> bool {
    *opened == Opened::Existing { records: state.records() }
}

fn judge(opened: Opened, found: &State, recording: &Recording, cut: usize) -> Result<(), Loss> {
    let allowed = recording.allowed(cut);
    let is_in = |promises: &[Promise]| promises.iter().any(|promise| promise.state == *found);
    if allowed.is_empty() {
        // The first opening had not returned yet. The store must be empty, for any content of the file. The file may
        // even have been set aside, because there was no promise.
        return if *found == State::default() { Ok(()) } else { Err(Loss::Torn(found.clone())) };
    }
    if !is_store(&opened, found) {
        return Err(Loss::NoStore(opened));
    }
    if is_in(allowed) {
        return Ok(());
    }
    Err(if is_in(&recording.promises) { Loss::Older(found.clone()) } else { Loss::Torn(found.clone()) })
}

/// Calls `work` for every point of the recording, on all cores, and returns the losses found.
fn at_every_cut(
    recording: &Recording,
    work: impl Fn(&Bench, &SimulatedDisk, usize) -> Vec<Found> + Sync,
) -> Vec<Found> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let share = |worker: usize| {
        let (bench, mut disk, mut found) =
            (Bench::new(), SimulatedDisk::new(recording.before.clone()), Vec::new());
        for cut in 0..=recording.operations.len() {
            if let Some(done) = cut.checked_sub(1) {
                disk.apply(&recording.operations[done]);
            }
            if cut % workers == worker && found.len() < MAX_LOSSES_TOLD {
                found.extend(work(&bench, &disk, cut));
            }
        }
        found
    };
    std::thread::scope(|scope| {
        let share = &share;
        let workers: Vec<_> = (0..workers).map(|worker| scope.spawn(move || share(worker))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// Returns the losses at every point: with all data, with only the synced data, and with the given number of subsets.
fn losses(recording: &Recording, subsets: u64) -> Vec<Found> {
    at_every_cut(recording, |bench, disk, cut| {
        let check = |survives| {
            let image = disk.after_power_cut(survives);
            let loss = bench.check(image.as_deref(), recording, cut).err()?;
            Some(Found { cut: format!("after {cut} operations"), survives, loss })
        };
        let subsets = (0..subsets).map(|subset| Survives::Some(seed(cut, subset)));
        [Survives::Everything, Survives::Nothing].into_iter().chain(subsets).filter_map(check).collect()
    })
}

fn seed(cut: usize, subset: u64) -> u64 {
    subset << 32 | cut as u64
}

/// Returns the factor for the number of subsets.
fn times() -> u64 {
    std::env::var("DT_SWARM_POWER_CUTS").map_or(1, |times| times.parse().unwrap())
}

fn assert_none(found: &[Found]) {
    let told: Vec<String> = found.iter().take(MAX_LOSSES_TOLD).map(ToString::to_string).collect();
    assert!(found.is_empty(), "{}", told.join("\n"));
}

fn new_length(operation: &Operation) -> Option<u64> {
    if let Operation::SetLength(length) = operation { Some(*length) } else { None }
}

#[test]
fn returned_commits_survive_and_none_is_visible_in_part() {
    let recording = workload::all();
    let lengths: Vec<u64> = recording.operations.iter().filter_map(new_length).collect();
    assert!(lengths.windows(2).any(|pair| pair[0] < pair[1]), "the file grows: {lengths:?}");
    assert!(lengths.windows(2).any(|pair| pair[0] > pair[1]), "the file shrinks: {lengths:?}");
    assert_none(&losses(&recording, SUBSETS * times()));
}

/// Opens the content that survived, and closes it. Returns `None` if it was set aside, which is allowed only before the
/// first promise.
fn open_again(bench: &Bench, image: Option<&[u8]>) -> Option<Recording> {
    bench.lay(image);
    Some(Recorder::open(&bench.file)?.close())
}

/// The power comes back, the store is opened, and the power is lost again during the opening or soon after.
#[test]
fn a_second_power_cut_during_recovery_loses_nothing() {
    let recording = workload::all();
    let again = |bench: &Bench, disk: &SimulatedDisk, first: usize, seed: u64| {
        let survives = Survives::Some(seed);
        let (image, promised) = (disk.after_power_cut(survives), recording.allowed(first).first()?);
        let mut later = open_again(bench, image.as_deref()).unwrap();
        // Until the second opening returns, the store must have the promise of the first run. After that, it must have
        // the promise of the second opening.
        later.promises.insert(0, Promise { after: 0, ..promised.clone() });
        let mut random = ChaCha8Rng::seed_from_u64(!seed);
        // Without any operation, the second cut would equal the first. The state could then be that of the commit in
        // progress, which `later` does not allow.
        let second = random.random_range(1..=later.operations.len());
        let image = later.disk(second).after_power_cut(survives);
        let loss = bench.check(image.as_deref(), &later, second).err()?;
        let cut = format!("after {first} operations and, once opened, {second} more");
        Some(Found { cut, survives, loss })
    };
    assert_none(&at_every_cut(&recording, |bench, disk, cut| {
        (0..times()).filter_map(|subset| again(bench, disk, cut, seed(cut, subset))).collect()
    }));
}

/// After a kill, the operating system still shows all data that the store wrote, synced or not. The next process uses
/// this data, so it must be on the disk when the opening returns. The same holds for the name of the file.
#[test]
fn the_state_found_after_a_kill_survives_later_power_cuts() {
    let recording = workload::all();
    assert_none(&at_every_cut(&recording, |bench, disk, cut| {
        let killed = disk.after_power_cut(Survives::Everything);
        let Some(later) = open_again(bench, killed.as_deref()) else {
            assert!(recording.allowed(cut).is_empty(), "cut {cut}");
            return Vec::new();
        };
        let opened = later.promises[0].after;
        let mut disk = disk.clone();
        later.operations[..opened].iter().for_each(|operation| disk.apply(operation));
        let survives = Survives::Nothing;
        let checked = bench.check(disk.after_power_cut(survives).as_deref(), &later, opened);
        let cut = format!("after a kill after {cut} operations, and an opening");
        checked.err().map(|loss| Found { cut, survives, loss }).into_iter().collect()
    }));
}

/// The only case in which a power cut leaves a damaged file: redb writes the magic number of a new file last.
#[test]
fn an_unfinished_new_file_is_set_aside_before_the_first_opening_returns() {
    let (recording, bench) = (workload::few(), Bench::new());
    let first_sync = recording.operations.iter().position(|operation| *operation == Operation::Sync).unwrap();
    assert!(first_sync < recording.promises[0].after);
    bench.lay(recording.disk(first_sync + 1).after_power_cut(Survives::Everything).as_deref());
    let (store, opened) = Store::open(&bench.file).unwrap();
    assert!(matches!(opened, Opened::SetAside { .. }), "{opened:?}");
    assert_eq!(State::of(&store).unwrap(), State::default());
}

/// Makes every sync after the first `after` operations do nothing.
fn lying(mut recording: Recording, after: usize) -> Recording {
    for operation in &mut recording.operations[after..] {
        if *operation == Operation::Sync {
            *operation = Operation::Write { offset: 0, bytes: Vec::new() };
        }
    }
    recording
}

#[test]
fn the_test_detects_a_disk_that_ignores_syncs() {
    let begun = workload::few().promises[0].after;
    let found = losses(&lying(workload::few(), begun), 0);
    assert!(found.iter().any(|found| matches!(found.loss, Loss::Older(_))), "{found:?}");
    let found = losses(&lying(workload::few(), begun - 2), 0);
    assert!(found.iter().any(|found| matches!(found.loss, Loss::NoStore(_))), "{found:?}");
}

#[test]
fn the_test_detects_a_change_made_in_two_commits() {
    let mut recording = workload::few();
    recording.promises.remove(3);
    let found = losses(&recording, 0);
    assert!(found.iter().any(|found| matches!(found.loss, Loss::Torn(_))), "{found:?}");
}

#[test]
fn the_test_detects_a_file_name_that_was_never_synced() {
    let mut recording = workload::few();
    recording.operations.retain(|operation| *operation != Operation::SyncFolder);
    for promise in &mut recording.promises {
        promise.after -= 1;
    }
    let found = losses(&recording, 0);
    assert!(found.iter().any(|found| matches!(found.loss, Loss::NoStore(Opened::Fresh))), "{found:?}");
}
