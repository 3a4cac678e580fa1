//! `channels`: shows the daemon's channels with their reach, peers, capacity and faults.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::output::channel::Channel;
use crate::output::fields::Daemon;
use crate::tables::table;
use crate::text::{clean, duration, size};
use clap::Args;
use routing::Reach;
use serde::Serialize;
use std::fmt::Write as _;

const HEADER: [&str; 7] = ["CHANNEL", "REACHES", "PEERS", "SENT", "RECEIVED", "BUDGET A MINUTE", "PACKET"];
/// Maximum number of characters of a message that are shown.
const MAX_MESSAGE_SHOWN: usize = 400;

/// Shows the daemon's channels. For each channel, shows the peers that it reaches, its traffic, its send budget and its
/// faults.
///
/// PEERS is the number of peers that were heard on the channel lately. PACKET is the maximum size of the records in one
/// line. The faults below the table say what is wrong and what can be done.
#[derive(Debug, Args)]
pub(crate) struct Channels {}

/// The channels of a daemon. A field is `null` when the daemon does not report it.
#[derive(Debug, Serialize)]
pub(crate) struct ChannelList {
    /// The daemon that answered.
    daemon: Daemon,
    /// The channels, at most 16. All temporary links for questions and comparisons are counted in one entry.
    channels: Option<Vec<Channel>>,
    /// The present faults, at most 16.
    troubles: Option<Vec<Trouble>>,
}

/// A fault of the daemon that is present now.
#[derive(Debug, Serialize)]
struct Trouble {
    /// The name of the channel, or of the channel that could not be opened.
    channel: String,
    /// The code of the fault, such as `udp.port-taken`; `null` when the daemon is too old to report it.
    code: Option<String>,
    /// The cause and the way out, as a sentence.
    message: String,
    /// Seconds since the fault appeared.
    age_seconds: u64,
}

impl From<routing::Trouble> for Trouble {
    fn from(trouble: routing::Trouble) -> Self {
        let routing::Trouble { channel, code, message, seconds } = trouble;
        Self { channel, code: Some(code).filter(|code| !code.is_empty()), message, age_seconds: seconds }
    }
}

impl Command for Channels {
    type Output = ChannelList;

    fn run(&self, context: &Context) -> Result<ChannelList, CliError> {
        let (pong, daemon) = context.ping()?;
        let (channels, troubles) = pong.status.map(|status| (status.channels, status.troubles)).unzip();
        Ok(ChannelList {
            daemon,
            channels: channels.map(|all| all.into_iter().map(Channel::from).collect()),
            troubles: troubles.map(|all| all.into_iter().map(Trouble::from).collect()),
        })
    }
}

impl Output for ChannelList {
    fn show(&self) -> String {
        let (Some(channels), Some(troubles)) = (&self.channels, &self.troubles) else {
            return "This daemon does not report its status.\n".to_owned();
        };
        let mut rows = table(&HEADER);
        for channel in channels.iter().filter(|channel| is_shown(channel)) {
            rows.add_row(row(channel));
        }
        let mut shown = format!("{rows}\n");
        if channels.iter().all(|channel| channel.reach.is_none()) {
            shown += "\nNo channel is up: no peer can be reached.\n";
        }
        for trouble in troubles {
            // Writing to a String does not fail.
            let _ = write!(shown, "\n{}", sentence(trouble));
        }
        if troubles.is_empty() { shown } else { shown + "\n" }
    }
}

/// Returns whether the channel is up or has had any traffic.
fn is_shown(channel: &Channel) -> bool {
    channel.reach.is_some() || channel.sent_lines + channel.received_lines > 0
}

fn row(channel: &Channel) -> [String; 7] {
    let (bears, packet) = match channel.reach {
        None => (String::new(), String::new()),
        Some(_) => {
            let left = size(channel.left_bytes);
            let lines = channel.lines_per_minute;
            let bears = format!("{} in {lines} lines; {left} now", size(channel.bytes_per_minute));
            (bears, size(channel.mtu_bytes))
        }
    };
    let name = match channel.name.as_str() {
        "links" => "temporary links".to_owned(),
        _ => channel.show_name(),
    };
    [
        name,
        reach(channel.reach).to_owned(),
        channel.reach.map_or(String::new(), |_| channel.peers.to_string()),
        size(channel.sent_bytes),
        size(channel.received_bytes),
        bears,
        packet,
    ]
}

fn reach(reach: Option<Reach>) -> &'static str {
    match reach {
        None => "the other end",
        Some(Reach::Peer) => "one peer",
        Some(Reach::Lan) => "this network",
        Some(Reach::World) => "everywhere",
    }
}

fn sentence(trouble: &Trouble) -> String {
    let (channel, message) = (clean(&trouble.channel, 64), clean(&trouble.message, MAX_MESSAGE_SHOWN));
    format!("{channel}: {message} (for {})\n", duration(trouble.age_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::fields::PeerRef;

    #[test]
    fn a_fault_is_shown_as_a_sentence() {
        let trouble = Trouble {
            channel: "irc".into(),
            code: None,
            message: "no answer\u{1b}[2J".into(),
            age_seconds: 65,
        };
        assert_eq!(sentence(&trouble), "irc: no answer\\u{1b}[2J (for 65 s)\n");
    }

    #[test]
    fn a_daemon_without_channels_is_reported() {
        let peer = PeerRef::unnamed(dcache::PeerId::from_public_key([0; 32]));
        let daemon =
            Daemon { peer, version: None, uptime_seconds: None, clock_ahead_seconds: None, records: Some(0) };
        let list = ChannelList { daemon, channels: Some(Vec::new()), troubles: Some(Vec::new()) };
        assert!(list.show().contains("No channel is up"));
    }
}
