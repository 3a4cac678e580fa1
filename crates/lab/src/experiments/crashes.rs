//! A file transfer during which both sides are killed repeatedly, and its cost.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::class::write_file;
use super::figures::print_table;
use crate::daemon::Robot;
use crate::{Error, Lab, Result, wait_until};

const SOON: Duration = Duration::from_secs(120);
const NAME: &str = "run.bag";

/// Measure the cost of a file transfer whose fetcher and seeder are killed repeatedly
///
/// One robot transfers a file to another. At random moments one of the two, chosen at random, is killed with SIGKILL
/// and restarted. At the end the file is compared. The bytes received over the fetcher's link are counted over all
/// restarts.
#[derive(Debug, Clone, clap::Args)]
pub struct Crashes {
    /// Number of kills
    #[arg(long, default_value_t = 30)]
    pub kills: u32,
    /// Size of the file in millions of bytes
    #[arg(long, default_value_t = 800)]
    pub megabytes: u64,
    /// Limit of the transfer rate in kB/s, so that the transfer takes long enough
    #[arg(long, default_value_t = 8000)]
    pub kilobytes: u64,
    /// Longest time between two kills in milliseconds
    #[arg(long, default_value_t = 3500)]
    pub longest_ms: u64,
    /// Seed of the moments of the kills
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// Figures of the experiment.
#[derive(Debug, Clone)]
pub struct Survived {
    /// How often the fetcher and the seeder were killed during the transfer.
    pub kills: [u32; 2],
    /// Bytes received over the fetcher's link, divided by the size of the file.
    pub received_per_size: f64,
    /// Time from the request to the complete file.
    pub time: Duration,
    /// Whether the copy has the same content as the original.
    pub is_same: bool,
}

/// Runs the experiment.
///
/// # Errors
/// When the lab or a program fails, or the file does not arrive.
pub fn crashes(options: &Crashes) -> Result<Survived> {
    let lab = Lab::new("crashes")?;
    let mut seeder = Robot::new(lab.host("seeder")?, "settle_seconds = 0\n")?;
    let mut fetcher = Robot::new(lab.host("fetcher")?, "settle_seconds = 0\nkeep_others = false\n")?;
    seeder.restart()?;
    fetcher.restart()?;
    let original = seeder.host().folder().join("original");
    write_file(&original, options.megabytes * 1_000_000, options.seed)?;
    seeder.share_copy(NAME, &original)?;
    wait_until(SOON, "the file is known", || {
        fetcher.cli_text(&["report"]).ok().filter(|shown| shown.contains(NAME))
    })?;
    fetcher.cli(&["limit", "--lan-down", &format!("{}kB", options.kilobytes), "--json"])?;
    let copy = fetcher.host().folder().join("copy");
    let (before, begun) = (fetcher.host().traffic()?.received, Instant::now());
    fetcher.cli(&["get", NAME, "-o", &copy.to_string_lossy(), "--wait", "0", "--json"])?;
    let kills = kill_again_and_again(options, &mut fetcher, &mut seeder, &copy)?;
    let patience = Duration::from_secs(options.megabytes * 1000 / options.kilobytes) * 2 + SOON;
    wait_until(patience, "the file is complete", || copy.exists().then_some(()))?;
    let time = begun.elapsed();
    let received = fetcher.host().traffic()?.received - before;
    Ok(Survived {
        kills,
        received_per_size: received as f64 / (options.megabytes as f64 * 1e6),
        time,
        is_same: is_same(&original, &copy).map_err(Error::io("comparing"))?,
    })
}

/// Returns whether two files have the same content. The files may be larger than memory.
fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let open = |path| File::open(path).map(|file| BufReader::with_capacity(1 << 20, file));
    let (mut one, mut other) = (open(one)?, open(other)?);
    loop {
        let (a, b) = (one.fill_buf()?, other.fill_buf()?);
        let common = a.len().min(b.len());
        if common == 0 {
            return Ok(a.is_empty() && b.is_empty());
        }
        if a[..common] != b[..common] {
            return Ok(false);
        }
        one.consume(common);
        other.consume(common);
    }
}

/// Kills one of the two repeatedly, and returns how often each was killed. It stops when the file is complete.
fn kill_again_and_again(
    options: &Crashes,
    fetcher: &mut Robot,
    seeder: &mut Robot,
    copy: &Path,
) -> Result<[u32; 2]> {
    let (mut random, mut kills) = (ChaCha8Rng::seed_from_u64(options.seed), [0, 0]);
    for _ in 0..options.kills {
        thread::sleep(Duration::from_millis(random.random_range(200..options.longest_ms.max(201))));
        if copy.exists() {
            break;
        }
        let which = usize::from(random.random_bool(0.5));
        let killed = if which == 0 { &mut *fetcher } else { &mut *seeder };
        killed.kill9()?;
        killed.restart()?;
        kills[which] += 1;
    }
    Ok(kills)
}

impl Survived {
    /// Prints the figures.
    pub fn print(&self) {
        let [fetcher, seeder] = self.kills.map(f64::from);
        let row = |what: &str, figure| (what.to_owned(), vec![Some(figure)]);
        print_table(
            &[""],
            &[
                row("kills of the fetcher", fetcher),
                row("kills of the seeder", seeder),
                row("bytes received / size of the file", self.received_per_size),
                row("time (s)", self.time.as_secs_f64()),
                row("the copy is the same (1) or not (0)", f64::from(u8::from(self.is_same))),
            ],
        );
    }

    /// Returns the figures by name.
    pub fn json(&self) -> Value {
        json!({
            "fetcher_killed": self.kills[0],
            "seeder_killed": self.kills[1],
            "received_per_size": self.received_per_size,
            "seconds": self.time.as_secs_f64(),
            "is_same": self.is_same,
        })
    }
}
