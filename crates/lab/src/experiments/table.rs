//! Cost of the table of robots in a large swarm.

use std::time::{Duration, Instant};

use dcache::buckets::{ADDRESSES, HOSTNAME, IPFS_ADDRESSES, PEER, ROBOT, VERSION};
use dcache::{End, Keypair, Record};
use serde_json::{Value, json};

use super::figures::print_table;
use crate::clock::now;
use crate::daemon::Robot;
use crate::proposal::proposal;
use crate::{Error, Lab, Result, usage};

/// Measure the cost of the table of robots in a large swarm
///
/// Fills the store of a daemon with the records of many robots, and runs `dt-swarm-cli localhost online` several times.
#[derive(Debug, Clone, clap::Args)]
pub struct Table {
    /// Number of robots in the store
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub robots: u32,
    /// Number of times that the table is shown
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub times: u32,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// Figures of the experiment. Times are means of one table.
#[derive(Debug, Clone)]
pub struct Tabled {
    /// Number of rows of the table.
    pub rows: usize,
    /// Number of records in the store.
    pub records: usize,
    /// Processor time of the daemon.
    pub daemon: Duration,
    /// Processor time of the CLI.
    pub cli: Duration,
    /// Time from the start of the CLI to its end.
    pub elapsed: Duration,
    /// Memory of the daemon before the first table and after the last one, in bytes.
    pub memory: (u64, u64),
}

/// Runs the experiment.
///
/// # Errors
/// When the lab or a program fails.
pub fn table(lab: &Lab, options: &Table) -> Result<Tabled> {
    let mut robot = Robot::new(lab.host("a")?, "")?;
    let records = (1..=options.robots).map(records_of).collect::<Result<Vec<_>>>()?.concat();
    robot.fill(&records)?;
    robot.restart()?;
    let pid = robot.running()?.pid();
    let before = (usage::resident_bytes(pid)?, usage::cpu_time(pid)?, usage::children_cpu_time()?);
    let (begun, mut rows) = (Instant::now(), 0);
    for _ in 0..options.times {
        let answer = robot.cli(&["online", "--all", "--json"])?;
        let robots = answer["robots"].as_array();
        rows = robots.ok_or_else(|| Error::answer("the table of robots", answer.to_string()))?.len();
    }
    let elapsed = begun.elapsed();
    Ok(Tabled {
        rows,
        records: records.len(),
        daemon: usage::cpu_time(pid)?.saturating_sub(before.1) / options.times,
        cli: usage::children_cpu_time()?.saturating_sub(before.2) / options.times,
        elapsed: elapsed / options.times,
        memory: (before.0, usage::resident_bytes(pid)?),
    })
}

/// Returns the records of one robot about itself.
fn records_of(number: u32) -> Result<Vec<Record>> {
    let mut seed = [9; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    let key = Keypair::from_seed(seed);
    let peer = key.peer_id();
    let address = format!("10.{}.{}.{}", 64 + (number >> 16), (number >> 8) & 0xff, number & 0xff);
    let facts = [
        (PEER.path(), peer.to_string(), PEER.lifetime()),
        (HOSTNAME.of(peer), format!("robot{number}"), HOSTNAME.lifetime()),
        (VERSION.of(peer), "0.1.0".to_owned(), VERSION.lifetime()),
        (ROBOT.of(peer), r#"{"configuration":"DB21J","type":"duckiebot"}"#.to_owned(), ROBOT.lifetime()),
        (ADDRESSES.of(peer), format!("/ip4/{address}/tcp/8000/dswarm-line"), ADDRESSES.lifetime()),
        (IPFS_ADDRESSES.of(peer), format!("/ip4/{address}/tcp/6002/p2p/{peer}"), IPFS_ADDRESSES.lifetime()),
    ];
    let signed = facts.into_iter().zip(1..).map(|((bucket, data, lifetime), sequence)| {
        let statement = proposal(&bucket.to_string(), &data, now(), lifetime)?;
        Ok(Record::sign(statement, &key, sequence, End::default()))
    });
    signed.collect()
}

impl Tabled {
    fn rows(&self) -> [(&'static str, f64); 7] {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        [
            ("records in the store", self.records as f64),
            ("rows of the table", self.rows as f64),
            ("processor time of the daemon (ms)", milliseconds(self.daemon)),
            ("processor time of the CLI (ms)", milliseconds(self.cli)),
            ("time until the table is shown (ms)", milliseconds(self.elapsed)),
            ("memory of the daemon before (MB)", self.memory.0 as f64 / 1e6),
            ("memory of the daemon after (MB)", self.memory.1 as f64 / 1e6),
        ]
    }

    /// Prints the figures.
    pub fn print(&self) {
        let rows = self.rows().map(|(what, figure)| (what.to_owned(), vec![Some(figure)]));
        print_table(&["table"], &rows);
    }

    /// Returns the figures by name.
    pub fn json(&self) -> Value {
        json!({
            "records": self.records,
            "rows": self.rows,
            "daemon_seconds": self.daemon.as_secs_f64(),
            "cli_seconds": self.cli.as_secs_f64(),
            "elapsed_seconds": self.elapsed.as_secs_f64(),
            "memory_before_bytes": self.memory.0,
            "memory_after_bytes": self.memory.1,
        })
    }
}
