//! Power cuts at every operation of the metadata store: what was accepted stays accepted, and versions never go back.
//!
//! A node lives through refreshes and searches on a disk that records each operation. For every prefix of these
//! operations, the test builds the possible contents of the disk after a power cut, as the tests of the record store do.
//! The node must find the state of the last step that was completed, or of the step that was in progress. It must refuse
//! the metadata that it had refused before the cut, and must be able to go on.
//!
//! `DT_SWARM_POWER_CUTS` multiplies the number of random subsets of unsynced sectors for each point.
#![expect(clippy::unwrap_used, reason = "a panic fails the test with a message")]

mod common;

use common::*;
use database::{Journal, SimulatedDisk, Survives};
use std::path::Path;
use std::sync::Arc;
use store::{Fault, Faults, Store};
use tuf::edit::{Delegation, TopRole};
use tuf::{
    Client, ClientError, FileName, MetadataStore, Mirror, MirrorError, Refresh, Row, Saved, TargetsRole,
};

/// Number of random subsets for each point, if `DT_SWARM_POWER_CUTS` is not set.
const SUBSETS: u64 = 2;

/// The state that must be on the disk after a number of operations, because a step has returned.
struct Promise {
    after: usize,
    saved: Saved,
}

/// A recorded life.
struct Life {
    journal: Journal,
    promises: Vec<Promise>,
    /// The files of the publisher after each release.
    releases: Vec<Files>,
    bootstrap: Vec<u8>,
}

impl Life {
    fn promise(&mut self, store: &MetadataStore) {
        self.promises.push(Promise { after: self.journal.len(), saved: store.load().unwrap() });
    }

    /// Refreshes from a release, and searches for a delegated target. Each step that returns is a promise.
    async fn refresh(&mut self, store: &MetadataStore, files: &Files) {
        let mut refresh = Refresh::begin(&self.bootstrap, store.load().unwrap(), WITH_CLOCK).unwrap();
        while let Some(request) = refresh.request() {
            let changes = refresh.supply(files.get(request.name.as_ref()).map(Vec::as_slice)).unwrap();
            store.save(changes).await.unwrap();
            self.promise(store);
        }
        let mut verified = refresh.finish().unwrap();
        let mut search = verified.search(path("lab/a"), WITH_CLOCK).unwrap();
        while let Some(request) = search.request() {
            let changes = search.supply(files.get(request.name.as_ref()).map(Vec::as_slice)).unwrap();
            store.save(changes).await.unwrap();
            self.promise(store);
        }
        assert!(search.finish().is_some());
    }
}

fn releases() -> Vec<Files> {
    let mut publisher = Publisher::new();
    let lab = Delegation {
        name: "lab".parse().unwrap(),
        keys: keys(&[8], 1),
        paths: vec!["lab/*".to_owned()],
        terminating: false,
    };
    publisher.repository.delegate(&TargetsRole::Top, &lab, NOW.days(90)).unwrap();
    publisher.repository.set_target(&role("lab"), &path("lab/a"), content("x")).unwrap();
    publisher.signers.push(8);
    let mut releases = vec![publisher.release("version 1")];
    releases.push(publisher.release("version 2"));
    publisher.rotate(TopRole::Root, &[11, 12], 2);
    publisher.repository.set_target(&role("lab"), &path("lab/a"), content("y")).unwrap();
    releases.push(publisher.release("version 3"));
    publisher.rotate(TopRole::Timestamp, &[17], 1);
    releases.push(publisher.release("version 4"));
    releases
}

async fn life(file: &Path) -> Life {
    let releases = releases();
    let bootstrap = releases[0]["1.root.json"].clone();
    let journal = Journal::recording();
    let store = Store::open_with_faults(file, Faults::recorded_in(journal.clone())).unwrap().0;
    let store = MetadataStore::new(&Arc::new(store), "releases");
    let mut life = Life { journal, promises: Vec::new(), releases, bootstrap };
    life.promise(&store);
    for files in life.releases.clone() {
        life.refresh(&store, &files).await;
        // Nothing is new.
        life.refresh(&store, &files).await;
    }
    life
}

/// Checks what is left of a life after a power cut. The node then goes on with the newest release.
async fn check(life: &Life, cut: usize, file: &Path) {
    let store = MetadataStore::new(&Arc::new(Store::open(file).unwrap().0), "releases");
    let saved = store.load().unwrap();
    let kept = life.promises.partition_point(|promise| promise.after <= cut);
    match kept.checked_sub(1) {
        None => assert!(saved.is_empty()),
        Some(last) => {
            let allowed = &life.promises[last..life.promises.len().min(kept + 1)];
            let is_allowed = allowed.iter().any(|promise| promise.saved == saved);
            assert!(
                is_allowed,
                "cut {cut}: the store has none of the states that are allowed: {:?}",
                saved.keys()
            );
        }
    }
    let newest = life.releases.last().unwrap();
    let client = Client::new(Memory(newest.clone()), store.clone(), life.bootstrap.clone());
    assert_eq!(client.refresh(WITH_CLOCK).await.unwrap().versions().root, 3);
    // No step was too much, and none is missing.
    let expected = &life.promises.last().unwrap().saved;
    let is_delegated = |row: &Row| matches!(row, Row::Delegated(_));
    let found = store.load().unwrap();
    assert!(
        found
            .iter()
            .filter(|(row, _)| !is_delegated(row))
            .eq(expected.iter().filter(|(row, _)| !is_delegated(row)))
    );
}

/// Each step of the life keeps what the node refused before.
#[tokio::test]
async fn no_step_makes_a_node_accept_what_it_refused_before() {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let life = life(&folder.path().join("store.redb")).await;
    let mut refused_before = 0;
    for promise in &life.promises {
        let node = Node { bootstrap: life.bootstrap.clone(), saved: promise.saved.clone() };
        let refused = refused(&node, &life.releases);
        assert!(refused >= refused_before, "{:?}", promise.saved.keys());
        refused_before = refused;
    }
    assert_eq!(refused_before, life.releases.len() - 1);
}

/// Returns the number of releases that a node refuses.
fn refused(node: &Node, releases: &[Files]) -> usize {
    releases.iter().filter(|files| node.clone().refresh(files, WITH_CLOCK).is_err()).count()
}

#[tokio::test]
async fn a_power_cut_at_any_operation_loses_no_step_that_was_completed() {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let file = folder.path().join("store.redb");
    let life = life(&file).await;
    let operations = life.journal.operations();
    assert!(operations.len() > 50, "{}", operations.len());
    let times = std::env::var("DT_SWARM_POWER_CUTS").map_or(1, |times| times.parse().unwrap());
    let mut disk = SimulatedDisk::new(None);
    for cut in 0..=operations.len() {
        if let Some(done) = cut.checked_sub(1) {
            disk.apply(&operations[done]);
        }
        let subsets = (0..SUBSETS * times).map(|subset| Survives::Some(subset << 32 | cut as u64));
        for survives in [Survives::Everything, Survives::Nothing].into_iter().chain(subsets) {
            match disk.after_power_cut(survives) {
                Some(image) => std::fs::write(&file, image).unwrap(),
                None => drop(std::fs::remove_file(&file)),
            }
            check(&life, cut, &file).await;
        }
    }
}

#[tokio::test]
#[should_panic(expected = "none of the states that are allowed")]
async fn the_test_detects_a_disk_that_ignores_syncs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.redb");
    let life = life(&file).await;
    let operations = life.journal.operations();
    let mut disk = SimulatedDisk::new(None);
    let from = life.promises[3].after;
    let is_kept = |at: usize| at < from || operations[at] != database::Operation::Sync;
    (0..operations.len()).filter(|at| is_kept(*at)).for_each(|at| disk.apply(&operations[at]));
    std::fs::write(&file, disk.after_power_cut(Survives::Nothing).unwrap()).unwrap();
    check(&life, operations.len(), &file).await;
}

/// A mirror in memory.
struct Memory(Files);

impl Mirror for Memory {
    async fn fetch(&self, name: &FileName, _: u64) -> Result<Option<Vec<u8>>, MirrorError> {
        Ok(self.0.get(name.as_ref()).cloned())
    }
}

#[tokio::test]
async fn a_disk_that_fails_stops_the_refresh_and_nothing_is_trusted_that_is_not_on_it() {
    let releases = releases();
    for (old, fault) in [(0, Fault::Full), (0, Fault::Dead), (2, Fault::Full), (2, Fault::Dead)] {
        let mut failures = 0;
        for after in 0..200 {
            let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
            let faults = Faults::default();
            let store = Store::open_with_faults(&folder.path().join("store"), faults.clone()).unwrap().0;
            let store = MetadataStore::new(&Arc::new(store), "releases");
            let bootstrap = releases[0]["1.root.json"].clone();
            let client = |files: &Files| Client::new(Memory(files.clone()), store.clone(), bootstrap.clone());
            client(&releases[old]).refresh(WITH_CLOCK).await.unwrap();
            faults.begin(fault, after);
            let refreshed = client(&releases[3]).refresh(WITH_CLOCK).await;
            faults.end();
            let Err(error) = refreshed else { break };
            failures += 1;
            assert!(matches!(&error, ClientError::Store { .. }), "{error}");
            let verified = client(&releases[3]).refresh(WITH_CLOCK).await.unwrap();
            assert_eq!(verified.versions().root, 3);
            assert!(client(&releases[old]).refresh(WITH_CLOCK).await.is_err());
        }
        assert!((1..200).contains(&failures), "{failures}");
    }
}
