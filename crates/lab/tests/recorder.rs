//! A robot that records into its shared folder, as ROS does: files that grow and are closed one after the other.

mod files;

use files::SOON;
use lab::daemon::Robot;
use lab::{Error, Lab, Result, SmallDisk, or_skip, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// Bytes per second of a Duckiebot that records its camera.
const RATE: usize = 4_000_000;
/// Time between two writes of the recorder.
const STEP: Duration = Duration::from_millis(50);
const MIB: u64 = 1024 * 1024;

/// Records one file for this time. Returns its size.
fn record(robot: &Robot, name: &str, seed: u32, lasts: Duration) -> Result<u64> {
    let path = robot.shared_folder().join(name);
    let failed = || |source| Error::Io { what: format!("recording {}", path.display()), source };
    let mut file = File::create(&path).map_err(failed())?;
    let (begun, mut written, mut state) = (Instant::now(), 0, seed);
    while begun.elapsed() < lasts {
        let due = (begun.elapsed().as_secs_f64() * RATE as f64) as usize;
        let piece: Vec<u8> = (written..due.max(written))
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        file.write_all(&piece).map_err(failed())?;
        written += piece.len();
        std::thread::sleep(STEP);
    }
    Ok(written as u64)
}

/// Returns the sizes of the files that a robot lists, by their names.
fn listed(robot: &Robot) -> BTreeMap<String, u64> {
    let report = robot.cli(&["report", "--json"]).unwrap_or_default();
    let files = report["files"].as_array().cloned().unwrap_or_default();
    let file = |file: &Value| Some((file["name"].as_str()?.to_owned(), file["bytes"].as_u64()?));
    files.iter().filter_map(file).collect()
}

#[test]
fn each_file_of_a_recorder_is_shared_whole_soon_after_it_is_closed() -> Result {
    let Some(lab) = or_skip("a recorder", Lab::new("recorder")) else { return Ok(()) };
    let (recorder, other) = (Robot::start(&lab, "recorder")?, Robot::start(&lab, "other")?);
    let mut sizes = BTreeMap::new();
    for number in 0..4 {
        let name = format!("run-{number}.bin");
        let size = record(&recorder, &name, number, Duration::from_secs(3))?;
        let closed = Instant::now();
        sizes.insert(name.clone(), size);
        // The robot must not list a part of a file, whenever it is asked.
        let is_whole = || {
            let listed = listed(&other);
            let half = listed.iter().find(|(name, bytes)| sizes.get(*name) != Some(bytes));
            assert!(half.is_none(), "{half:?} is not one of {sizes:?}");
            listed.contains_key(&name).then_some(())
        };
        wait_until(SOON, &format!("{name} at the other robot"), is_whole)?;
        println!("{name}: {size} bytes, listed {:.1} s after it was closed", closed.elapsed().as_secs_f64());
    }
    Ok(())
}

#[test]
fn a_recording_gets_the_space_of_copies_and_the_oldest_safe_ones_go_first() -> Result {
    let Some(lab) = or_skip("a recorder on a small disk", Lab::new("floor")) else { return Ok(()) };
    let host = lab.host("recorder")?;
    let disk = SmallDisk::mount(host.folder(), 224 * MIB)?;
    let floor = 64;
    let settings = format!(
        "logs.copies = 2\nlogs.free_floor_mib = {floor}\ndiagnostics.keep_history = false\ndisk_free_mib = 8\n"
    );
    let mut recorder = Robot::new(host, &settings)?;
    recorder.restart()?;
    let other = Robot::start_on(lab.host("other")?, "logs.copies = 2\n")?;
    let mut copies = Vec::new();
    for number in 0..4u32 {
        let name = format!("copy-{number}.bin");
        let content: Vec<u8> = (0..4_000_000u32).flat_map(|n| (n ^ number << 28).to_le_bytes()).collect();
        other.share(&name, &content)?;
        files::wait_until_safe(&[&recorder], &name, 2)?;
        copies.push(name);
    }
    let before = disk.free()?;
    // 64 MB are kept for the other robot. The recording needs more than what is left.
    let mut least = before;
    for number in 0..9 {
        record(&recorder, &format!("run-{number}.bin"), number, Duration::from_secs(4))?;
        least = least.min(disk.free()?);
    }
    let dropped = || -> Option<Vec<String>> {
        let report = recorder.cli(&["report", "--json"]).ok()?;
        let dropped = report["dropped_files"].as_array()?;
        let for_space = dropped.iter().filter(|file| file["was_for_space"] == true);
        Some(for_space.filter_map(|file| file["name"].as_str().map(str::to_owned)).collect())
    };
    // The copies are so new that they go only below half of the floor.
    let is_enough = || disk.free().is_ok_and(|free| free >= floor / 2 * MIB);
    let enough = || dropped().filter(|dropped| !dropped.is_empty() && is_enough());
    let mut dropped = wait_until(SOON, "half of the floor of free space", enough)?;
    println!("free before: {before}, least: {least}, in the end: {}; dropped: {dropped:?}", disk.free()?);
    println!("{}", recorder.cli_text(&["report"])?);
    // Several may go in one decision, in any order.
    dropped.sort_unstable();
    assert_eq!(dropped, copies[..dropped.len()], "the oldest go first");
    // Nothing that the robot recorded was lost, and the copies that it let go of are still at the other robot.
    for number in 0..9 {
        files::wait_until_safe(&[&other], &format!("run-{number}.bin"), 2)?;
    }
    let at_other = listed(&other);
    assert!(copies.iter().all(|name| at_other.contains_key(name)), "{at_other:?}");
    recorder.terminate().map(drop)
}
