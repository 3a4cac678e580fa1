//! The daemon's channels: whom they reach, what they bear, and what is wrong.

use crate::ask::Pong;
use crate::tables::table;
use crate::text::{clean, duration, size};
use routing::{ChannelStatus, Reach, Trouble};
use serde_json::{Value, json};
use std::fmt::Write as _;

const HEADER: [&str; 7] = ["CHANNEL", "REACHES", "PEERS", "SENT", "RECEIVED", "BEARS A MINUTE", "PACKET"];
/// The most characters of a trouble's message that are shown.
const MAX_MESSAGE: usize = 400;

pub(crate) fn show(pong: &Pong) -> String {
    let Some(status) = &pong.status else {
        return "This daemon does not tell how it is doing.\n".to_owned();
    };
    let mut channels = table(&HEADER);
    for channel in status.channels.iter().filter(|channel| is_shown(channel)) {
        channels.add_row(row(channel));
    }
    let mut shown = format!("{channels}\n");
    if status.channels.iter().all(|channel| channel.reach.is_none()) {
        shown += "\nNo channel is up: nobody can be reached.\n";
    }
    for trouble in &status.troubles {
        // Writing to a String does not fail.
        let _ = write!(shown, "\n{}", sentence(trouble));
    }
    if status.troubles.is_empty() { shown } else { shown + "\n" }
}

/// Whether it has anything to show: questions such as this one may be all that ever came by a link.
fn is_shown(channel: &ChannelStatus) -> bool {
    channel.reach.is_some() || channel.sent_lines + channel.received_lines > 0
}

fn row(channel: &ChannelStatus) -> [String; 7] {
    let (bears, packet) = match channel.reach {
        None => (String::new(), String::new()),
        Some(_) => {
            let left = size(channel.bytes_left);
            let lines = channel.lines_per_minute;
            let bears = format!("{} in {lines} lines; {left} now", size(channel.bytes_per_minute));
            (bears, size(channel.mtu))
        }
    };
    let name = match channel.name.as_str() {
        "links" => "passing links".to_owned(),
        name => clean(name, 64),
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
    let (channel, message) = (clean(&trouble.channel, 64), clean(&trouble.message, MAX_MESSAGE));
    format!("{channel}: {message} (for {})\n", duration(trouble.seconds))
}

pub(crate) fn json(pong: &Pong) -> Value {
    let status = pong.status.as_ref();
    json!({
        "peer": pong.peer,
        "channels": status.map(|status| &status.channels),
        "troubles": status.map(|status| &status.troubles),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use routing::Status;

    #[test]
    fn says_what_is_wrong_in_a_sentence() {
        let message = "no answer\u{1b}[2J".into();
        let trouble = Trouble { channel: "irc".into(), code: "irc.no-answer".into(), message, seconds: 65 };
        assert_eq!(sentence(&trouble), "irc: no answer\\u{1b}[2J (for 65 s)\n");
    }

    #[test]
    fn json_has_the_code_of_a_trouble_and_its_sentence() {
        let peer = dcache::PeerId::from_public_key([0; 32]);
        let trouble =
            |code: &str| Trouble { code: code.into(), message: "nobody".into(), ..Trouble::default() };
        let troubles = vec![trouble("irc.no-answer"), trouble("")];
        let status = Some(Status { troubles, ..Status::default() });
        let shown = json(&Pong { peer, status, arrived: dcache::Time(0) });
        assert_eq!(shown["troubles"][0]["code"], "irc.no-answer");
        assert_eq!(shown["troubles"][0]["words"], "nobody");
        assert!(shown["troubles"][1].get("code").is_none(), "of a daemon that is too old to tell");
    }

    #[test]
    fn without_channels_that_is_said() {
        let peer = dcache::PeerId::from_public_key([0; 32]);
        let pong = Pong { peer, status: Some(Status::default()), arrived: dcache::Time(0) };
        assert!(show(&pong).contains("No channel is up"));
    }
}
