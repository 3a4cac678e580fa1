//! Tests of the service with a real node, store and swarm, but without peers. They check its statements about
//! its own files.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic fails the test with a message")]

use dcache::{Keypair, Kind, Record, Statement, Validity};
use ipfs::node::{Node, NodeConfig};
use ipfs::store::StoreConfig;
use logs::buckets::Station;
use logs::{Logs, Settings, SharedFile, State, index};
use service::{Context, Service as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use swarm::{Driver, Setup, Swarm};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(60);
const SEED: [u8; 32] = [1; 32];

/// Starts a node without channels that shares `folder/shared`. All its data is in `folder`, and its tasks end with the
/// runtime.
async fn share(folder: &Path) -> (Swarm, Node) {
    let store = Arc::new(Store::open(&folder.join("records.redb")).unwrap().0);
    let keypair = Keypair::from_seed(SEED);
    let settings = brain::Settings::default();
    let (driver, swarm) = Driver::new(Setup {
        keypair,
        store: store.clone(),
        routing: Default::default(),
        policy: dcache::Policy::default(),
        wall_clock: swarm::system_clock,
        is_clock_set: swarm::is_system_clock_set,
        built: dcache::Time(1),
        settings,
        version: "test".into(),
        seed: 1,
        control_socket: None,
    });
    let (reports, events) = mpsc::channel(16);
    let switchboard = channels::Switchboard::new(reports);
    tokio::spawn(async move { driver.run(events, switchboard, CancellationToken::new()).await });
    let blocks = StoreConfig { directory: folder.join("ipfs"), max_bytes: 1 << 30, min_free_bytes: 0 };
    let key = ipfs::Keypair::ed25519_from_bytes(SEED).unwrap();
    let (node, ipfs_driver, _) = Node::start(NodeConfig::new(key, blocks)).await.unwrap();
    tokio::spawn(ipfs_driver.run(CancellationToken::new()));
    let (nodes, facts) = (watch::Sender::new(Some(node.clone())), watch::Sender::default());
    let context = Context::new("logs", swarm.clone(), store, nodes.subscribe(), facts.subscribe());
    let settings = Settings {
        shared_folder: Some(folder.join("shared")),
        settle_seconds: 0,
        rescan_seconds: 1,
        ..Settings::default()
    };
    let logs = Logs::open(context, settings).unwrap();
    tokio::spawn(async move {
        let _held = (nodes, facts);
        logs.run().await
    });
    (swarm, node)
}

/// Makes another peer state that it keeps the file.
async fn is_kept_by_another(swarm: &Swarm, file: &SharedFile) {
    let key = Keypair::from_seed([2; 32]);
    let now = swarm.read(|_, now| now).await.unwrap();
    let item = Station::Safe.item(&file.cid);
    let statement = Statement::new(Kind::Propose, item, Validity::starting(now, 3600)).unwrap();
    swarm.carry(vec![Record::sign(statement, &key, 1, dcache::End::default())]).await.unwrap();
}

/// Waits until the first shared file satisfies `is_so`, and returns the file.
async fn wait_for(swarm: &Swarm, is_so: impl Fn(&SharedFile) -> bool) -> SharedFile {
    wait_for_files(swarm, |files| files.first().is_some_and(&is_so)).await.remove(0)
}

/// Waits until the node keeps nothing but this file. The pin of another file ends after its record.
async fn is_the_only_pin(node: &Node, cid: ipfs::Cid) {
    let wait = async {
        loop {
            let pins = node.pins().await.unwrap();
            if pins.iter().map(|pin| pin.root).eq([cid]) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("the other pins end before the deadline");
}

async fn wait_for_files(swarm: &Swarm, is_so: impl Fn(&[SharedFile]) -> bool) -> Vec<SharedFile> {
    let mut changes = swarm.changes();
    let wait = async {
        loop {
            let files: Vec<SharedFile> = swarm.read(index).await.unwrap().into_values().collect();
            if is_so(&files) {
                return files;
            }
            // The timeout is needed because a statement can expire without a new record.
            let _ = tokio::time::timeout(Duration::from_millis(200), changes.recv()).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("the expected statements are made before the deadline")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_the_folder_is_proposed_and_described() {
    let folder = tempfile::tempdir().unwrap();
    let (swarm, node) = share(folder.path()).await;
    std::fs::create_dir_all(folder.path().join("shared")).unwrap();
    std::fs::write(folder.path().join("shared/still.bag.active"), "being recorded").unwrap();
    std::fs::write(folder.path().join("shared/example.bag"), "a log").unwrap();
    let file = wait_for(&swarm, |file| file.description.is_some()).await;
    let description = file.description.unwrap();
    assert_eq!((description.filename.as_str(), description.size), ("example.bag", 5));
    assert_eq!((description.uploader, file.is_described_by_uploader), (swarm.me(), true));
    assert_eq!(file.state, State::Shared, "only other peers can verify it");
    assert!(file.proposers.contains_key(&swarm.me()) && file.holders.is_empty());
    assert!(node.usage().used_bytes < 1000, "it is served in place: {:?}", node.usage());
    assert_eq!(node.store().files(0, 99).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_secret_key_is_not_shared() {
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().join("shared");
    std::fs::create_dir_all(&shared).unwrap();
    // Files are added in the order of their names.
    std::fs::write(shared.join("1.bag"), SEED).unwrap();
    std::fs::write(shared.join("2.bag"), "a log").unwrap();
    let (swarm, node) = share(folder.path()).await;
    let files = wait_for_files(&swarm, |files| files.iter().any(|file| file.description.is_some())).await;
    let names: Vec<_> =
        files.iter().filter_map(|file| Some(file.description.as_ref()?.filename.as_str())).collect();
    assert_eq!((names, node.store().files(0, 99).len()), (vec!["2.bag"], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_does_not_hold_a_deleted_file_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let (swarm, node) = share(folder.path()).await;
    let (me, path) = (swarm.me(), folder.path().join("shared/example.bag"));
    std::fs::create_dir_all(folder.path().join("shared")).unwrap();
    std::fs::write(&path, "a log").unwrap();
    let file = wait_for(&swarm, |file| file.description.is_some()).await;
    is_kept_by_another(&swarm, &file).await;
    wait_for(&swarm, |file| file.holders.contains_key(&me)).await;
    let times = std::fs::metadata(&path).unwrap().modified().unwrap();
    std::fs::remove_file(&path).unwrap();
    let file = wait_for(&swarm, |file| !file.holders.contains_key(&me)).await;
    assert_eq!((file.state, file.holders.len()), (State::Safe, 1), "the other peer still holds it");
    assert!(node.store().files(0, 99).is_empty() && node.pins().await.unwrap().is_empty());
    // The file comes back with its old modification time. With another time it would be another file.
    let again = folder.path().join("again");
    std::fs::write(&again, "a log").unwrap();
    std::fs::File::options().write(true).open(&again).unwrap().set_modified(times).unwrap();
    std::fs::rename(&again, &path).unwrap();
    wait_for(&swarm, |file| file.holders.contains_key(&me)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_rots_in_the_folder_is_neither_held_nor_shared_as_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let (swarm, node) = share(folder.path()).await;
    let (me, path) = (swarm.me(), folder.path().join("shared/example.bag"));
    std::fs::create_dir_all(folder.path().join("shared")).unwrap();
    std::fs::write(&path, "a log").unwrap();
    let file = wait_for(&swarm, |file| file.description.is_some()).await;
    is_kept_by_another(&swarm, &file).await;
    wait_for(&swarm, |file| file.holders.contains_key(&me)).await;
    let times = std::fs::metadata(&path).unwrap().modified().unwrap();
    let open = std::fs::File::options().write(true).open(&path).unwrap();
    std::io::Write::write_all(&mut &open, b"b").unwrap();
    open.set_modified(times).unwrap();
    // Reading the file detects the damage.
    assert!(node.cat(file.cid, "example.bag".into(), 100).await.is_err());
    let files =
        wait_for_files(&swarm, |files| files.iter().all(|file| !file.holders.contains_key(&me))).await;
    assert_eq!(
        files.iter().map(|file| file.cid).collect::<Vec<_>>(),
        [file.cid],
        "the damaged file is not a new file"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_replaced_by_one_of_equal_size_and_time_is_detected_without_reading() {
    let folder = tempfile::tempdir().unwrap();
    let (swarm, _node) = share(folder.path()).await;
    let (me, path) = (swarm.me(), folder.path().join("shared/example.bag"));
    std::fs::create_dir_all(folder.path().join("shared")).unwrap();
    std::fs::write(&path, "a log").unwrap();
    let file = wait_for(&swarm, |file| file.description.is_some()).await;
    is_kept_by_another(&swarm, &file).await;
    wait_for(&swarm, |file| file.holders.contains_key(&me)).await;
    let times = std::fs::metadata(&path).unwrap().modified().unwrap();
    let other = folder.path().join("other");
    std::fs::write(&other, "b log").unwrap();
    std::fs::File::options().write(true).open(&other).unwrap().set_modified(times).unwrap();
    std::fs::rename(&other, &path).unwrap();
    wait_for_files(&swarm, |files| files.iter().all(|file| !file.holders.contains_key(&me))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpinned_file_is_not_claimed_nor_pinned_until_a_user_pins_it() {
    let folder = tempfile::tempdir().unwrap();
    let (swarm, node) = share(folder.path()).await;
    let me = swarm.me();
    std::fs::create_dir_all(folder.path().join("shared")).unwrap();
    std::fs::write(folder.path().join("shared/example.bag"), "a log").unwrap();
    let file = wait_for(&swarm, |file| file.description.is_some()).await;
    is_kept_by_another(&swarm, &file).await;
    wait_for(&swarm, |file| file.holders.contains_key(&me)).await;
    assert!(node.unpin(file.cid).await.unwrap());
    wait_for(&swarm, |file| !file.holders.contains_key(&me)).await;
    // Another file makes the proposer scan the folder again. It must skip the unpinned file.
    std::fs::write(folder.path().join("shared/later.bag"), "another log").unwrap();
    let is_declared = |files: &[SharedFile]| files.iter().any(|file| file.proposers.contains_key(&me));
    let files = wait_for_files(&swarm, is_declared).await;
    let holds = |files: &[SharedFile], cid: ipfs::Cid| {
        files.iter().any(|f| f.cid == cid && f.holders.contains_key(&me))
    };
    assert!(!holds(&files, file.cid));
    let pins = node.pins().await.unwrap();
    assert!(pins.iter().all(|pin| pin.root != file.cid) && pins.len() == 1, "{pins:?}");
    node.pin(file.cid).await.unwrap();
    wait_for_files(&swarm, |files| holds(files, file.cid)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_by_a_user_stays_when_a_newer_version_is_shared() {
    let folder = tempfile::tempdir().unwrap();
    let (swarm, node) = share(folder.path()).await;
    let (me, path) = (swarm.me(), folder.path().join("shared/run.mcap"));
    std::fs::create_dir_all(folder.path().join("shared")).unwrap();
    std::fs::write(&path, "a log").unwrap();
    let old = wait_for(&swarm, |file| file.description.is_some()).await;
    is_kept_by_another(&swarm, &old).await;
    wait_for(&swarm, |file| file.holders.contains_key(&me)).await;
    node.pin_by_person(old.cid).await.unwrap();
    std::fs::write(&path, "a log that goes on").unwrap();
    let is_new = |file: &SharedFile| file.cid != old.cid && file.proposers.contains_key(&me);
    wait_for_files(&swarm, |files| files.iter().any(is_new)).await;
    wait_for_files(&swarm, |files| {
        files.iter().all(|file| file.cid != old.cid || !file.holders.contains_key(&me))
    })
    .await;
    // When the later file is shared, the proposer has finished its work on the older version. It must not unpin it.
    std::fs::write(folder.path().join("shared/later.bag"), "another log").unwrap();
    wait_for_files(&swarm, |files| files.len() == 3).await;
    assert!(node.pins().await.unwrap().iter().any(|pin| pin.root == old.cid));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_files_are_proposed_with_few_writes() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("shared")).unwrap();
    for number in 0..200 {
        std::fs::write(folder.path().join(format!("shared/{number}")), number.to_string()).unwrap();
    }
    let (swarm, node) = share(folder.path()).await;
    let me = swarm.me();
    let declared =
        |files: &[SharedFile]| files.iter().filter(|file| file.proposers.contains_key(&me)).count();
    wait_for_files(&swarm, |files| declared(files) == 200).await;
    let times: std::collections::BTreeSet<u64> =
        node.pins().await.unwrap().into_iter().map(|pin| pin.time).collect();
    assert!(times.len() < 100, "pinned at {} different times", times.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_replaces_the_older_one_once_another_peer_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let (swarm, node) = share(folder.path()).await;
    let (me, path) = (swarm.me(), folder.path().join("shared/run.mcap"));
    std::fs::create_dir_all(folder.path().join("shared")).unwrap();
    std::fs::write(&path, "a log").unwrap();
    let old = wait_for(&swarm, |file| file.description.is_some()).await;
    is_kept_by_another(&swarm, &old).await;
    wait_for(&swarm, |file| file.holders.contains_key(&me)).await;
    std::fs::write(&path, "a log that goes on").unwrap();
    let is_new = |file: &SharedFile| file.cid != old.cid && file.description.is_some();
    let both = wait_for_files(&swarm, |files| files.iter().any(is_new)).await;
    let new = both.into_iter().find(is_new).unwrap();
    let old_holders = wait_for_files(&swarm, |files| {
        files.iter().all(|file| file.cid != old.cid || !file.holders.contains_key(&me))
    });
    assert_eq!(old_holders.await.len(), 2, "the other peer's copy of the older version stays for now");
    is_kept_by_another(&swarm, &new).await;
    let left = wait_for_files(&swarm, |files| files.iter().all(|file| file.cid != old.cid)).await;
    assert_eq!(left.iter().map(|file| file.cid).collect::<Vec<_>>(), [new.cid]);
    is_the_only_pin(&node, new.cid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_open_for_writing_is_shared_when_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let (swarm, _node) = share(folder.path()).await;
    std::fs::create_dir_all(folder.path().join("shared")).unwrap();
    let mut recorder = std::fs::File::create(folder.path().join("shared/recorded.bag")).unwrap();
    std::io::Write::write_all(&mut recorder, b"a log").unwrap();
    std::fs::write(folder.path().join("shared/whole.bag"), "another log").unwrap();
    let names = |files: &[SharedFile]| -> Vec<String> {
        let known = files.iter().filter_map(|file| file.description.as_ref());
        known.map(|known| known.filename.clone()).collect()
    };
    let first = wait_for_files(&swarm, |files| !names(files).is_empty()).await;
    assert_eq!(names(&first), ["whole.bag"], "only the file that is closed is shared");
    drop(recorder);
    wait_for_files(&swarm, |files| names(files).len() == 2).await;
}

/// Makes the folder of a closed recording.
fn record(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("run_0.mcap"), recordings::samples::mcap::whole(200, "")).unwrap();
    std::fs::write(folder.join("metadata.yaml"), recordings::samples::metadata("run_0.mcap")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_ros_2_is_one_log_that_is_served_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("shared/day/run");
    record(&run);
    let (swarm, node) = share(folder.path()).await;
    let me = swarm.me();
    let log = wait_for(&swarm, |file| file.description.is_some()).await;
    let known = log.description.clone().unwrap();
    let size: u64 = ["run_0.mcap", "metadata.yaml"]
        .map(|name| std::fs::metadata(run.join(name)).unwrap().len())
        .iter()
        .sum();
    assert_eq!((known.filename.as_str(), known.size), ("run", size));
    assert_eq!(known.path.map(|path| path.to_string()).as_deref(), Some("day/run"));
    let recording = known.recording.unwrap();
    assert_eq!((recording.kind, recording.topics, recording.fault), (recordings::Kind::Ros2Folder, 2, None));
    assert_eq!(node.store().files(0, 99).len(), 2, "both files are served in place");
    assert!(node.usage().used_bytes < size, "{:?}", node.usage());
    let metadata = node.cat(log.cid, "run/metadata.yaml".into(), 1 << 20).await.unwrap();
    assert_eq!(metadata, std::fs::read(run.join("metadata.yaml")).unwrap());
    // Another file makes a new version.
    std::fs::write(run.join(".notes"), "a note").unwrap();
    std::fs::rename(run.join(".notes"), run.join("notes.txt")).unwrap();
    let is_new = |file: &SharedFile| file.cid != log.cid && file.proposers.contains_key(&me);
    let files = wait_for_files(&swarm, |files| files.iter().any(is_new)).await;
    let newer = files.into_iter().find(is_new).unwrap();
    is_kept_by_another(&swarm, &newer).await;
    wait_for_files(&swarm, |files| files.iter().all(|file| file.cid == newer.cid)).await;
    // The folder is deleted.
    std::fs::remove_dir_all(&run).unwrap();
    wait_for_files(&swarm, |files| files.iter().all(|file| !file.holders.contains_key(&me))).await;
    let is_released = async {
        while !(node.store().files(0, 99).is_empty() && node.pins().await.unwrap().is_empty()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(DEADLINE, is_released).await.expect("nothing is served or pinned any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_were_shared_singly_are_replaced_by_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("shared/run");
    record(&run);
    // The names of the parts do not show that a recorder is at work.
    let (part, metadata) = (run.join("other_0.mcap"), run.join("metadata.yaml"));
    std::fs::rename(run.join("run_0.mcap"), &part).unwrap();
    std::fs::remove_file(&metadata).unwrap();
    let (swarm, node) = share(folder.path()).await;
    let single = wait_for(&swarm, |file| file.description.is_some()).await;
    assert_eq!(single.description.as_ref().unwrap().filename, "other_0.mcap");
    is_kept_by_another(&swarm, &single).await;
    std::fs::write(&metadata, recordings::samples::metadata("other_0.mcap")).unwrap();
    let is_folder =
        |file: &SharedFile| file.description.as_ref().is_some_and(|known| known.filename == "run");
    let both = wait_for_files(&swarm, |files| files.iter().any(is_folder)).await;
    let whole = both.into_iter().find(is_folder).unwrap();
    is_kept_by_another(&swarm, &whole).await;
    wait_for_files(&swarm, |files| files.iter().all(|file| file.cid == whole.cid)).await;
    is_the_only_pin(&node, whole.cid).await;
}
