//! Shared folders on disks that are pulled, put back, and gone for good.

mod files;

use files::{SOON, copy, wait_until_safe};
use lab::daemon::Robot;
use lab::{Error, Lab, Result, or_skip, run, wait_until};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A robot that takes files at once, rescans its folder every second, and checks every five seconds whether its files
/// are still there.
const QUICK: &str = "settle_seconds = 0\nrescan_seconds = 1\n";
const LIMIT: Duration = Duration::from_secs(20);
/// Time for which nothing may change while a disk is missing. Several rescans and checks of all files happen in it.
const WATCHED: Duration = Duration::from_secs(12);
const NAMES: [&str; 3] = ["one.bag", "two.bag", "three.bag"];

fn io(what: &str) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.to_owned();
    |source| Error::Io { what, source }
}

/// A disk with an ext4 file system, that can be mounted and pulled while a daemon runs.
struct Stick {
    image: PathBuf,
}

impl Stick {
    fn make(robot: &Robot, name: &str) -> Result<Self> {
        let image = robot.host().folder().join(name);
        let sparse = File::create(&image).and_then(|file| file.set_len(16 << 20));
        sparse.map_err(io("making a disk"))?;
        let mut format = Command::new("mkfs.ext4");
        format.arg("-q").arg(&image);
        run(format, LIMIT)?.success("mkfs.ext4")?;
        Ok(Self { image })
    }

    /// Mounts the disk on the robot's shared folder, as its daemon sees it, and returns the path to its files.
    fn mount(&self, robot: &mut Robot, options: &str) -> Result<PathBuf> {
        let (image, folder) = (self.image.display().to_string(), robot.shared_folder());
        let folder_text = folder.display().to_string();
        at_mounts_of(robot, &["mount", "-o", &format!("loop,{options}"), &image, &folder_text])?;
        let root = PathBuf::from(format!("/proc/{}/root", robot.running()?.pid()));
        Ok(root.join(folder.strip_prefix("/").unwrap_or(&folder)))
    }
}

fn pull(robot: &mut Robot) -> Result {
    let folder = robot.shared_folder().display().to_string();
    at_mounts_of(robot, &["umount", &folder])
}

/// Runs a command in the mount namespace of the daemon.
fn at_mounts_of(robot: &mut Robot, arguments: &[&str]) -> Result {
    let pid = robot.running()?.pid().to_string();
    let mut command = Command::new("nsenter");
    command.args(["--mount", "--target", &pid]).args(arguments);
    run(command, LIMIT)?.success(&format!("{arguments:?}")).map(drop)
}

fn write_all(folder: &Path) -> Result {
    for name in NAMES {
        fs::write(folder.join(name), format!("the log {name}").repeat(1000)).map_err(io(name))?;
    }
    Ok(())
}

/// Returns the missing disks that a robot reports.
fn missing(robot: &Robot) -> Option<Vec<Value>> {
    robot.cli(&["report", "--json"]).ok()?["missing_disks"].as_array().cloned()
}

fn wait_until_missing(robot: &Robot, files: usize) -> Result<String> {
    let is_told = || {
        let disks = missing(robot)?;
        let disk = disks.iter().find(|disk| disk["files"] == files)?;
        disk["disk"].as_str().map(str::to_owned)
    };
    wait_until(SOON, &format!("{files} files are on a missing disk"), is_told)
}

/// Waits until no disk is missing and the robot itself serves the files.
fn wait_until_back(robot: &Robot) -> Result {
    let begun = Instant::now();
    wait_until(SOON, "no disk is missing", || missing(robot)?.is_empty().then_some(()))?;
    for name in NAMES {
        let content = format!("the log {name}").repeat(1000).into_bytes();
        wait_until(SOON, &format!("{name} is read"), || (copy(robot, name).ok()? == content).then_some(()))?;
    }
    println!("all files are served again after {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Checks again and again that both robots hold all files.
fn assert_held_by_both(robots: &[&Robot; 2]) -> Result {
    let begun = Instant::now();
    while begun.elapsed() < WATCHED {
        for robot in robots {
            let report = robot.cli(&["report", "--json"])?;
            for name in NAMES {
                let file = report["files"].as_array().into_iter().flatten().find(|file| file["name"] == name);
                let holders = file.and_then(|file| file["holders"].as_array()).map(Vec::len);
                assert_eq!(holders, Some(2), "{name} at {}: {report:#}", robot.host().name());
            }
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

/// Returns the number of fetches that the daemon has begun since its start.
fn fetches(robot: &mut Robot) -> Result<usize> {
    let lines = robot.running()?.lines();
    Ok(lines.iter().filter(|line| line.contains("fetching a shared file")).count())
}

fn wait_until_held(robot: &Robot, name: &str, hosts: &[&str]) -> Result {
    let are_these = || {
        let report = robot.cli(&["report", "--json"]).ok()?;
        let file = report["files"].as_array()?.iter().find(|file| file["name"] == name).cloned()?;
        let holders = file["holders"].as_array()?.iter();
        let mut names: Vec<&str> = holders.filter_map(|holder| holder["hostname"].as_str()).collect();
        names.sort_unstable();
        (names == hosts).then_some(())
    };
    wait_until(SOON, &format!("{name} is held by {hosts:?}"), are_these)
}

#[test]
fn a_pulled_stick_withdraws_nothing_also_over_a_restart_and_is_not_copied_again() -> Result {
    let Some(lab) = or_skip("pulled stick", Lab::new("stick")) else {
        return Ok(());
    };
    let mut a = Robot::start_on(lab.host("a")?, QUICK)?;
    let b = Robot::start_on(lab.host("b")?, QUICK)?;
    let stick = Stick::make(&a, "stick.disk")?;
    let seen = stick.mount(&mut a, "rw")?;
    write_all(&seen)?;
    for name in NAMES {
        wait_until_safe(&[&a, &b], name, 2)?;
    }
    let pulled = Instant::now();
    pull(&mut a)?;
    wait_until_missing(&a, 3)?;
    println!("reported {:.1} s after the stick was pulled", pulled.elapsed().as_secs_f64());
    let shown = a.cli_text(&["report"])?;
    println!("{}", shown.trim());
    assert!(shown.contains("3 files are on a disk that is not there"), "{shown}");
    assert_held_by_both(&[&a, &b])?;
    // A file below the mount point is shared as well.
    a.share("below.bag", b"below the stick")?;
    wait_until_safe(&[&a, &b], "below.bag", 2)?;
    stick.mount(&mut a, "rw")?;
    wait_until_missing(&a, 1)?;
    pull(&mut a)?;
    wait_until_missing(&a, 3)?;
    a.kill9()?;
    a.restart()?;
    wait_until_missing(&a, 3)?;
    // The last records may not have been on the disk of the killed robot, so it hears them again.
    for name in NAMES {
        wait_until_held(&a, name, &["a", "b"])?;
    }
    assert_held_by_both(&[&a, &b])?;
    fs::remove_file(a.shared_folder().join("below.bag")).map_err(io("deleting a file"))?;
    wait_until_held(&b, "below.bag", &["b"])?;
    // The mount of the first daemon ended with its namespace. The device number may differ now.
    let seen = stick.mount(&mut a, "rw")?;
    wait_until_back(&a)?;
    assert_held_by_both(&[&a, &b])?;
    assert_eq!(fetches(&mut a)?, 0, "{}", a.running()?.tail());
    // Real deletions count: of one file, and of all.
    fs::remove_file(seen.join(NAMES[0])).map_err(io("deleting a file"))?;
    wait_until_held(&b, NAMES[0], &["b"])?;
    wait_until_held(&b, NAMES[1], &["a", "b"])?;
    for name in &NAMES[1..] {
        fs::remove_file(seen.join(name)).map_err(io("deleting a file"))?;
    }
    for name in NAMES {
        wait_until_held(&b, name, &["b"])?;
    }
    pull(&mut a)
}

#[test]
fn a_read_only_disk_is_recognised_and_a_disk_that_is_gone_for_good_is_forgotten() -> Result {
    let Some(lab) = or_skip("read-only disk", Lab::new("disk")) else {
        return Ok(());
    };
    let mut a = Robot::start_on(lab.host("a")?, QUICK)?;
    let b = Robot::start_on(lab.host("b")?, QUICK)?;
    let stick = Stick::make(&a, "stick.disk")?;
    let elsewhere = a.host().folder().join("elsewhere");
    fs::create_dir(&elsewhere).map_err(io("making a mount point"))?;
    let (image, text) = (stick.image.display().to_string(), elsewhere.display().to_string());
    at_mounts_of(&mut a, &["mount", "-o", "loop", &image, &text])?;
    let root = PathBuf::from(format!("/proc/{}/root", a.running()?.pid()));
    write_all(&root.join(elsewhere.strip_prefix("/").unwrap_or(&elsewhere)))?;
    at_mounts_of(&mut a, &["umount", &text])?;
    stick.mount(&mut a, "ro")?;
    for name in NAMES {
        wait_until_safe(&[&a, &b], name, 2)?;
    }
    pull(&mut a)?;
    wait_until_missing(&a, 3)?;
    a.kill9()?;
    a.restart()?;
    let disk = wait_until_missing(&a, 3)?;
    assert_held_by_both(&[&a, &b])?;
    stick.mount(&mut a, "ro")?;
    wait_until_back(&a)?;
    let refused = a.cli_failure(&["folders", "forget", &disk])?;
    assert!(refused.contains("is there"), "{refused}");
    pull(&mut a)?;
    wait_until_missing(&a, 3)?;
    let refused = a.cli_failure(&["folders", "forget", "0123456789abcdef"])?;
    assert!(refused.contains("`folders` lists them"), "{refused}");
    println!("{}", a.cli_text(&["folders"])?.trim());
    println!("{}", a.cli_text(&["folders", "forget", &disk])?.trim());
    for name in NAMES {
        wait_until_held(&b, name, &["b"])?;
    }
    assert_eq!(missing(&a).unwrap_or_default(), Vec::<Value>::new());
    // The disk comes back after all.
    stick.mount(&mut a, "ro")?;
    for name in NAMES {
        wait_until_held(&b, name, &["a", "b"])?;
    }
    pull(&mut a)
}
