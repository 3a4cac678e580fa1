//! What becomes of files that are larger than memory and disk, that change, that find no room, and that are many.

mod damage;
mod full;
mod in_place;
mod many;

use std::fs::File;
use std::io::{BufReader, Read, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::daemon::Robot;
use crate::{Error, Lab, Result, wait_until};

/// Most things take a few seconds; a busy machine may need longer.
const SOON: Duration = Duration::from_secs(90);
const MIB: u64 = 1024 * 1024;

/// Show what becomes of large, changing, homeless and many files
///
/// Four parts: a file in the shared folder of a robot with little memory and little disk; files that rot, are cut,
/// rewritten or replaced while they are fetched; a disk that gets full while a file comes; many small files, and a large
/// one that is mostly holes. Each ends with an error when something is not as it should be.
#[derive(Debug, Clone, clap::Args)]
pub struct Storage {
    /// 2 GiB and 10,000 files instead of 64 MiB and 500
    #[arg(long)]
    pub big: bool,
    /// Only this part
    #[arg(long, value_enum)]
    pub only: Option<Part>,
}

/// A part of the experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// A file that neither fits into memory nor once more onto the disk.
    InPlace,
    /// Files that change while they are served.
    Damage,
    /// A disk that gets full.
    Full,
    /// Many small files, and one with large holes.
    Many,
}

/// Does the parts that are wanted, and prints figures.
///
/// # Errors
/// When something is not as it should be.
pub fn storage(options: &Storage) -> Result {
    let is_wanted = |part| options.only.is_none_or(|only| only == part);
    type Run = fn(&Lab, bool) -> Result;
    let parts: [(Part, &str, Run); 4] = [
        (Part::InPlace, "inplace", in_place::run),
        (Part::Damage, "damage", |_, big| damage::run(big)),
        (Part::Full, "full", full::run),
        (Part::Many, "many", many::run),
    ];
    for (part, name, run) in parts {
        if is_wanted(part) {
            println!("{name}:");
            run(&Lab::new(name)?, options.big)?;
        }
    }
    Ok(())
}

/// That something is as it should be.
fn must(what: &str, is_so: bool, seen: impl std::fmt::Display) -> Result {
    println!("  {}: {what}: {seen}", if is_so { "ok" } else { "NOT SO" });
    if is_so { Ok(()) } else { Err(Error::answer(what, seen.to_string())) }
}

fn say(what: &str, figure: impl std::fmt::Display) {
    println!("  {what}: {figure}");
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn seconds(since: Instant) -> String {
    format!("{:.1} s", since.elapsed().as_secs_f64())
}

/// Bytes without any pattern, always the same for one seed.
fn noise(seed: u64) -> impl Read {
    struct Noise(ChaCha8Rng);
    impl Read for Noise {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.fill(buffer);
            Ok(buffer.len())
        }
    }
    Noise(ChaCha8Rng::seed_from_u64(seed))
}

fn write_noise(path: &Path, seed: u64, bytes: u64) -> Result {
    let write = || {
        let mut file = File::create(path)?;
        std::io::copy(&mut noise(seed).take(bytes), &mut file)?;
        file.flush()?;
        file.sync_all()?;
        // So that whoever reads it first really reads it, and the memory for that is his. It is advice.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        Ok(())
    };
    write().map_err(Error::io(format!("writing {}", path.display())))
}

/// Whether a file is just these bytes, however large it is.
fn is_noise(path: &Path, seed: u64, bytes: u64) -> Result<bool> {
    let compare = || -> std::io::Result<bool> {
        let mut file = BufReader::new(File::open(path)?);
        let (mut expected, mut left) = (noise(seed), bytes);
        let (mut one, mut other) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        while left > 0 {
            let part = usize::try_from(left.min(1 << 16)).unwrap_or(1 << 16);
            expected.read_exact(&mut one[..part])?;
            file.read_exact(&mut other[..part])?;
            if one[..part] != other[..part] {
                return Ok(false);
            }
            left -= part as u64;
        }
        Ok(file.read(&mut other)? == 0)
    };
    match compare() {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        result => result.map_err(Error::io(format!("reading {}", path.display()))),
    }
}

/// The names of those that hold the file of this name or CID in `robot`'s report.
fn holders(robot: &Robot, what: &str) -> Vec<String> {
    let report = robot.cli(&["report", "--json"]).unwrap_or_default();
    let files = report["files"].as_array().cloned().unwrap_or_default();
    let of = |file: &Value| {
        let all = file["holders"].as_array().cloned().unwrap_or_default();
        all.into_iter()
            .filter_map(|holder| holder["hostname"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    files.iter().filter(|file| file["name"] == what || file["cid"] == what).flat_map(of).collect()
}

/// Waits until these hold the file, by the report of `robot`.
fn wait_for_holders(robot: &Robot, name: &str, wanted: &[&str], within: Duration) -> Result {
    wait_until(within, &format!("{name} held by {wanted:?}"), || {
        let held = holders(robot, name);
        wanted.iter().all(|host| held.iter().any(|holder| holder == host)).then_some(())
    })
}

/// The CID of the only file of this name.
fn cid_of(robot: &Robot, name: &str) -> Result<String> {
    let report = robot.cli(&["report", "--json"])?;
    let file = report["files"].as_array().into_iter().flatten().find(|file| file["name"] == name);
    let cid = file.and_then(|file| file["cid"].as_str()).map(str::to_owned);
    cid.ok_or_else(|| Error::answer(format!("the CID of {name}"), report.to_string()))
}

fn storage_of(robot: &Robot) -> Result<Value> {
    robot.cli(&["storage", "--json"])
}

/// What `robot` itself has of the file, fetched from it alone by the CLI, compared with what it should be.
fn has_it_right(robot: &Robot, name: &str, seed: u64, bytes: u64, folder: &Path) -> Result<bool> {
    let copy = folder.join(format!("copy-of-{name}"));
    let path = copy.to_string_lossy().into_owned();
    let mut command = robot.cli_command(&["get", name, &path, "--force", "--timeout", "120"]);
    command.stdin(std::process::Stdio::null());
    let finished = robot.host().run(command, Duration::from_secs(600))?;
    finished.success(&format!("get {name}"))?;
    let is_right = is_noise(&copy, seed, bytes)?;
    let _ = std::fs::remove_file(copy);
    Ok(is_right)
}
