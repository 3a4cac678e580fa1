//! What the daemon said and heard on each of its channels, and how far it believes to be behind.

use crate::ask::Pong;
use crate::tables::table;
use crate::text::{clean, duration, size};
use routing::{ChannelStatus, Status, SyncStatus};
use serde_json::{Value, json};
use std::fmt::Write as _;

const HEADER: [&str; 9] =
    ["CHANNEL", "SENT", "", "RECEIVED", "", "SUPPRESSED", "REPAIRED", "REFUSED", "WAITING"];

pub(crate) fn show(pong: &Pong) -> String {
    let Some(status) = &pong.status else {
        return "This daemon does not tell how it is doing.\n".to_owned();
    };
    let mut shown = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(shown, "{} records; {}\n", status.records, standing(status.sync.as_ref()));
    let mut channels = table(&HEADER);
    for channel in &status.channels {
        channels.add_row(row(channel));
    }
    let _ = writeln!(shown, "{channels}");
    if !status.counters.is_empty() {
        let _ = writeln!(shown, "\nsince {} ago:", duration(status.uptime));
    }
    for (name, count) in &status.counters {
        let what = telemetry::metrics::find(name).map_or(name.as_str(), |metric| metric.help);
        let _ = writeln!(shown, "{count:>10}  {}", clean(what, 120));
    }
    shown
}

fn row(channel: &ChannelStatus) -> [String; 9] {
    let lines = |count: u64| format!("{count} lines");
    [
        clean(&channel.name, 64),
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

/// How it stands beside its peers, in a sentence.
fn standing(standing: Option<&SyncStatus>) -> String {
    let Some(standing) = standing else { return "how that compares with its peers is not known".to_owned() };
    let agreed = standing.agreed.map_or("no peer has shown the same yet".to_owned(), |seconds| {
        format!("a peer showed the same {} ago", duration(seconds))
    });
    let SyncStatus { agreeing, differing, behind, .. } = *standing;
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

pub(crate) fn json(pong: &Pong) -> Value {
    let status: Option<&Status> = pong.status.as_ref();
    json!({
        "peer": pong.peer,
        "uptime_seconds": status.map(|status| status.uptime),
        "records": status.map(|status| status.records),
        "standing": status.and_then(|status| status.sync.as_ref()),
        "channels": status.map(|status| &status.channels),
        "counters": status.map(|status| &status.counters),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_far_behind_in_words() {
        let of = |agreeing, differing, behind| {
            standing(Some(&SyncStatus { agreeing, differing, behind, agreed: Some(65) }))
        };
        assert!(of(0, 0, 0).starts_with("no peer was heard lately; a peer showed the same"));
        assert_eq!(of(3, 0, 0), "all 3 peers heard lately hold the same");
        assert!(of(3, 1, 0).starts_with("1 of 4 peers heard lately hold something else"));
        assert!(of(0, 2, 12).starts_with("at least 12 behind: 2 of 2 peers"));
        assert!(standing(Some(&SyncStatus::default())).ends_with("no peer has shown the same yet"));
    }
}
