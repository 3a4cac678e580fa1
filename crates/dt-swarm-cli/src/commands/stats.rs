//! `stats`: shows the traffic of the daemon's channels, its counters, and how far it is behind its peers.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::output::channel::Channel;
use crate::output::fields::Daemon;
use crate::tables::table;
use crate::text::{clean, duration, size};
use clap::Args;
use routing::SyncStatus;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const HEADER: [&str; 9] =
    ["CHANNEL", "SENT", "", "RECEIVED", "", "SUPPRESSED", "REPAIRED", "REFUSED", "WAITING"];

/// Shows the traffic of each channel, the counters of the daemon, and how far it is behind its peers.
///
/// SUPPRESSED counts records and beacons that the daemon did not send, because another peer was heard sending the same.
/// REPAIRED counts records that a comparison with a peer showed to be missing on either side. REFUSED counts records
/// that the daemon did not accept. WAITING counts records that wait for send budget of the channel.
#[derive(Debug, Args)]
pub(crate) struct Stats {}

/// The counters of a daemon. A field is `null` when the daemon does not report it.
#[derive(Debug, Serialize)]
pub(crate) struct Counts {
    /// The daemon that answered.
    daemon: Daemon,
    /// The comparison of its records with those of its peers.
    sync: Option<Sync>,
    /// The channels, at most 16. All temporary links for questions and comparisons are counted in one entry.
    channels: Option<Vec<Channel>>,
    /// The counters since the daemon started, by metric.
    counters: Option<BTreeMap<String, u64>>,
}

/// The comparison of a daemon's records with those of its peers.
#[derive(Debug, Serialize)]
struct Sync {
    /// Number of peers heard lately that have the same records.
    agreeing: u64,
    /// Number of peers heard lately that have different records.
    differing: u64,
    /// Number of records by which the peer with the most records is ahead; 0 when no peer is ahead.
    behind: u64,
    /// Seconds since a peer last had the same records; `null` if this never happened.
    agreed_age_seconds: Option<u64>,
}

impl From<SyncStatus> for Sync {
    fn from(status: SyncStatus) -> Self {
        let SyncStatus { agreeing, differing, behind, agreed } = status;
        Self { agreeing, differing, behind, agreed_age_seconds: agreed }
    }
}

impl Command for Stats {
    type Output = Counts;

    fn run(&self, context: &Context) -> Result<Counts, CliError> {
        let (pong, daemon) = context.ping()?;
        let status = pong.status.unwrap_or_default();
        let is_told = daemon.records.is_some();
        Ok(Counts {
            daemon,
            sync: status.sync.map(Sync::from),
            channels: is_told.then(|| status.channels.into_iter().map(Channel::from).collect()),
            counters: is_told.then_some(status.counters),
        })
    }
}

impl Output for Counts {
    fn show(&self) -> String {
        let (Some(channels), Some(counters)) = (&self.channels, &self.counters) else {
            return "This daemon does not report its status.\n".to_owned();
        };
        let mut shown = String::new();
        // Writing to a String does not fail.
        let records = self.daemon.records.unwrap_or_default();
        let _ = writeln!(shown, "{records} records; {}\n", sentence(self.sync.as_ref()));
        let mut rows = table(&HEADER);
        for channel in channels {
            rows.add_row(row(channel));
        }
        let _ = writeln!(shown, "{rows}");
        if !counters.is_empty() {
            let _ = writeln!(
                shown,
                "\nin the last {}:",
                duration(self.daemon.uptime_seconds.unwrap_or_default())
            );
        }
        for (name, count) in counters {
            let what = telemetry::metrics::find(name).map_or(name.as_str(), |metric| metric.help);
            let _ = writeln!(shown, "{count:>10}  {}", clean(what, 120));
        }
        shown
    }
}

fn row(channel: &Channel) -> [String; 9] {
    let lines = |count: u64| format!("{count} lines");
    [
        channel.show_name(),
        lines(channel.sent_lines),
        size(channel.sent_bytes),
        lines(channel.received_lines),
        size(channel.received_bytes),
        channel.suppressed.to_string(),
        channel.repaired.to_string(),
        channel.refused.to_string(),
        channel.waiting.to_string(),
    ]
}

fn sentence(sync: Option<&Sync>) -> String {
    let Some(sync) = sync else { return "the daemon does not report the records of its peers".to_owned() };
    let agreed =
        sync.agreed_age_seconds.map_or("no peer has had the same records yet".to_owned(), |seconds| {
            format!("a peer had the same records {} ago", duration(seconds))
        });
    let Sync { agreeing, differing, behind, .. } = *sync;
    match (agreeing, differing, behind) {
        (0, 0, _) => format!("no peer was heard lately; {agreed}"),
        (_, 0, _) => format!("all {agreeing} peers heard lately have the same records"),
        (_, _, 0) => format!(
            "{differing} of {} peers heard lately have different records; {agreed}",
            agreeing + differing
        ),
        _ => format!(
            "at least {behind} behind: {differing} of {} peers heard lately have different records; {agreed}",
            agreeing + differing
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comparison_with_the_peers_is_shown_as_a_sentence() {
        let of = |agreeing, differing, behind| {
            sentence(Some(&Sync { agreeing, differing, behind, agreed_age_seconds: Some(65) }))
        };
        assert!(of(0, 0, 0).starts_with("no peer was heard lately; a peer had the same records"));
        assert_eq!(of(3, 0, 0), "all 3 peers heard lately have the same records");
        assert!(of(3, 1, 0).starts_with("1 of 4 peers heard lately have different records"));
        assert!(of(0, 2, 12).starts_with("at least 12 behind: 2 of 2 peers"));
        assert!(
            sentence(Some(&SyncStatus::default().into())).ends_with("no peer has had the same records yet")
        );
    }
}
