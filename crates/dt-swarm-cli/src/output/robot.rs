//! A robot in the table of robots, and the facts about it.

use super::fields::PeerRef;
use super::path::Paths;
use crate::robots::{BY_RECORDS, handles};
use crate::text::{clean, duration};
use dcache::PeerId;
use discovery::protocol::{self, Fact, Place, Robot, Source};
use serde::Serialize;

/// Maximum number of characters of a name that a table shows, with the end of the peer ID.
const MAX_NAME_SHOWN: usize = 40;
/// Maximum number of characters of another fact that a table shows.
const MAX_FACT_SHOWN: usize = 24;
/// Maximum number of characters of an address or a channel that are shown.
pub(crate) const MAX_ADDRESS_SHOWN: usize = 200;
/// Text in place of a fact that is not known.
const UNKNOWN: &str = "?";

/// A robot. A fact that is not known is `null`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RobotEntry {
    /// The peer ID; `null` for a robot without dt-swarm.
    pub(crate) peer: Option<PeerId>,
    /// The host name that the robot states, unchanged.
    pub(crate) hostname: Option<String>,
    /// Seconds since the robot stated its host name.
    hostname_age_seconds: Option<u64>,
    /// How the host name was learned.
    hostname_origin: Option<Source>,
    /// The text that names the robot on the command line: its host name, followed by `~` and the end of its peer ID if
    /// another robot has the same name.
    pub(crate) handle: Option<String>,
    /// The place: `here` (on a network of the daemon that answers), `elsewhere`, or `away` (not present any more).
    pub(crate) state: &'static str,
    /// Seconds since the last sign of life; `null` when there is none.
    age_seconds: Option<u64>,
    /// The status that a robot without dt-swarm reports: `Ready` or `Booting`.
    status: Option<Known>,
    /// The type, such as `duckiebot`.
    robot_type: Option<Known>,
    /// The configuration, such as `DB21J`. People call it the model.
    configuration: Option<Known>,
    /// The hardware, such as `jetson_nano`.
    hardware: Option<Known>,
    /// The Duckietown distribution, such as `ente`.
    distro: Option<Known>,
    /// The device ID: the MAC address of eth0 without colons.
    device: Option<Known>,
    /// The version of dt-swarm.
    version: Option<Known>,
    /// The ID of the present boot.
    boot: Option<Known>,
    /// The channels on which the daemon heard the robot, the latest first.
    pub(crate) heard: Vec<HeardOn>,
    /// The addresses at which the robot accepts connections.
    pub(crate) addresses: Vec<Known>,
    /// The paths from the daemon to the robot; `null` unless they were asked for.
    pub(crate) paths: Option<Paths>,
    /// Whether this is the robot whose daemon answers.
    pub(crate) is_daemon: bool,
    /// Whether another robot states the same name.
    pub(crate) is_name_shared: bool,
    /// Whether two hosts use the key of this robot, as after an SD card was copied.
    pub(crate) is_copied: bool,
}

/// A fact that a robot states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Known {
    /// The fact, unchanged.
    pub(crate) value: String,
    /// Seconds since it was stated.
    pub(crate) age_seconds: u64,
    /// How it was learned.
    pub(crate) origin: Source,
}

/// A channel on which a robot was heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct HeardOn {
    /// The name of the channel; `records` when only a signed record tells that the robot is present.
    pub(crate) channel: String,
    /// The address from which it was heard; `null` if the channel has none.
    pub(crate) address: Option<String>,
    /// Seconds since it was last heard there.
    pub(crate) age_seconds: u64,
}

impl From<&Fact> for Known {
    fn from(fact: &Fact) -> Self {
        Self { value: fact.value.clone(), age_seconds: fact.age_seconds, origin: fact.source }
    }
}

impl Known {
    /// Returns how old the fact is and how it was learned, such as `3 min ago, by a signed record`.
    pub(crate) fn show_source(&self) -> String {
        let how = match self.origin {
            Source::Record => "by a signed record",
            Source::Line => "by a line on a channel",
            Source::DnsSd => "by DNS-SD",
            Source::Pong => "by an answer on UDP port 11411",
        };
        format!("{} ago, {how}", duration(self.age_seconds))
    }
}

impl From<&protocol::Heard> for HeardOn {
    fn from(heard: &protocol::Heard) -> Self {
        let protocol::Heard { channel, address, age_seconds } = heard.clone();
        Self { channel, address, age_seconds }
    }
}

impl HeardOn {
    /// Returns whether the robot was really heard: a record is no channel.
    pub(crate) fn is_channel(&self) -> bool {
        self.channel != BY_RECORDS
    }

    /// Returns the channel and the time, such as `udp eth0, 2 s ago`.
    fn show(&self) -> String {
        let ago = duration(self.age_seconds);
        match self.is_channel() {
            true => format!("{}, {ago} ago", clean(&self.channel, MAX_FACT_SHOWN)),
            false => format!("by its record, {ago} old"),
        }
    }
}

impl RobotEntry {
    /// Describes each of these robots. All robots of the table are needed, because the way to name a robot depends on
    /// the names of the others.
    pub(crate) fn all(robots: &[Robot]) -> Vec<Self> {
        robots.iter().zip(handles(robots)).map(|(robot, handle)| Self::new(robot, handle)).collect()
    }

    fn new(robot: &Robot, handle: Option<String>) -> Self {
        let known = |fact: &Option<Fact>| fact.as_ref().map(Known::from);
        let name = robot.name.as_ref();
        let has_end = name.is_some_and(|name| handle.as_ref() != Some(&name.value));
        Self {
            peer: robot.peer,
            hostname: name.map(|name| name.value.clone()),
            hostname_age_seconds: name.map(|name| name.age_seconds),
            hostname_origin: name.map(|name| name.source),
            handle,
            state: state(robot.place),
            age_seconds: age(robot),
            status: known(&robot.status),
            robot_type: known(&robot.robot_type),
            configuration: known(&robot.configuration),
            hardware: known(&robot.hardware),
            distro: known(&robot.distro),
            device: known(&robot.device),
            version: known(&robot.version),
            boot: known(&robot.boot),
            heard: robot.heard.iter().map(HeardOn::from).collect(),
            addresses: robot.addresses.iter().map(Known::from).collect(),
            paths: None,
            is_daemon: robot.is_me,
            is_name_shared: robot.shares_name || has_end,
            is_copied: robot.is_copied,
        }
    }

    pub(crate) fn is_away(&self) -> bool {
        self.state == state(Place::Away)
    }

    /// Returns the text that names the robot, for people.
    pub(crate) fn show_handle(&self) -> String {
        let name = self.hostname.as_ref().and(self.handle.as_ref());
        name.map_or(UNKNOWN.to_owned(), |handle| clean(handle, MAX_NAME_SHOWN))
    }

    /// Returns the end of the peer ID.
    pub(crate) fn show_id(&self) -> String {
        self.peer.map_or("no dt-swarm".to_owned(), |peer| PeerRef::unnamed(peer).show())
    }

    /// Returns the cells of a row: name, hardware, type, model, status, where, ID and version.
    pub(crate) fn row(&self) -> [String; 8] {
        [
            self.show_handle(),
            show_fact(self.hardware.as_ref()),
            show_fact(self.robot_type.as_ref()),
            show_fact(self.configuration.as_ref()),
            self.show_status(),
            self.show_place(),
            self.show_id(),
            show_fact(self.version.as_ref()),
        ]
    }

    pub(crate) fn show_status(&self) -> String {
        match &self.status {
            _ if self.is_copied => "copied key".to_owned(),
            _ if self.is_away() => "left".to_owned(),
            Some(status) => clean(&status.value, MAX_FACT_SHOWN),
            None if self.peer.is_some() => "online".to_owned(),
            None => UNKNOWN.to_owned(),
        }
    }

    /// Returns where the robot is, and where and when it was last heard.
    pub(crate) fn show_place(&self) -> String {
        let age = self.age_seconds.map_or(UNKNOWN.to_owned(), duration);
        match self.heard.first() {
            _ if self.is_daemon => "this robot".to_owned(),
            _ if self.is_away() => format!("last heard {age} ago"),
            Some(heard) if !heard.is_channel() => heard.show(),
            Some(heard) => format!("{}: {}", self.state, heard.show()),
            None => format!("{}: {age} ago", self.state),
        }
    }

    /// Returns the facts, with a label for each.
    pub(crate) fn facts(&self) -> Vec<(&'static str, &Known)> {
        let all = [
            ("status", &self.status),
            ("type", &self.robot_type),
            ("model", &self.configuration),
            ("hardware", &self.hardware),
            ("distro", &self.distro),
            ("device", &self.device),
            ("version", &self.version),
            ("boot", &self.boot),
        ];
        all.into_iter().filter_map(|(label, fact)| Some((label, fact.as_ref()?))).collect()
    }

    /// Returns how old the name is and how it was learned.
    pub(crate) fn name_source(&self) -> Option<String> {
        let (age_seconds, origin) = (self.hostname_age_seconds?, self.hostname_origin?);
        Some(Known { value: String::new(), age_seconds, origin }.show_source())
    }
}

fn show_fact(fact: Option<&Known>) -> String {
    fact.map_or(UNKNOWN.to_owned(), |fact| clean(&fact.value, MAX_FACT_SHOWN))
}

fn state(place: Place) -> &'static str {
    match place {
        Place::Here => "here",
        Place::Elsewhere => "elsewhere",
        Place::Away => "away",
    }
}

/// Returns the seconds since the robot was last heard, or else since its newest fact was stated.
fn age(robot: &Robot) -> Option<u64> {
    if robot.age_seconds.is_some() {
        return robot.age_seconds;
    }
    let heard = robot.heard.iter().map(|heard| heard.age_seconds).min();
    let facts = [&robot.name, &robot.version, &robot.robot_type, &robot.status];
    let facts = facts.into_iter().flatten().chain(&robot.addresses);
    heard.or_else(|| facts.map(|fact| fact.age_seconds).min())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;
    use crate::robots::fixture::{fact, heard, robot};

    fn entry(robot: Robot) -> RobotEntry {
        RobotEntry::all(&[robot]).remove(0)
    }

    #[test]
    fn a_row_says_where_the_robot_is() {
        let here = Robot { heard: vec![heard("udp eth0", None, 2)], ..robot(1, "duckie1", Place::Here) };
        let far = Robot { heard: vec![heard("irc", None, 9)], ..robot(1, "duckie1", Place::Elsewhere) };
        let told = Robot { heard: vec![heard(BY_RECORDS, None, 200)], ..robot(1, "d", Place::Elsewhere) };
        let me = Robot { is_me: true, ..robot(1, "duckie1", Place::Here) };
        let left = Robot { name: Some(fact("d", 10_800)), ..robot(1, "d", Place::Away) };
        let shown = [here, far, told, me, left].map(|robot| entry(robot).show_place());
        let expected = [
            "here: udp eth0, 2 s ago",
            "elsewhere: irc, 9 s ago",
            "by its record, 3 min old",
            "this robot",
            "last heard 3 h ago",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_robot_without_dt_swarm_has_the_status_that_it_reports() {
        let status = Some(fact("Booting", 1));
        let foreign = entry(Robot { peer: None, status, ..robot(1, "tower", Place::Here) });
        assert_eq!((foreign.show_status(), foreign.show_id()), ("Booting".into(), "no dt-swarm".into()));
        assert_eq!(entry(robot(1, "duckie1", Place::Here)).show_status(), "online");
        let copied = Robot { is_copied: true, ..robot(1, "duckie1", Place::Here) };
        assert_eq!(entry(copied).show_status(), "copied key");
    }

    #[test]
    fn an_entry_follows_the_vocabulary_and_keeps_texts_unchanged() {
        let name = "ente\u{1b}[2J";
        let robot = Robot {
            heard: vec![heard("udp", Some("10.0.0.7:1240"), 2)],
            addresses: vec![fact("/ip4/10.0.0.7/tcp/8000/dswarm-line", 3)],
            configuration: Some(fact("DB21J", 4)),
            ..robot(1, name, Place::Here)
        };
        let json = vocabulary::checked(&entry(robot));
        assert_eq!((&json["hostname"], &json["state"]), (&name.into(), &"here".into()));
        assert_eq!(json["configuration"]["origin"], "record");
        assert_eq!(json["heard"][0]["address"], "10.0.0.7:1240");
        vocabulary::checked(&entry(Robot::default()));
    }

    #[test]
    fn hostile_texts_are_cleaned_in_all_cells() {
        let evil = "\u{1b}]0;owned\u{7}\u{202e}gpj\u{9b}2J".repeat(40);
        let robot = Robot {
            name: Some(fact(&evil, 1)),
            hardware: Some(fact(&evil, 1)),
            robot_type: Some(fact(&evil, 1)),
            configuration: Some(fact(&evil, 1)),
            version: Some(fact(&evil, 1)),
            status: Some(fact(&evil, 1)),
            heard: vec![heard(&evil, Some(&evil), 1)],
            ..robot(1, &evil, Place::Here)
        };
        for cell in entry(robot).row() {
            assert!(cell.chars().count() <= 70, "{cell}");
            assert!(!cell.contains(|c: char| c.is_control() || c == '\u{202e}'), "{cell:?}");
        }
    }
}
