//! Uploads to a real folder.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use lab::{SmallDisk, Unavailable};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::{Bench, NAME, Numbers, PART, digest_of};
use tokio_util::sync::CancellationToken;
use uploads::{Checked, Destination as _, Pace, Patience, Place, Settings, Stage, Storage};

fn folder(path: &Path, owner: &str, pace: Pace) -> Storage {
    let settings = Settings { destination: Some(Place::Folder(path.to_owned())), ..Settings::default() };
    settings.open(|path| path, owner, pace, Patience::default()).unwrap().unwrap()
}

/// Returns the paths of all files below a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path);
            }
        }
    }
    found
}

fn assert_exactly_one_whole_object(root: &Path, bench: &Bench) {
    let object = root.join("logs").join(NAME);
    let metadata = root.join("logs").join(format!("{NAME}.json"));
    assert_eq!(files(root), BTreeSet::from([object.clone(), metadata.clone()]));
    assert_eq!(digest_of(&object), bench.sha256);
    let stated: serde_json::Value = serde_json::from_slice(&fs::read(metadata).unwrap()).unwrap();
    let expected = serde_json::json!({
        "size": bench.size, "sha256": bench.sha256, "name": "my log.bag", "robot": "ente",
    });
    assert_eq!(stated, expected);
}

#[tokio::test]
async fn objects_of_all_sizes_are_stored_once_and_read_again() {
    for size in [0, 1, PART, PART + 1, 3 * PART + 4711] {
        let (bench, root) = (Bench::new(size, size), tempfile::tempdir().unwrap());
        let storage = folder(root.path(), "me", Pace::default());
        let upload = bench.run(&storage).await;
        assert_eq!(
            upload.stage,
            Stage::Done { checked: Checked { was_sent: true, by_digest: true }, unswept: None }
        );
        assert_exactly_one_whole_object(root.path(), &bench);
        fs::remove_file(bench.state()).unwrap();
        let again = bench.run(&storage).await;
        assert_eq!(
            again.stage,
            Stage::Done { checked: Checked { was_sent: false, by_digest: true }, unswept: None }
        );
        if size > 10 {
            let piece = storage.read(&format!("logs/{NAME}"), 1..9).await.unwrap();
            assert_eq!(piece, fs::read(&bench.file).unwrap()[1..9]);
        }
    }
}

/// Runs an upload, and drops it at this moment. A write that had begun then ends on its thread, for which the end of the
/// runtime waits.
fn run_until_dropped(bench: &Bench, storage: &Storage, moment: Duration) {
    let run = || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _ = runtime.block_on(async { tokio::time::timeout(moment, bench.run(storage)).await });
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_dropped_or_cancelled_at_random_moments_leaves_one_whole_file_or_none() {
    let mut numbers = Numbers(5);
    for round in 0..20 {
        let (bench, root) = (Bench::new(3 * PART + 4711, round), tempfile::tempdir().unwrap());
        let storage = folder(root.path(), "me", Pace::new(Some(40_000_000)));
        for _ in 0..3 {
            run_until_dropped(&bench, &storage, Duration::from_millis(numbers.next(500)));
        }
        let cancelled = CancellationToken::new();
        if round % 2 == 1 {
            cancelled.cancel();
        }
        let upload = bench.run_until_cancelled(&storage, &cancelled).await;
        match upload.stage {
            Stage::Done { .. } => assert_exactly_one_whole_object(root.path(), &bench),
            // A cancelled upload looks whether a dropped one had sent its last request.
            Stage::Failed { .. } => assert_eq!(files(root.path()), BTreeSet::new()),
            stage => panic!("{stage:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_at_twenty_random_moments_leaves_one_whole_file() {
    let program = lab::example("uploads", "upload").unwrap();
    // Each process writes at least one part, because the rate limit lets the first one through at once.
    let (bench, root) = (Bench::new(24 * PART + 4711, 1), tempfile::tempdir().unwrap());
    let destination = format!("file://{}", root.path().display());
    let (mut numbers, mut kills) = (Numbers(13), 0);
    loop {
        let mut command = tokio::process::Command::new(&program);
        command.arg(bench.state()).args([&destination, "-", "-"]);
        command.arg(&bench.file).args([NAME, "4000000"]).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let moment = Duration::from_millis(50 + numbers.next(500));
        let ended = if kills < 20 {
            tokio::time::timeout(moment, child.wait()).await
        } else {
            Ok(child.wait().await)
        };
        if let Ok(status) = ended {
            assert!(status.unwrap().success());
            break;
        }
        child.start_kill().unwrap();
        child.wait().await.unwrap();
        kills += 1;
    }
    println!("{kills} kills");
    assert!(kills >= 10, "the upload ended after {kills} kills: it has to be slower");
    let object = root.path().join("logs").join(NAME);
    assert_eq!(digest_of(&object), bench.sha256);
    assert_eq!(files(root.path()).len(), 2, "{:?}", files(root.path()));
}

#[tokio::test]
async fn two_nodes_that_use_one_folder_do_not_hinder_each_other() {
    let (bench, other) = (Bench::new(2 * PART + 4711, 9), Bench::new(2 * PART + 4711, 9));
    let root = tempfile::tempdir().unwrap();
    let storages = ["one", "two"].map(|owner| folder(root.path(), owner, Pace::new(Some(20_000_000))));
    let (first, second) = tokio::join!(bench.run(&storages[0]), other.run(&storages[1]));
    for upload in [first, second] {
        assert!(matches!(upload.stage, Stage::Done { .. }), "{:?}", upload.stage);
    }
    assert_exactly_one_whole_object(root.path(), &bench);
}

#[tokio::test]
async fn a_folder_that_is_not_mounted_is_not_created_and_the_upload_waits() {
    let (bench, parent) = (Bench::new(PART + 1, 2), tempfile::tempdir().unwrap());
    let root = parent.path().join("disk");
    let storage = folder(&root, "me", Pace::default());
    let upload = bench.run(&storage);
    let mount = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!root.exists());
        let message = storage.look("logs/a").await.unwrap_err().to_string();
        assert!(message.ends_with("is missing: mount its disk, or create it"), "{message}");
        fs::create_dir(&root).unwrap();
    };
    let (upload, ()) = tokio::join!(upload, mount);
    assert!(matches!(upload.stage, Stage::Done { .. }));
    assert_exactly_one_whole_object(&root, &bench);
}

#[tokio::test]
async fn a_file_that_was_changed_in_the_folder_is_replaced() {
    let (bench, root) = (Bench::new(2 * PART, 2), tempfile::tempdir().unwrap());
    let storage = folder(root.path(), "me", Pace::default());
    bench.run(&storage).await;
    let object = root.path().join("logs").join(NAME);
    fs::write(&object, "cut off").unwrap();
    fs::remove_file(bench.state()).unwrap();
    assert!(matches!(
        bench.run(&storage).await.stage,
        Stage::Done { checked: Checked { was_sent: true, .. }, .. }
    ));
    assert_exactly_one_whole_object(root.path(), &bench);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_makes_the_upload_wait_until_there_is_room() {
    let test = "a_full_disk_makes_the_upload_wait_until_there_is_room";
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("disk");
    let disk = SmallDisk::mount(&root, 64 << 20);
    let disk = disk.map_err(|error| Unavailable { reason: format!("no disk can be mounted: {error}") });
    let Some(disk) = lab::or_skip(test, disk) else { return };
    fs::remove_dir(root.join("lost+found")).unwrap();
    let bench = Bench::new(4 * PART + 4711, 3);
    let storage = folder(&root, "me", Pace::new(Some(40_000_000)));
    // There is room at the beginning, so the disk gets full during the upload.
    let fill = async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        disk.fill_to(1 << 20).unwrap();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let part = files(&root).into_iter().any(|path| path.to_string_lossy().ends_with(".me.part"));
        assert!(part, "the upload is not complete: {:?}", files(&root));
        disk.empty().unwrap();
    };
    let (upload, ()) = tokio::join!(bench.run(&storage), fill);
    assert!(matches!(upload.stage, Stage::Done { .. }), "{:?}", upload.stage);
    assert_exactly_one_whole_object(&root, &bench);
    // Without room from the beginning, nothing is begun.
    disk.fill_to(1 << 20).unwrap();
    let object = uploads::Object::new("logs/other", 20 << 20, PART, uploads::Metadata::default()).unwrap();
    let message = storage.create(&object).await.unwrap_err().to_string();
    assert!(message.starts_with("the destination is full"), "{message}");
}
