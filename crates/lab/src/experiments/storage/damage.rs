//! Files that rot, are cut, rewritten or replaced while a robot fetches them.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::checks::{MIB, SOON, must, say, seconds};
use super::noise::write_noise;
use super::robots::{cid_of, has_copy_of, has_it_right, holders, storage_of, wait_for_holders};
use crate::daemon::Robot;
use crate::{Error, Lab, Result, wait_until};

/// Rate limit in bits per second, low enough that a file can be damaged during its transfer.
const RATE: u64 = 16_000_000;
const LONG: Duration = Duration::from_secs(300);

type Spoil = fn(&Path) -> std::io::Result<()>;

/// Consequence of a change to the file.
#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    /// The changed file is a newer version, which replaces the older one on all robots.
    Replaced,
    /// The owner does not hold the file any more; the other robots do.
    LetGo,
}

/// The changes made to the file in its owner's folder.
const WAYS: [(&str, Spoil, Outcome); 6] = [
    ("altered", rot, Outcome::Replaced),
    ("cut", |path| File::options().write(true).open(path)?.set_len(300_000), Outcome::Replaced),
    ("rewritten", |path| fs::write(path, vec![7; 2_000_000]), Outcome::Replaced),
    (
        "replaced",
        |path| {
            let other = path.with_extension("other");
            fs::write(&other, vec![9; 3_000_000])?;
            fs::rename(other, path)
        },
        Outcome::Replaced,
    ),
    ("deleted", |path| fs::remove_file(path), Outcome::LetGo),
    (
        "linked",
        |path| {
            fs::rename(path, path.with_file_name("../elsewhere"))?;
            std::os::unix::fs::symlink("/etc/passwd", path)
        },
        Outcome::LetGo,
    ),
];

/// Flips a bit in each mebibyte, and restores the time of modification. The file system still notes the time of the
/// change.
fn rot(path: &Path) -> std::io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let times = file.metadata()?;
    for offset in (0..times.len()).step_by(1 << 20) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset)?;
        file.write_all_at(&[byte[0] ^ 1], offset)?;
    }
    file.set_modified(times.modified()?)
}

pub(super) fn run(big: bool) -> Result {
    let size = if big { 64 * MIB } else { 6 * MIB };
    for (number, (way, spoil, outcome)) in (0u64..).zip(WAYS) {
        run_one(&Lab::new(way)?, (way, spoil, outcome), 100 + number, size)?;
    }
    Ok(())
}

/// Configuration of a robot that keeps every file.
const EVERYWHERE: &str = "[logs]\ncopies = 0\n";

/// Damages the file of `a` and blocks of `b` while `d` fetches. Only `c` keeps all of it.
fn run_one(lab: &Lab, (way, spoil, outcome): (&str, Spoil, Outcome), seed: u64, size: u64) -> Result {
    let start = |name| Robot::start_on(lab.host(name)?, EVERYWHERE);
    let (a, b, c) = (start("a")?, start("b")?, start("c")?);
    let (name, draft) = (format!("{way}.bag"), a.home().join("draft"));
    write_noise(&draft, seed, size)?;
    let path = a.shared_folder().join(&name);
    fs::rename(&draft, &path).map_err(Error::io("sharing"))?;
    wait_for_holders(&c, &name, &["a", "b", "c"], SOON)?;
    // The changed file of `a` has the same name, so the CID identifies the first version from here on.
    let cid = cid_of(&c, &name)?;
    for robot in [&a, &b, &c] {
        robot.host().limit_rate(RATE)?;
    }
    let d = start("d")?;
    let begun = Instant::now();
    wait_for_pieces(&d, size / 4)?;
    spoil(&path).map_err(Error::io(format!("spoiling {}", path.display())))?;
    let (spoilt, damaged) = (spoil_blocks(&b)?, Instant::now());
    let event = format!("{way} at a, and {spoilt} blocks at b, while d fetched");
    if outcome == Outcome::Replaced {
        for robot in [&a, &b, &c] {
            robot.host().unlimit_rate()?;
        }
        return wait_until_replaced(&[&a, &b, &c, &d], (&event, &cid, &path), lab);
    }
    wait_for_holders(&d, &cid, &["d"], LONG)?;
    say(&format!("{event}: d had it after"), seconds(begun));
    must("  right at d", has_it_right(&d, &cid, seed, size, lab.folder())?, "byte for byte")?;
    for robot in [&a, &b, &c] {
        robot.host().unlimit_rate()?;
    }
    read_through(&b)?;
    read_through(&a)?;
    wait_for_holders(&d, &cid, &["b", "c", "d"], LONG)?;
    wait_until(LONG, "a does not hold the file", || {
        holders(&d, &cid).iter().all(|host| host != "a").then_some(())
    })?;
    wait_until(LONG, "pins of a and b are whole", || (is_whole(&a) && is_whole(&b)).then_some(()))?;
    say("  healed; time since the damage", seconds(damaged));
    must("  right there", has_it_right(&b, &cid, seed, size, lab.folder())?, b.host().name())
}

/// Waits until no robot holds the older version any more, and all have the newer version at this path.
fn wait_until_replaced(robots: &[&Robot], (event, cid, path): (&str, &str, &Path), lab: &Lab) -> Result {
    let begun = Instant::now();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for robot in robots {
        wait_for_holders(robot, &name, &["a", "b", "c", "d"], LONG)?;
        wait_until(LONG, "the older version is gone", || holders(robot, cid).is_empty().then_some(()))?;
        wait_until(LONG, "all pinned files are whole", || is_whole(robot).then_some(()))?;
    }
    say(&format!("{event}: only the newer version was on all robots after"), seconds(begun));
    for robot in robots {
        must("  right there", has_copy_of(robot, &name, path, lab.folder())?, robot.host().name())?;
    }
    Ok(())
}

fn wait_for_pieces(robot: &Robot, bytes: u64) -> Result {
    wait_until(LONG, "a part of the file", || {
        (storage_of(robot).ok()?["used_bytes"].as_u64()? > bytes).then_some(())
    })
}

/// Flips a bit in every seventh stored block.
fn spoil_blocks(robot: &Robot) -> Result<usize> {
    let mut spoilt = 0;
    for path in block_files(robot)?.iter().step_by(7) {
        rot(path).map_err(Error::io(format!("spoiling {}", path.display())))?;
        spoilt += 1;
    }
    Ok(spoilt)
}

fn block_files(robot: &Robot) -> Result<Vec<PathBuf>> {
    let list = || -> std::io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for shard in fs::read_dir(robot.data_folder().join("ipfs/blocks"))? {
            for file in fs::read_dir(shard?.path())? {
                files.push(file?.path());
            }
        }
        files.sort();
        Ok(files)
    };
    list().map_err(Error::io("listing blocks"))
}

/// Lets the CLI read every file that the robot holds. A file may be incomplete at this moment, so failures are ignored.
fn read_through(robot: &Robot) -> Result {
    let report = robot.cli(&["report", "--json"])?;
    for file in report["files"].as_array().into_iter().flatten() {
        let Some(cid) = file["cid"].as_str() else { continue };
        let copy = robot.host().folder().join("read-through");
        let path = copy.to_string_lossy().into_owned();
        let command = robot.cli_command(&["get", cid, "-o", &path, "--force", "--timeout", "5"]);
        let _ = robot.host().run(command, LONG)?;
        let _ = fs::remove_file(copy);
    }
    Ok(())
}

/// Returns whether all pinned files of the robot are complete.
fn is_whole(robot: &Robot) -> bool {
    let pins = storage_of(robot).ok().and_then(|storage| storage["pins"].as_array().cloned());
    pins.is_some_and(|pins| pins.iter().all(|pin| pin["is_whole"] == true))
}
