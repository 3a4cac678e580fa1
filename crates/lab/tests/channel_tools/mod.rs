//! Steps that several tests of channels use.

use lab::daemon::Robot;
use lab::{Host, Result, wait_until};
use serde_json::Value;
use std::time::{Duration, Instant};
use telemetry::Metric;

/// Time limit of most steps. The slowest channel is IRC, with about 150 bytes in two seconds.
const SOON: Duration = Duration::from_secs(150);

/// Some figures of a channel.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) name: String,
    pub(crate) received: u64,
}

/// Returns the channels on which a robot hears peers.
pub(crate) fn channels(robot: &Robot) -> Result<Vec<Channel>> {
    let shown = robot.cli(&["channels", "--json"])?;
    let channels = shown["channels"].as_array().into_iter().flatten();
    let channel = |channel: &Value| Channel {
        name: channel["name"].as_str().unwrap_or_default().to_owned(),
        received: channel["received_lines"].as_u64().unwrap_or_default(),
    };
    // The row `links` sums up short-lived links, which are those of the CLI in these tests.
    Ok(channels.map(channel).filter(|channel| channel.name != "links").collect())
}

pub(crate) fn counter(robot: &Robot, metric: &Metric) -> Result<u64> {
    Ok(robot.cli(&["stats", "--json"])?["counters"][metric.name].as_u64().unwrap_or_default())
}

/// Waits for a channel whose name begins with `name` and on which something was received.
pub(crate) fn wait_for_channel(robot: &Robot, name: &str) -> Result<Channel> {
    let is_there = |channel: &Channel| channel.name.starts_with(name) && channel.received > 0;
    wait_until(SOON, &format!("channel {name}"), || channels(robot).ok()?.into_iter().find(is_there))
}

/// Publishes a record at one robot, and waits until the other holds it with its signature.
pub(crate) fn reaches(from: &Robot, to: &Robot, note: &str) -> Result {
    from.cli_text(&["propose", "share/notes", note, "--for", "1h", "--anyway"])?;
    let signer = from.cli(&["ping", "--json"])?["daemon"]["peer"].clone();
    let what = format!("{note:?} from {} on {}", from.host().name(), to.host().name());
    let said = Instant::now();
    wait_until(SOON, &what, || {
        let known = to.cli_text(&["query", "share/notes", "--json"]).ok()?;
        (known.contains(note) && known.contains(signer.as_str()?)).then_some(())
    })?;
    println!("{what} after {:?}", said.elapsed());
    Ok(())
}

/// Checks that records are passed in both directions, on the channel whose name begins with `channel` and on no other.
pub(crate) fn both_ways(a: &Robot, b: &Robot, channel: &str) -> Result {
    reaches(a, b, "there")?;
    reaches(b, a, "and back")?;
    for robot in [a, b] {
        // An accepted link has a row of its own from the first beacon on, which may come after the first records.
        wait_for_channel(robot, channel)?;
        let all = channels(robot)?;
        println!("{}: {all:?}", robot.host().name());
        let (by_it, by_others): (Vec<_>, Vec<_>) =
            all.into_iter().filter(|one| one.received > 0).partition(|one| one.name.starts_with(channel));
        // Lines over a path arrive on a network too, because they are addressed to the path and forwarded.
        let is_path = channel == "path ";
        assert!(by_it.len() == 1 && (is_path || by_others.is_empty()), "{by_it:?} {by_others:?}");
    }
    Ok(())
}

/// Waits until a robot reports a fault with this code, for a channel whose name contains `channel`. `part` is a part of
/// the message.
pub(crate) fn wait_for_trouble(robot: &Robot, channel: &str, code: &str, part: &str) -> Result {
    let has = |value: &Value, part: &str| value.as_str().is_some_and(|text| text.contains(part));
    wait_until(SOON, &format!("{code} of {channel}"), || {
        let answer = robot.cli(&["channels", "--json"]).ok()?["troubles"].clone();
        let is_it = |trouble: &&Value| {
            has(&trouble["channel"], channel) && trouble["code"] == code && has(&trouble["message"], part)
        };
        answer.as_array()?.iter().find(is_it).map(drop)
    })
}

/// Runs `ip` on a host.
pub(crate) fn ip(host: &Host, arguments: &str) -> Result {
    let mut command = host.command("ip");
    command.args(arguments.split(' '));
    host.run(command, SOON)?.success(arguments).map(drop)
}
