//! Many small files, and one file that consists almost only of holes.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use super::checks::{MIB, megabytes, must, say, seconds};
use super::robots::storage_of;
use content::{Answer, Content, Request};
use control::Client;

use crate::daemon::Robot;
use crate::small_disk::allocated_bytes;
use crate::{Error, Lab, Result, counts_writes, wait_until};

const LONG: Duration = Duration::from_secs(900);
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between requests, because answering them takes processor time of the measured daemon.
const PAUSE: Duration = Duration::from_millis(500);
const SMALL: usize = 4096;

pub(super) fn run(lab: &Lab, big: bool) -> Result {
    let (number, hole) = if big { (10_000, 8192 * MIB) } else { (500, 256 * MIB) };
    let mut a = Robot::start(lab, "a")?;
    let figures = |a: &mut Robot| -> Result<(u64, Duration)> {
        Ok((a.running()?.written_bytes()?, a.running()?.cpu_time()?))
    };
    let before = figures(&mut a)?;
    let begun = Instant::now();
    write_files(&a, number)?;
    wait_for_pins(&a, number)?;
    say(&format!("{number} files of 4 KiB written, added and pinned after"), seconds(begun));
    tell(&mut a, lab, before, (number * SMALL) as u64)?;
    let before = figures(&mut a)?;
    let begun = Instant::now();
    let path = a.shared_folder().join("holes.bag");
    let made = File::create(&path).and_then(|file| file.set_len(hole));
    made.map_err(Error::io(format!("making {}", path.display())))?;
    wait_for_pins(&a, number + 1)?;
    say(&format!("a sparse file of {} added and pinned after", megabytes(hole)), seconds(begun));
    say("  its space on the disk", megabytes(allocated_bytes(&path)?));
    tell(&mut a, lab, before, hole)?;
    a.terminate()?;
    let begun = Instant::now();
    a.restart()?;
    wait_for_pins(&a, number + 1)?;
    say("restarted, all pins whole, after", seconds(begun));
    let storage = storage_of(&a)?;
    let files = storage["served_files"].as_array().cloned().unwrap_or_default();
    let matching = files.iter().filter(|file| file["state"] == "matches").count();
    must("all are served in place", matching == number + 1, format!("{matching} of {}", number + 1))
}

/// Writes files with different contents, so that no block is shared.
fn write_files(a: &Robot, number: usize) -> Result {
    let folder = a.home().join("draft");
    let write = || {
        fs::create_dir(&folder)?;
        for file in 0..number {
            let content = format!("file {file} ").into_bytes().into_iter().cycle().take(SMALL);
            fs::write(folder.join(format!("{file}.log")), content.collect::<Vec<u8>>())?;
        }
        fs::rename(&folder, a.shared_folder().join("many"))
    };
    write().map_err(Error::io("writing many files"))
}

/// Waits for at least this number of whole pins: versions of the catalogue are pinned as well. It requests only numbers,
/// because listing all pins would dominate the measurement.
fn wait_for_pins(a: &Robot, number: usize) -> Result {
    let mut client = None;
    wait_until(LONG, &format!("{number} whole pins"), || {
        let client = match &mut client {
            Some(client) => client,
            none => none.insert(Client::connect(&a.control_socket(), PATIENCE).ok()?),
        };
        let answer = client.call::<Content>(&Request::Storage {}).ok()?;
        std::thread::sleep(PAUSE);
        matches!(answer, Answer::Storage(storage) if storage.pins >= number && storage.incomplete_pins == 0)
            .then_some(())
    })
}

fn tell(a: &mut Robot, lab: &Lab, (written, cpu): (u64, Duration), content: u64) -> Result {
    let used = storage_of(a)?["used_bytes"].as_u64().unwrap_or(0);
    let process = a.running()?;
    say("  processor time", format!("{:.1} s", (process.cpu_time()? - cpu).as_secs_f64()));
    say("  peak memory", megabytes(process.peak_resident_bytes()?));
    if counts_writes(lab.folder())? {
        let written = process.written_bytes()? - written;
        let share = written as f64 / content as f64;
        say("  written to disk", format!("{} ({share:.3} of the content)", megabytes(written)));
    }
    say("  stored in blocks", megabytes(used));
    Ok(())
}
