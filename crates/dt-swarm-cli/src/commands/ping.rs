//! `ping`: checks that the daemon answers, measures how fast, and shows which daemon it is.

use super::Command;
use crate::ask;
use crate::context::{self, Context};
use crate::error::CliError;
use crate::output::Output;
use crate::output::fields::Daemon;
use crate::text::{clean, duration};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Checks that the daemon answers, and shows round-trip times, peer ID, version, uptime and clock.
#[derive(Debug, Args)]
pub(crate) struct Ping {
    /// Number of pings to send.
    #[arg(short, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) count: u16,
}

/// The results of one or more pings.
#[derive(Debug, Serialize)]
pub(crate) struct Pings {
    /// The daemon that answered.
    daemon: Daemon,
    /// Whether the daemon proved that it has the key of its peer ID. Without this, another host may have answered.
    is_proven: bool,
    /// The counters of the daemon since it started, by metric; `null` when the daemon does not report them.
    counters: Option<BTreeMap<String, u64>>,
    /// The round-trip time of each ping, rounded to microseconds.
    round_trip_seconds: Vec<f64>,
    #[serde(skip)]
    host: String,
}

impl Command for Ping {
    type Output = Pings;

    /// Sends all pings over one connection.
    fn run(&self, context: &Context) -> Result<Pings, CliError> {
        let mut connection = context.connect()?;
        let start = Instant::now();
        let (mut pong, is_proven) = ask::identify(&mut connection)?;
        let (peer, mut round_trips) = (pong.peer, vec![start.elapsed()]);
        for _ in 1..self.count {
            let start = Instant::now();
            pong = ask::ping(&mut connection)?;
            round_trips.push(start.elapsed());
        }
        // The proof is about the peer of the first pong.
        let is_proven = is_proven && pong.peer == peer;
        let daemon = context::daemon(&mut connection, &pong, &context.own_words_policy())?;
        context.warn_of_clock(&pong);
        Ok(Pings {
            daemon,
            is_proven,
            counters: pong.status.map(|status| status.counters),
            round_trip_seconds: round_trips.into_iter().map(microseconds_exact).collect(),
            host: connection.host().to_string(),
        })
    }
}

/// Returns the time in seconds, rounded to microseconds.
fn microseconds_exact(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e6
}

impl Output for Pings {
    fn show(&self) -> String {
        let mut shown = String::new();
        // Writing to a String does not fail.
        for (number, seconds) in self.round_trip_seconds.iter().enumerate() {
            let _ = writeln!(shown, "pong {} from {}: {:.1} ms", number + 1, self.host, seconds * 1e3);
        }
        let daemon = &self.daemon;
        let proof = if self.is_proven { "" } else { " (not proven: another host may have answered)" };
        let _ = writeln!(shown, "peer      {}{proof}", daemon.peer.peer);
        if let Some(hostname) = &daemon.peer.hostname {
            let _ = writeln!(shown, "hostname  {}", clean(hostname, 64));
        }
        if let Some(version) = &daemon.version {
            let _ = writeln!(shown, "version   {}", clean(version, 64));
        }
        if let Some(uptime) = daemon.uptime_seconds {
            let _ = writeln!(shown, "uptime    {}", duration(uptime));
        }
        if let Some(records) = daemon.records {
            let _ = writeln!(shown, "records   {records}");
        }
        if let Some(ahead) = daemon.clock_ahead_seconds {
            let _ = writeln!(shown, "clock     {}", clock(ahead));
        }
        shown
    }
}

fn clock(ahead: i64) -> String {
    let far = duration(ahead.unsigned_abs());
    match ahead {
        // Both clocks are read in whole seconds, so that a difference of one second can be a rounding error.
        -1..=1 => "the same as this computer's".to_owned(),
        2.. => format!("{far} ahead of this computer's"),
        _ => format!("{far} behind this computer's"),
    }
}
