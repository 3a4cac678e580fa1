//! Is it there, how fast, and which one is it?

use crate::ask::{self, Pong};
use crate::connection::Connection;
use crate::error::CliError;
use crate::names::Names;
use crate::text::{clean, duration};
use dcache::{Policy, buckets};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// What a few pings told.
pub(crate) struct Pings {
    host: String,
    round_trips: Vec<Duration>,
    pong: Pong,
    hostname: Option<String>,
}

/// Pings once, and `count - 1` times more, over one connection; then asks for the daemon's name for itself.
pub(crate) fn ping(connection: &mut Connection, count: u16) -> Result<Pings, CliError> {
    let mut timed = || {
        let start = Instant::now();
        ask::ping(connection).map(|pong| (start.elapsed(), pong))
    };
    let (first, mut pong) = timed()?;
    let mut round_trips = vec![first];
    for _ in 1..count {
        let (round_trip, latest) = timed()?;
        round_trips.push(round_trip);
        pong = latest;
    }
    let bucket = format!("/{}", buckets::HOSTNAME.of(pong.peer));
    let answer = ask::records(connection, &[&bucket], &Policy::default())?;
    let names = Names::read(&answer.set, answer.now)?;
    Ok(Pings {
        host: connection.host().to_string(),
        round_trips,
        hostname: names.raw(pong.peer).map(str::to_owned),
        pong,
    })
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

impl Pings {
    pub(crate) fn warning(&self) -> Option<String> {
        self.pong.clock_warning(&self.host)
    }

    pub(crate) fn show(&self) -> String {
        let mut shown = String::new();
        // Writing to a String does not fail.
        for (number, time) in self.round_trips.iter().enumerate() {
            let _ = writeln!(shown, "pong {} from {}: {:.1} ms", number + 1, self.host, milliseconds(*time));
        }
        let _ = writeln!(shown, "peer      {}", self.pong.peer);
        if let Some(hostname) = &self.hostname {
            let _ = writeln!(shown, "hostname  {}", clean(hostname, 64));
        }
        if let Some(status) = &self.pong.status {
            let _ = writeln!(shown, "version   {}", clean(&status.version, 64));
            let _ = writeln!(shown, "uptime    {}", duration(status.uptime));
            let _ = writeln!(shown, "records   {}", status.records);
        }
        if let Some(ahead) = self.pong.clock_ahead() {
            let _ = writeln!(shown, "clock     {}", clock(ahead));
        }
        shown
    }

    pub(crate) fn json(&self) -> Value {
        let status = self.pong.status.as_ref();
        json!({
            "peer": self.pong.peer,
            "hostname": self.hostname,
            "version": status.map(|status| &status.version),
            "uptime_seconds": status.map(|status| status.uptime),
            "records": status.map(|status| status.records),
            "counters": status.map(|status| &status.counters),
            "clock_ahead_seconds": self.pong.clock_ahead(),
            "round_trip_milliseconds": self.round_trips.iter().copied().map(milliseconds).collect::<Vec<_>>(),
        })
    }
}

fn clock(ahead: i64) -> String {
    let far = duration(ahead.unsigned_abs());
    match ahead {
        // Whole seconds cannot tell more.
        -1..=1 => "the same as this computer's".to_owned(),
        2.. => format!("{far} ahead of this computer's"),
        _ => format!("{far} behind this computer's"),
    }
}
