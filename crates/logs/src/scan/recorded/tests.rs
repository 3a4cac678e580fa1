use super::*;
use crate::scan::{Known, Scan, scan};
use crate::select::Selection;
use std::fs;
use std::path::Path;

/// Makes a folder with these files.
fn folder(files: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    root
}

fn look(root: &Path, known: &[&str], exclude: &[&str]) -> Scan {
    let exclude: Vec<String> = exclude.iter().map(|&text| text.to_owned()).collect();
    let selection = Selection::new(&[], &exclude).unwrap();
    let known: Known = known.iter().map(|&text| text.to_owned()).collect();
    scan(root, (&BTreeSet::new(), &selection), &known, &mut |_| {}).unwrap()
}

fn found(scan: &Scan) -> Vec<&str> {
    scan.found.keys().map(String::as_str).collect()
}

#[test]
fn a_finished_folder_is_one_log_with_its_plain_files() {
    let root = folder(&[
        "day/run/metadata.yaml",
        "day/run/run_0.db3",
        "day/run/notes.txt",
        "day/run/.hidden",
        "day/run/more/a.bag",
        "b.bag",
    ]);
    std::os::unix::fs::symlink("/etc/hostname", root.path().join("day/run/link.db3")).unwrap();
    let scan = look(root.path(), &[], &[]);
    assert_eq!(found(&scan), ["b.bag", "day/run", "day/run/more/a.bag"]);
    assert_eq!(scan.folders.finished["day/run"], ["metadata.yaml", "notes.txt", "run_0.db3"]);
    assert_eq!(scan.found["day/run"].size, 3);
    assert_eq!(scan.left_out.0[&Reason::Link].total, 1);
    assert!(scan.folders.unfinished.is_empty());
}

#[test]
fn the_shared_folder_itself_and_other_folders_are_no_logs() {
    let root = folder(&["metadata.yaml", "run_0.mcap", "other/metadata.yaml", "other/a.bag"]);
    let scan = look(root.path(), &[], &[]);
    assert_eq!(found(&scan), ["metadata.yaml", "other/a.bag", "other/metadata.yaml", "run_0.mcap"]);
    assert_eq!(scan.folders, RecordedFolders::default());
    // Without the metadata, the parts are files like all others.
    let root = folder(&["run/metadata.yaml", "run/run_0.mcap"]);
    assert_eq!(found(&look(root.path(), &[], &["*.yaml"])), ["run/run_0.mcap"]);
    assert_eq!(found(&look(root.path(), &[], &["*.mcap"])), ["run/metadata.yaml"]);
}

#[test]
fn the_parts_of_an_unfinished_recording_wait() {
    let root = folder(&["run/run_0.mcap", "run/run_1.mcap", "run/run_1.mcap-wal", "run/a.bag", "c/d_0.db3"]);
    let scan = look(root.path(), &[], &[]);
    assert_eq!(scan.found.len(), 5);
    let unfinished: Vec<&str> = scan.folders.unfinished.iter().map(String::as_str).collect();
    assert_eq!(unfinished, ["run/run_0.mcap", "run/run_1.mcap", "run/run_1.mcap-wal"]);
    fs::write(root.path().join("run/metadata.yaml"), "x").unwrap();
    let scan = look(root.path(), &[], &[]);
    assert_eq!(found(&scan), ["c/d_0.db3", "run"]);
    assert!(scan.folders.unfinished.is_empty());
}

#[test]
fn files_that_were_shared_singly_stay_until_their_folder_is_shared() {
    let root = folder(&["run/metadata.yaml", "run/run_0.mcap"]);
    let scan = look(root.path(), &["run/run_0.mcap"], &[]);
    assert_eq!(found(&scan), ["run", "run/run_0.mcap"]);
    assert_eq!(found(&look(root.path(), &["run", "run/run_0.mcap"], &[])), ["run"]);
}

#[test]
fn a_folder_with_too_many_files_is_no_log() {
    let names: Vec<String> = (0..MAX_MEMBERS).map(|number| format!("run/run_{number}.mcap")).collect();
    let mut files: Vec<&str> = names.iter().map(String::as_str).collect();
    files.push("run/metadata.yaml");
    let scan = look(folder(&files).path(), &[], &[]);
    assert_eq!(scan.found.len(), MAX_MEMBERS + 1);
    assert_eq!(look(folder(&files[1..]).path(), &[], &[]).found.len(), 1);
}
