//! `find`: everything that is known about the robots of a name.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::fields::Daemon;
use crate::output::path::{PathEntry, Paths};
use crate::output::robot::{HeardOn, Known, MAX_ADDRESS_SHOWN, RobotEntry};
use crate::output::{Form, Output, Print};
use crate::robots::{Selector, Table, robot_name};
use crate::target::last_heard;
use crate::text::{clean, count, duration};
use clap::{Args, ValueHint};
use discovery::Discovery;
use discovery::protocol::{Answer, Place, Request, Robot};
use serde::Serialize;
use std::fmt::Write as _;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost find duckie7              shows what this robot knows about duckie7
  dt-swarm-cli localhost find entebot208~JnuCcN    shows one of several robots of a name, by the end of its ID
  dt-swarm-cli duckie3 find duckie7                asks the robot duckie3

The exit code is 1 if no robot of this name is present.";

/// Maximum number of robots of one name to which the daemon connects.
const MAX_ASKED: usize = 4;
/// Number of characters of the labels before the facts.
const LABEL: usize = 11;

/// Shows everything that is known about the robots of a name: where they were heard, their facts and their addresses,
/// each with its age and source.
///
/// The daemon on this computer connects with the robot, and says how: directly, or through a relay.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Find {
    /// Name of a robot, or its peer ID. Append ~ and the end of the peer ID if several robots have the name.
    #[arg(value_hint = ValueHint::Hostname, value_parser = robot_name)]
    name: String,
}

/// The robots of a name.
#[derive(Debug, Serialize)]
pub(crate) struct Found {
    /// The daemon that answered.
    pub(crate) daemon: Daemon,
    /// The robots that have the name, present ones first.
    pub(crate) robots: Vec<RobotEntry>,
    /// Why none of them is present; `null` if one is.
    reason: Option<String>,
}

impl Command for Find {
    type Output = FoundOrLeft;

    fn run(&self, context: &Context) -> Result<FoundOrLeft, CliError> {
        let mut found = Found::search(context, &self.name)?;
        found.add_paths(context);
        Ok(FoundOrLeft(found))
    }
}

impl Found {
    /// Asks the daemon at HOST for the robots of a name.
    ///
    /// # Errors
    /// When the daemon knows no robot of this name.
    pub(crate) fn search(context: &Context, name: &str) -> Result<Self, CliError> {
        let Table { daemon, robots, .. } = context.robots()?;
        Self::among(daemon, &robots, &Selector::new(name))
    }

    /// Asks the daemon on this computer for the paths to the robots that are present. Without such a daemon, the paths
    /// stay unknown.
    pub(crate) fn add_paths(&mut self, context: &Context) {
        let asked = |robot: &&mut RobotEntry| !robot.is_daemon && !robot.is_away() && robot.peer.is_some();
        let mut asked: Vec<_> = self.robots.iter_mut().filter(asked).take(MAX_ASKED).collect();
        if asked.is_empty() || !context.is_here().unwrap_or(false) {
            return;
        }
        let Ok(mut client) = context.client() else { return };
        let names = context.names();
        for robot in &mut asked {
            let Some(peer) = robot.peer else { continue };
            // An older daemon does not know the request.
            if let Ok(Answer::Paths { paths, reason }) = client.call::<Discovery>(&Request::Paths { peer }) {
                let open = paths.into_iter().map(|path| PathEntry::new(path, |relay| names.of(relay)));
                robot.paths = Some(Paths { open: open.collect(), reason });
            }
        }
    }

    fn among(daemon: Daemon, robots: &[Robot], selector: &Selector) -> Result<Self, CliError> {
        let all = selector.all(robots);
        if all.is_empty() {
            return Err(CliError::NotFound(never_heard(selector, robots)));
        }
        let is_present = all.iter().any(|robot| robot.place != Place::Away);
        let reason = all.first().filter(|_| !is_present).map(|robot| left(selector, robot));
        // The entries are made from all robots, because the names of the others decide how each is named.
        let mut entries: Vec<Option<RobotEntry>> = RobotEntry::all(robots).into_iter().map(Some).collect();
        let place = |robot: &&Robot| robots.iter().position(|other| std::ptr::eq(other, *robot));
        let found = all.iter().filter_map(|robot| entries.get_mut(place(robot)?)?.take()).collect();
        Ok(Self { daemon, robots: found, reason })
    }
}

/// Says that no robot of this name is known.
fn never_heard(selector: &Selector, robots: &[Robot]) -> String {
    let mut message = format!(
        "{} was never heard of: the daemon knows {}, and none has this name.",
        clean(selector.text(), 80),
        count(robots.len(), "robot")
    );
    if let Some(similar) = selector.similar(robots) {
        // Writing to a String does not fail.
        let _ = write!(message, " Did you mean {}?", clean(similar, 80));
    }
    message + " `doctor` says what can keep robots from being found."
}

/// Says that the robot is not present any more.
fn left(selector: &Selector, robot: &Robot) -> String {
    let entry = RobotEntry::all(std::slice::from_ref(robot));
    let place = match robot.heard.is_empty() {
        false => last_heard(robot),
        true => entry.first().map(RobotEntry::show_place).unwrap_or_default(),
    };
    format!(
        "{} is not present any more: {place}. Is it switched on? `doctor` says what can keep robots from being found.",
        clean(selector.text(), 80)
    )
}

impl Output for Found {
    fn show(&self) -> String {
        self.robots.iter().map(RobotEntry::show_all).collect::<Vec<_>>().join("\n")
    }
}

/// The output of `find`. It fails if no robot is present.
pub(crate) struct FoundOrLeft(Found);

impl Print for FoundOrLeft {
    /// Prints the robots, and then fails if none of them is present.
    fn print(self, form: Form) -> Result<(), CliError> {
        let reason = self.0.reason.clone();
        self.0.print(form)?;
        reason.map_or(Ok(()), |reason| Err(CliError::NotFound(reason)))
    }
}

impl RobotEntry {
    /// Returns all facts, one per line.
    fn show_all(&self) -> String {
        let id = self.peer.map_or("no dt-swarm".to_owned(), |peer| peer.to_string());
        let mut shown = format!("{} ({id})\n", self.show_handle());
        let mut line = |label: &str, text: &str| {
            // Writing to a String does not fail.
            let _ = writeln!(shown, "  {label:LABEL$}{text}");
        };
        line("where", &self.show_place());
        if let Some(source) = self.name_source() {
            line("name", &format!("stated {source}"));
        }
        if self.is_copied {
            line("key", "two hosts use the key of this robot: `doctor` says what to do");
        }
        for (label, fact) in self.facts() {
            line(label, &format!("{}  ({})", clean(&fact.value, 80), fact.show_source()));
        }
        for heard in self.heard.iter().filter(|heard| heard.is_channel()) {
            line("heard", &show_heard(heard));
        }
        for path in self.paths.iter().flat_map(Paths::show) {
            line("path", &path);
        }
        for address in &self.addresses {
            line("address", &show_address(address));
        }
        shown
    }
}

fn show_heard(heard: &HeardOn) -> String {
    let at =
        heard.address.as_ref().map_or(String::new(), |at| format!(" at {}", clean(at, MAX_ADDRESS_SHOWN)));
    format!("on {}{at}, {} ago", clean(&heard.channel, 64), duration(heard.age_seconds))
}

fn show_address(address: &Known) -> String {
    format!("{}  ({})", clean(&address.value, MAX_ADDRESS_SHOWN), address.show_source())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::fields::PeerRef;
    use crate::output::vocabulary;
    use crate::robots::fixture::{fact, heard, peer, robot};

    fn search(text: &str, robots: &[Robot]) -> Result<Found, String> {
        let peer = PeerRef::unnamed(peer(1));
        let daemon =
            Daemon { peer, version: None, uptime_seconds: None, clock_ahead_seconds: None, records: None };
        Found::among(daemon, robots, &Selector::new(text)).map_err(|error| error.to_string())
    }

    #[test]
    fn all_robots_of_a_name_are_shown_with_their_facts() {
        let mut robots = [robot(2, "entebot208", Place::Away), robot(3, "entebot208", Place::Here)];
        robots[1].heard = vec![heard("udp eth0", Some("10.0.0.7:1240"), 2)];
        robots[1].configuration = Some(fact("DB21J", 200));
        robots[1].addresses = vec![fact("/ip4/10.0.0.7/tcp/8000/dswarm-line", 9)];
        let found = search("entebot208.local", &robots).unwrap();
        assert_eq!((found.robots.len(), &found.reason), (2, &None));
        assert_eq!(found.robots[0].state, "here", "present robots are first");
        let text = found.show();
        for part in [
            &peer(2).to_string(),
            &peer(3).to_string(),
            "on udp eth0 at 10.0.0.7:1240, 2 s ago",
            "DB21J  (3 min ago, by a signed record)",
            "/ip4/10.0.0.7/tcp/8000/dswarm-line  (9 s ago, by a signed record)",
        ] {
            assert!(text.contains(part), "{part} in:\n{text}");
        }
        vocabulary::checked(&found);
    }

    #[test]
    fn it_is_said_why_a_robot_is_not_found() {
        let mut robots = [robot(2, "duckie7", Place::Away), robot(3, "duckie8", Place::Here)];
        let never = search("dukcie8", &robots).unwrap_err();
        assert!(never.contains("never heard of") && never.contains("Did you mean duckie8?"), "{never}");
        assert!(never.contains("knows 2 robots") && never.contains("`doctor`"), "{never}");
        let reason = |robots: &[Robot]| search("duckie7", robots).unwrap().reason.unwrap();
        assert!(reason(&robots).contains("duckie7 is not present any more: last heard 60 s ago."));
        robots[0].heard = vec![heard("udp eth0", Some("10.0.0.7:1240"), 9000)];
        let left = reason(&robots);
        assert!(left.contains("heard 2 h ago on udp eth0 at 10.0.0.7:1240"), "{left}");
    }

    #[test]
    fn hostile_texts_are_cleaned() {
        let evil = "\u{1b}]0;owned\u{7}\u{202e}gpj";
        let mut robots = [robot(2, evil, Place::Here)];
        robots[0].heard = vec![heard(evil, Some(evil), 2)];
        robots[0].addresses = vec![fact(evil, 2)];
        robots[0].hardware = Some(fact(evil, 2));
        let text = search(evil, &robots).unwrap().show() + &search("other\u{1b}", &robots).unwrap_err();
        assert!(!text.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{text:?}");
    }
}
