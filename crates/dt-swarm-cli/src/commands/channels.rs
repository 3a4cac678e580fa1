//! `channels`: the daemon's channels, whom they reach, what they bear, and what is wrong.

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

const HEADER: [&str; 7] = ["CHANNEL", "REACHES", "PEERS", "SENT", "RECEIVED", "BEARS A MINUTE", "PACKET"];
/// The most characters of a message that are shown.
const MAX_MESSAGE_SHOWN: usize = 400;

/// Show the daemon's channels: whom they reach, who was heard there, what they bear, and what is wrong.
#[derive(Debug, Args)]
pub(crate) struct Channels {}

/// A daemon's channels. A field is `null` when the daemon does not tell.
#[derive(Debug, Serialize)]
pub(crate) struct ChannelList {
    /// The daemon that answered.
    daemon: Daemon,
    /// Its channels, at most 16. Links for questions and comparisons are one together.
    channels: Option<Vec<Channel>>,
    /// What should work and does not, at most 16.
    troubles: Option<Vec<Trouble>>,
}

/// Something that should work and does not.
#[derive(Debug, Serialize)]
struct Trouble {
    /// The name of a channel, or of what would be one.
    channel: String,
    /// Identifies the kind of fault, such as `udp.port-taken`; `null` when the daemon is too old to tell.
    code: Option<String>,
    /// What is wrong and what can be done.
    message: String,
    /// For how many seconds it has been so.
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
            return "This daemon does not tell how it is doing.\n".to_owned();
        };
        let mut rows = table(&HEADER);
        for channel in channels.iter().filter(|channel| is_shown(channel)) {
            rows.add_row(row(channel));
        }
        let mut shown = format!("{rows}\n");
        if channels.iter().all(|channel| channel.reach.is_none()) {
            shown += "\nNo channel is up: nobody can be reached.\n";
        }
        for trouble in troubles {
            // Writing to a String does not fail.
            let _ = write!(shown, "\n{}", sentence(trouble));
        }
        if troubles.is_empty() { shown } else { shown + "\n" }
    }
}

/// Returns whether the channel has anything to show. Questions such as this one may be all that ever came by a link.
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
        "links" => "passing links".to_owned(),
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
        None => "who asks",
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
    fn says_what_is_wrong_in_a_sentence() {
        let trouble = Trouble {
            channel: "irc".into(),
            code: None,
            message: "no answer\u{1b}[2J".into(),
            age_seconds: 65,
        };
        assert_eq!(sentence(&trouble), "irc: no answer\\u{1b}[2J (for 65 s)\n");
    }

    #[test]
    fn without_channels_that_is_said() {
        let peer = PeerRef::unnamed(dcache::PeerId::from_public_key([0; 32]));
        let daemon =
            Daemon { peer, version: None, uptime_seconds: None, clock_ahead_seconds: None, records: Some(0) };
        let list = ChannelList { daemon, channels: Some(Vec::new()), troubles: Some(Vec::new()) };
        assert!(list.show().contains("No channel is up"));
    }
}
