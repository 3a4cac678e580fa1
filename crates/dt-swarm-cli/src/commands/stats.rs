//! `stats`: what passed the daemon's channels, and how far it believes to be behind.

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

/// Show what the daemon sent, received, suppressed, repaired and refused on each channel, and how far it is behind.
///
/// Suppressed is what it did not say since others were heard saying it; repaired are records that comparing with
/// others showed to be missing, here or there; waiting are those whose turn within the channel's budget is to come.
#[derive(Debug, Args)]
pub(crate) struct Stats {}

/// What a daemon counts. A field is `null` when the daemon does not tell.
#[derive(Debug, Serialize)]
pub(crate) struct Counts {
    /// The daemon that answered.
    daemon: Daemon,
    /// How its records compare with those of its peers.
    sync: Option<Sync>,
    /// Its channels, at most 16. Links for questions and comparisons are one together.
    channels: Option<Vec<Channel>>,
    /// What was counted since it started.
    counters: Option<BTreeMap<String, u64>>,
}

/// How the records of a daemon compare with those of its peers.
#[derive(Debug, Serialize)]
struct Sync {
    /// Peers heard lately that showed the same records.
    agreeing: u64,
    /// Peers heard lately that showed something else.
    differing: u64,
    /// How many records more the one of them has that has most; 0 when none has more.
    behind: u64,
    /// Seconds since a peer showed the same records; `null` when that has not happened yet.
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
            return "This daemon does not tell how it is doing.\n".to_owned();
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
            let _ =
                writeln!(shown, "\nsince {} ago:", duration(self.daemon.uptime_seconds.unwrap_or_default()));
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
    let Some(sync) = sync else { return "how that compares with its peers is not known".to_owned() };
    let agreed = sync.agreed_age_seconds.map_or("no peer has shown the same yet".to_owned(), |seconds| {
        format!("a peer showed the same {} ago", duration(seconds))
    });
    let Sync { agreeing, differing, behind, .. } = *sync;
    match (agreeing, differing, behind) {
        (0, 0, _) => format!("no peer was heard lately; {agreed}"),
        (_, 0, _) => format!("all {agreeing} peers heard lately hold the same"),
        (_, _, 0) => format!(
            "{differing} of {} peers heard lately hold something else; {agreed}",
            agreeing + differing
        ),
        _ => format!(
            "at least {behind} behind: {differing} of {} peers heard lately hold something else; {agreed}",
            agreeing + differing
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_far_behind_in_words() {
        let of = |agreeing, differing, behind| {
            sentence(Some(&Sync { agreeing, differing, behind, agreed_age_seconds: Some(65) }))
        };
        assert!(of(0, 0, 0).starts_with("no peer was heard lately; a peer showed the same"));
        assert_eq!(of(3, 0, 0), "all 3 peers heard lately hold the same");
        assert!(of(3, 1, 0).starts_with("1 of 4 peers heard lately hold something else"));
        assert!(of(0, 2, 12).starts_with("at least 12 behind: 2 of 2 peers"));
        assert!(sentence(Some(&SyncStatus::default().into())).ends_with("no peer has shown the same yet"));
    }
}
