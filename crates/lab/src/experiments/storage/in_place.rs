//! A file in the shared folder of a robot with 128 MiB of memory and 200 MiB of free disk space.

use std::time::{Duration, Instant};

use super::checks::{MIB, SOON, megabytes, must, say, seconds};
use super::noise::write_noise;
use super::robots::{has_it_right, storage_of, wait_for_holders};
use crate::daemon::Robot;
use crate::small_disk::SmallDisk;
use crate::{Lab, MemoryLimit, Result, wait_until};

const MEMORY: u64 = 128 * MIB;
const FREE: u64 = 200 * MIB;
/// Maximum memory of the daemon itself in bytes. An idle daemon of a debug build has 52 MB of code and 5 MB of data in memory.
const AIM: u64 = 70_000_000;
const LONG: Duration = Duration::from_secs(900);
const NAME: &str = "large.bag";
const SEED: u64 = 1;

pub(super) fn run(lab: &Lab, big: bool) -> Result {
    let size = if big { 2048 * MIB } else { 64 * MIB };
    let host = lab.host("a")?;
    // Space for the file, the free space beside it, and the file system's own data.
    let disk = SmallDisk::mount(host.folder(), size + FREE + size / 20 + 64 * MIB)?;
    let mut a = Robot::new(host, "settle_seconds = 1")?;
    a.launch()?;
    let limit = MemoryLimit::new("a", MEMORY)?;
    limit.hold(a.running()?)?;
    a.wait_until_ready()?;
    let draft = a.home().join("draft");
    write_noise(&draft, SEED, size)?;
    disk.fill_to(FREE)?;
    say("free disk beside the file", megabytes(disk.free()?));
    let before = a.running()?.written_bytes()?;
    let (begun, shared) = (Instant::now(), a.shared_folder().join(NAME));
    std::fs::rename(&draft, &shared).map_err(crate::Error::io("sharing the file"))?;
    wait_until(LONG, "the file is added", || {
        let storage = storage_of(&a).ok()?;
        (storage["pins"].as_array()?.len() == 1).then_some(())
    })?;
    say("added after (1 s of it to settle)", seconds(begun));
    tell(&mut a, &limit, before)?;
    let b = Robot::start(lab, "b")?;
    let begun = Instant::now();
    wait_for_holders(&b, NAME, &["a", "b"], LONG)?;
    say("fetched whole, checked and held by b after", seconds(begun));
    must("b has it byte for byte", has_it_right(&b, NAME, SEED, size, lab.folder())?, megabytes(size))?;
    tell(&mut a, &limit, before)?;
    let used = storage_of(&a)?["used_bytes"].as_u64().unwrap_or(u64::MAX);
    must("a stores little in addition to the file", used < size / 1000 + 100_000, megabytes(used))?;
    let resident = a.running()?.peak_resident_bytes()?;
    must("peak memory of a is under 70 MB", resident < AIM, megabytes(resident))?;
    must("a still runs", a.running()?.is_running()?, "by its process")?;
    a.terminate()?;
    let begun = Instant::now();
    a.restart()?;
    let whole = || storage_of(&a).ok().filter(|storage| storage["pins"][0]["is_whole"] == true);
    let storage = wait_until(SOON, "the file whole after a restart", whole)?;
    say("whole again after a restart, without reading it, after", seconds(begun));
    must(
        "it is still served in place",
        storage["served_files"][0]["state"] == "matches",
        &storage["served_files"][0],
    )
}

fn tell(a: &mut Robot, limit: &MemoryLimit, before: u64) -> Result {
    let process = a.running()?;
    say("  peak memory of the process", megabytes(process.peak_resident_bytes()?));
    say("  peak including the page cache", megabytes(limit.peak()?));
    say("  written to disk", megabytes(process.written_bytes()? - before));
    Ok(())
}
