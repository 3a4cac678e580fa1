//! The power is lost at every point of a recorded workload: no commit that returned is lost, none is half there.
//!
//! A store works on a disk that notes each operation. For every prefix of these operations the file is made as a disk
//! may hold it afterwards, and opened: with everything that was written; without anything that was not synced; and
//! with subsets of it, in sectors, in no order. What comes back must be what the last returned commit left, or the one
//! that was under way. Not modelled: a disk that damages what it had already synced, or lies about having synced.
//!
//! For more subsets than in a usual run, 200 times as many for instance (it takes as many times longer):
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

/// Subsets for each point of a usual run.
const SUBSETS: u64 = 3;
/// Of so many losses each is told; one mistake makes thousands.
const MAX_LOSSES_TOLD: usize = 5;

/// Why what came back is wrong.
#[derive(Debug, thiserror::Error)]
enum Loss {
    #[error("it cannot be opened, read or written: {0}")]
    Refused(String),
    #[error("a store was promised, and this was found: {0:?}")]
    NoStore(Opened),
    #[error("a promised commit is missing; held is {0:?}")]
    Older(State),
    #[error("no commit ever left this: {0:?}")]
    Torn(State),
}

/// A loss, and how to see it again.
#[derive(Debug, thiserror::Error)]
#[error("power lost {cut}, {survives:?} of the unsynced survived: {loss}")]
struct Found {
    /// After how many operations.
    cut: String,
    survives: Survives,
    loss: Loss,
}

/// Where the images are opened: in memory when possible, for here the disk is the model, and syncing the real one only
/// takes time.
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

    /// Opens what came through, and judges it by what was promised until the cut. Then it must go on working.
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
        // The first opening had not returned. Whatever lay there, an empty store came of it, and if it had to be set
        // aside, nobody had been promised anything of it.
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

/// Does `work` for every point of the recording, on all cores; returns what it found wrong.
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

/// Every point, and every way to survive it, with so many subsets.
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

/// How many times the usual number of subsets is asked for.
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
fn what_a_commit_promised_survives_and_nothing_is_half_there() {
    let recording = workload::all();
    let lengths: Vec<u64> = recording.operations.iter().filter_map(new_length).collect();
    assert!(lengths.windows(2).any(|pair| pair[0] < pair[1]), "the file grows: {lengths:?}");
    assert!(lengths.windows(2).any(|pair| pair[0] > pair[1]), "the file shrinks: {lengths:?}");
    assert_none(&losses(&recording, SUBSETS * times()));
}

/// Opens what survived, and closes it; `None` when it had to be set aside, which only an unpromised store may.
fn open_again(bench: &Bench, image: Option<&[u8]>) -> Option<Recording> {
    bench.lay(image);
    Some(Recorder::open(&bench.file)?.close())
}

/// The power comes back, the store is opened, and the power is lost again meanwhile or soon after.
#[test]
fn losing_the_power_again_while_recovering_changes_nothing() {
    let recording = workload::all();
    let again = |bench: &Bench, disk: &SimulatedDisk, first: usize, seed: u64| {
        let survives = Survives::Some(seed);
        let (image, promised) = (disk.after_power_cut(survives), recording.allowed(first).first()?);
        let mut later = open_again(bench, image.as_deref()).unwrap();
        // What was promised before holds until the opening returns; what it returned holds from then on.
        later.promises.insert(0, Promise { after: 0, ..promised.clone() });
        let mut random = ChaCha8Rng::seed_from_u64(!seed);
        // Before the first operation it is the same cut, with a commit under way.
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

/// After a kill the operating system still shows what the store wrote, synced or not. Whoever opens it acts upon that,
/// so it has to be on the disk when the opening returns; the name of the file as well.
#[test]
fn what_a_killed_store_is_found_with_survives_from_then_on() {
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
        let cut = format!("once opened after a kill after {cut} operations");
        checked.err().map(|loss| Found { cut, survives, loss }).into_iter().collect()
    }));
}

/// The one case in which a power cut makes a damaged file: redb gives a new file its magic number last.
#[test]
fn a_file_that_was_never_begun_is_set_aside_before_anything_was_promised() {
    let (recording, bench) = (workload::few(), Bench::new());
    let first_sync = recording.operations.iter().position(|operation| *operation == Operation::Sync).unwrap();
    assert!(first_sync < recording.promises[0].after);
    bench.lay(recording.disk(first_sync + 1).after_power_cut(Survives::Everything).as_deref());
    let (store, opened) = Store::open(&bench.file).unwrap();
    assert!(matches!(opened, Opened::SetAside { .. }), "{opened:?}");
    assert_eq!(State::of(&store).unwrap(), State::default());
}

/// Lets every sync after so many operations do nothing.
fn lying(mut recording: Recording, after: usize) -> Recording {
    for operation in &mut recording.operations[after..] {
        if *operation == Operation::Sync {
            *operation = Operation::Write { offset: 0, bytes: Vec::new() };
        }
    }
    recording
}

#[test]
fn a_disk_that_lies_about_syncing_is_found_out() {
    let begun = workload::few().promises[0].after;
    let found = losses(&lying(workload::few(), begun), 0);
    assert!(found.iter().any(|found| matches!(found.loss, Loss::Older(_))), "{found:?}");
    let found = losses(&lying(workload::few(), begun - 2), 0);
    assert!(found.iter().any(|found| matches!(found.loss, Loss::NoStore(_))), "{found:?}");
}

#[test]
fn a_change_made_in_two_commits_is_found_out() {
    let mut recording = workload::few();
    recording.promises.remove(3);
    let found = losses(&recording, 0);
    assert!(found.iter().any(|found| matches!(found.loss, Loss::Torn(_))), "{found:?}");
}

#[test]
fn a_name_that_was_never_synced_is_found_out() {
    let mut recording = workload::few();
    recording.operations.retain(|operation| *operation != Operation::SyncFolder);
    for promise in &mut recording.promises {
        promise.after -= 1;
    }
    let found = losses(&recording, 0);
    assert!(found.iter().any(|found| matches!(found.loss, Loss::NoStore(Opened::Fresh))), "{found:?}");
}
