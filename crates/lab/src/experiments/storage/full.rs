//! A disk that becomes full during a file transfer, and later has space again.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::checks::{MIB, SOON, megabytes, must, say, seconds};
use super::noise::write_noise;
use super::robots::{has_it_right, holders, storage_of, wait_for_holders};
use crate::daemon::Robot;
use crate::small_disk::SmallDisk;
use crate::{Error, Lab, Result, wait_until};

const NAME: &str = "coming.bag";
const SEED: u64 = 3;
/// Rate limit in bits per second, low enough that the disk can be filled during the transfer.
const RATE: u64 = 40_000_000;
const SPARE: u64 = 16 * MIB;

pub(super) fn run(lab: &Lab, big: bool) -> Result {
    let size = if big { 200 * MIB } else { 32 * MIB };
    let a = Robot::start(lab, "a")?;
    a.host().limit_rate(RATE)?;
    let host = lab.host("b")?;
    let disk = SmallDisk::mount(host.folder(), size + size / 10 + 96 * MIB)?;
    let mut b = Robot::new(host, &format!("disk_free_mib = {}", SPARE / MIB))?;
    b.restart()?;
    let draft = a.home().join("draft");
    write_noise(&draft, SEED, size)?;
    fs::rename(&draft, a.shared_folder().join(NAME)).map_err(Error::io("sharing"))?;
    wait_until(SOON, "a quarter of the file at b", || (used(&b) > size / 4).then_some(()))?;
    disk.fill_to(SPARE + MIB)?;
    say("the disk was filled when b had", megabytes(used(&b)));
    let message = wait_until(SOON, "a message about the full disk", || {
        let storage = storage_of(&b).ok()?;
        storage["waiting_files"][0]["reason"].as_str().map(str::to_owned)
    })?;
    must("b reports why it does not continue", message.contains("the disk is full"), &message)?;
    let shown = b.cli_text(&["storage"])?;
    say("`storage` says", shown.lines().take(3).collect::<Vec<_>>().join(" | "));
    let left = partial_blocks(&b.data_folder().join("ipfs/blocks"))?;
    must("no partly written file is left", left == 0, left)?;
    must("b does not claim to hold the file", !holders(&b, NAME).contains(&"b".to_owned()), "by its report")?;
    must("the space reserved for other programs is free", disk.free()? >= SPARE, megabytes(disk.free()?))?;
    // Waiting is cheap: the daemon fetches nothing meanwhile, and computes hardly anything.
    let (cpu, received) = (b.running()?.cpu_time()?, b.host().traffic()?.received);
    std::thread::sleep(Duration::from_secs(10));
    let cpu = b.running()?.cpu_time()? - cpu;
    say("waiting for 10 s took", format!("{cpu:?} of processor time"));
    say("  and received", megabytes(b.host().traffic()?.received - received));
    let begun = Instant::now();
    disk.empty()?;
    wait_for_holders(&b, NAME, &["a", "b"], Duration::from_secs(300))?;
    say("once there was space, the file was whole after", seconds(begun));
    must("b has it byte for byte", has_it_right(&b, NAME, SEED, size, lab.folder())?, megabytes(size))?;
    let storage = storage_of(&b)?;
    must(
        "no file is waiting",
        storage["waiting_files_total"] == 0 && storage["reason"] == Value::Null,
        "by its report",
    )?;
    let received = b.host().traffic()?.received;
    say("b received in total", format!("{:.3} file sizes", received as f64 / size as f64));
    b.terminate().map(drop)
}

fn used(robot: &Robot) -> u64 {
    storage_of(robot).ok().and_then(|storage| storage["used_bytes"].as_u64()).unwrap_or(0)
}

/// Returns the number of block files that were not completely written.
fn partial_blocks(blocks: &Path) -> Result<usize> {
    let list =
        |folder: &Path| fs::read_dir(folder).map_err(Error::io(format!("listing {}", folder.display())));
    let mut partial = 0;
    for shard in list(blocks)?.flatten() {
        let files = list(&shard.path())?.flatten();
        partial += files.filter(|file| file.file_name().to_string_lossy().ends_with(".partial")).count();
    }
    Ok(partial)
}
