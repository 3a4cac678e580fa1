//! python-tuf, the reference implementation, reads repositories of the editor, and the client reads those of python-tuf.
//!
//! The function `install_python_tuf` of `tools/install.bash` installs it. Without it, the tests are skipped.
#![expect(clippy::unwrap_used, reason = "a panic fails the test with a message")]

mod common;

use common::*;
use dcache::Time;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tuf::edit::{Delegation, Folder, NewTarget, TopRole};
use tuf::{Freshness, Now, Role, TargetsRole};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python_tuf.py");

/// Returns the program, or nothing after saying which test is skipped. With `CI=true`, that is a failure.
fn python(test: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").unwrap_or_default();
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map_or_else(|| Path::new(&home).join(".cache"), PathBuf::from);
    let folder = cache.join("dt-swarm/python-tuf");
    if folder.join("version-7.0.1").exists() {
        return Some(folder.join("bin/python"));
    }
    let message = format!("SKIPPED: {test}: python-tuf is not installed; run ./check, or install_python_tuf");
    eprintln!("\n{0}\n{message}\n{0}\n", "!".repeat(80));
    if let Some(omissions) = std::env::var_os("DT_SWARM_OMISSIONS") {
        let mut file = std::fs::File::options().create(true).append(true).open(omissions).unwrap();
        file.write_all(format!("{message}\n").as_bytes()).unwrap();
    }
    let is_strict = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!is_strict, "{message} (CI=true makes this a failure)");
    None
}

fn run(python: &Path, arguments: &[&str], input: &str) -> Vec<String> {
    let mut command = Command::new(python);
    command.arg(SCRIPT).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Returns what python-tuf finds in a repository, starting from its first root.
fn read(python: &Path, folder: &TempDir, targets: &[&str]) -> Vec<Value> {
    let work = tempfile::tempdir().unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let root = path(&folder.path().join("metadata/1.root.json"));
    let places = [path(folder.path()), root, path(work.path())];
    let arguments: Vec<&str> = ["read"].into_iter().chain(places.iter().map(String::as_str)).collect();
    let found = run(python, &[&arguments[..], targets].concat(), "");
    found.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The present time, because python-tuf asks the clock.
fn now() -> Time {
    Time(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

fn files(folder: &TempDir) -> Files {
    let read = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    };
    std::fs::read_dir(folder.path().join("metadata")).unwrap().map(|entry| read(entry.unwrap())).collect()
}

/// Signs with the keys, makes a snapshot and a timestamp, and publishes to the folder.
fn publish(folder: &Folder, signers: &[u8]) {
    let mut repository = folder.load().unwrap();
    let sign = |repository: &mut tuf::edit::Repository| {
        for number in signers {
            repository.sign(&key(*number)).unwrap();
            // Each signer gets the drafts from the one before.
            folder.save_drafts(repository).unwrap();
            *repository = folder.load().unwrap();
        }
    };
    sign(&mut repository);
    repository.make_snapshot(now().days(7)).unwrap();
    sign(&mut repository);
    repository.make_timestamp(now().days(7)).unwrap();
    sign(&mut repository);
    folder.publish(&mut repository).unwrap();
    assert_eq!(std::fs::read_dir(folder.metadata().with_file_name("drafts")).unwrap().count(), 0);
}

fn change(folder: &Folder, change: impl FnOnce(&mut tuf::edit::Repository)) {
    let mut repository = folder.load().unwrap();
    change(&mut repository);
    folder.save_drafts(&repository).unwrap();
}

#[test]
fn python_tuf_reads_repositories_of_the_editor() {
    let Some(python) = python("python-tuf reads our repositories") else { return };
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::new(place.path());
    let sets = [
        (TopRole::Root, keys(&[1, 2, 3], 2)),
        (TopRole::Targets, keys(&[4, 5], 2)),
        (TopRole::Snapshot, keys(&[6], 1)),
        (TopRole::Timestamp, keys(&[7], 1)),
    ];
    let mut repository = tuf::edit::Repository::create(&sets.into(), now().days(365)).unwrap();
    let cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
    let custom = json!({"version": "1.0", "text": "ü \"\\ \u{1f916}"}).as_object().unwrap().clone();
    let app = NewTarget { cid: Some(cid.parse().unwrap()), custom, ..content("version 1") };
    repository.set_target(&TargetsRole::Top, &path("app"), app).unwrap();
    folder.save_drafts(&repository).unwrap();
    publish(&folder, &[1, 2, 4, 5, 6, 7]);
    let found = read(&python, &place, &["app", "none"]);
    assert_eq!(found[0]["length"], 9);
    assert_eq!(found[0]["custom"], json!({"cid": cid, "version": "1.0", "text": "ü \"\\ \u{1f916}"}));
    assert_eq!(found[1], Value::Null);

    // A delegation to a role with an unusual name, by a third party.
    let name = "lab of é/x";
    change(&folder, |repository| {
        let keys = keys(&[8, 9], 2);
        let paths = vec!["lab/*".to_owned()];
        let lab = Delegation { name: name.parse().unwrap(), keys, paths, terminating: true };
        repository.delegate(&TargetsRole::Top, &lab, now().days(30)).unwrap();
        repository.set_target(&role(name), &path("lab/a"), content("x")).unwrap();
    });
    publish(&folder, &[4, 5, 8, 9, 6, 7]);
    let found = read(&python, &place, &["app", "lab/a", "lab/b"]);
    assert_eq!((&found[0]["length"], &found[1]["length"], &found[2]), (&json!(9), &json!(1), &Value::Null));

    // New keys of all roles in three roots, renewed files, a removed target, and a removed delegation.
    change(&folder, |repository| repository.set_keys(TopRole::Root, &keys(&[11, 12], 2)).unwrap());
    publish(&folder, &[1, 2, 11, 12, 6, 7]);
    change(&folder, |repository| {
        repository.set_keys(TopRole::Timestamp, &keys(&[17], 1)).unwrap();
        repository.set_keys(TopRole::Snapshot, &keys(&[16], 1)).unwrap();
        repository.set_keys(TopRole::Targets, &keys(&[14], 1)).unwrap();
        repository.set_delegation_keys(&TargetsRole::Top, &name.parse().unwrap(), &keys(&[18], 1)).unwrap();
    });
    publish(&folder, &[11, 12, 14, 16, 17, 18]);
    assert_eq!(read(&python, &place, &["app", "lab/a"])[1]["length"], 1);
    change(&folder, |repository| {
        repository.renew(&Role::Root, now().days(700)).unwrap();
        repository.remove_target(&TargetsRole::Top, &path("app")).unwrap();
        repository.set_target(&TargetsRole::Top, &path("new"), content("n")).unwrap();
        repository.remove_delegation(&TargetsRole::Top, &name.parse().unwrap()).unwrap();
    });
    publish(&folder, &[11, 12, 14, 16, 17]);
    let found = read(&python, &place, &["app", "lab/a", "new"]);
    assert_eq!((&found[0], &found[1], &found[2]["length"]), (&Value::Null, &Value::Null, &json!(1)));
    // Our client reads the same.
    let files = files(&place);
    let mut node = Node { bootstrap: files["1.root.json"].clone(), saved: tuf::Saved::new() };
    assert_eq!(node.find(&files, "new", Now::Known(now())).unwrap().unwrap().provenance.root, 4);
}

#[test]
fn the_client_reads_repositories_of_python_tuf_and_the_editor_continues_them() {
    let Some(python) = python("we read repositories of python-tuf") else { return };
    let place = tempfile::tempdir().unwrap();
    run(&python, &["write", place.path().to_str().unwrap()], "");
    let written = files(&place);
    let mut node = Node { bootstrap: written["1.root.json"].clone(), saved: tuf::Saved::new() };
    for now in [Now::Known(now()), WITHOUT_CLOCK] {
        let app = node.find(&written, "app", now).unwrap().unwrap();
        assert_eq!((app.length, &app.custom["note"], app.provenance.root), (9, &json!("first"), 2));
        let mut check = app.check();
        check.update(b"version 1").unwrap();
        check.finish().unwrap();
        assert_eq!(app.freshness, if now == WITHOUT_CLOCK { Freshness::Unknown } else { Freshness::Fresh });
        assert_eq!(node.find(&written, "lab/a", now).unwrap().unwrap().provenance.role, "lab");
        assert_eq!(node.find(&written, "else/where", now).unwrap().unwrap().provenance.role, "bin a/b");
        // The role lab is terminating for this path.
        assert_eq!(node.find(&written, "x.deb", now).unwrap(), None);
    }
    let folder = Folder::new(place.path());
    change(&folder, |repository| {
        repository.set_target(&TargetsRole::Top, &path("app"), content("version 22")).unwrap();
        repository.set_target(&role("lab"), &path("lab/b"), content("b")).unwrap();
    });
    publish(&folder, &[4, 5, 6, 7]);
    let found = read(&python, &place, &["app", "lab/a", "lab/b", "else/where"]);
    let lengths: Vec<_> = found.iter().map(|target| target["length"].clone()).collect();
    assert_eq!(lengths, [10, 3, 1, 3]);
    assert_eq!(node.app(&files(&place), Now::Known(now())).length, 10);
}

#[test]
fn the_canonical_form_is_that_of_securesystemslib() {
    let Some(python) = python("our canonical form is that of securesystemslib") else { return };
    let controls: String = (0..0x20).map(char::from).collect();
    let value = json!({
        "controls": controls, "escapes": "\"\\/", "wide": "ü€\u{1f916}\u{7f}\u{ffff}", "": [], "Z": {}, "a": {"b": null, "": true},
        "numbers": [0, -1, i64::MIN, i64::MAX, u64::MAX], "é": false, "\u{1f916}": 1, "\u{ffff}": 2,
    });
    let theirs = run(&python, &["canonical"], &value.to_string());
    let ours: String =
        tuf::canonical::canonical(&value).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(theirs, [ours]);
}
