//! `addresses`: the addresses of a robot.

use super::Command;
use super::find::Found;
use crate::ask;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::output::fields::{Daemon, PeerRef, Timestamp};
use crate::output::path::Paths;
use crate::output::robot::{Known, MAX_ADDRESS_SHOWN, RobotEntry};
use crate::robots::robot_name;
use crate::tables::table;
use crate::text::clean;
use clap::{Args, ValueHint};
use dcache::PeerId;
use serde::Serialize;

/// Shows the addresses at which a robot accepts lines and IPFS connections, each with its age and source.
///
/// The daemon on this computer connects with the robot, and says how: directly, or through a relay.
#[derive(Debug, Args)]
pub(crate) struct Addresses {
    /// Name of a robot, or its peer ID. Append ~ and the end of the peer ID if several robots have the name.
    #[arg(value_hint = ValueHint::Hostname, value_parser = robot_name)]
    name: String,
}

/// The addresses of the robots of a name.
#[derive(Debug, Serialize)]
pub(crate) struct AddressList {
    /// The daemon that answered.
    daemon: Daemon,
    /// The time of this computer's clock when the daemon answered.
    time: Timestamp,
    /// The robots that have the name, present ones first.
    robots: Vec<Reachable>,
}

/// A robot and its addresses.
#[derive(Debug, Serialize)]
struct Reachable {
    /// The peer ID; `null` for a robot without dt-swarm.
    peer: Option<PeerId>,
    /// The host name that the robot states; `null` if it is not known.
    hostname: Option<String>,
    /// The addresses, as the robot states them.
    addresses: Vec<Known>,
    /// The paths from the daemon to the robot; `null` unless the daemon on this computer was asked.
    paths: Option<Paths>,
}

impl Command for Addresses {
    type Output = AddressList;

    fn run(&self, context: &Context) -> Result<AddressList, CliError> {
        let mut found = Found::search(context, &self.name)?;
        found.add_paths(context);
        let robots = found.robots.into_iter().map(Reachable::new).collect();
        Ok(AddressList { daemon: found.daemon, time: Timestamp(ask::clock()), robots })
    }
}

impl Reachable {
    fn new(robot: RobotEntry) -> Self {
        let RobotEntry { peer, hostname, addresses, paths, .. } = robot;
        Self { peer, hostname, addresses, paths }
    }

    /// Returns one line for each path.
    fn show_paths(&self) -> String {
        let paths = self.paths.iter().flat_map(Paths::show);
        paths.map(|path| format!("path to {}: {path}\n", self.show_name())).collect()
    }

    fn show_name(&self) -> String {
        match self.peer {
            Some(peer) => PeerRef { peer, hostname: self.hostname.clone() }.show(),
            None => clean(self.hostname.as_deref().unwrap_or("?"), 64),
        }
    }
}

impl Output for AddressList {
    fn show(&self) -> String {
        let mut rows = table(&["address", "stated", "robot"]);
        for robot in &self.robots {
            for address in &robot.addresses {
                let shown = clean(&address.value, MAX_ADDRESS_SHOWN);
                rows.add_row([shown, address.show_source(), robot.show_name()]);
            }
        }
        let paths: String = self.robots.iter().map(Reachable::show_paths).collect();
        if self.robots.iter().all(|robot| robot.addresses.is_empty()) {
            return "No address is known: the robot states none, or its statements have expired.\n"
                .to_owned()
                + &paths;
        }
        format!("{}\n{paths}", rows.trim_fmt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;
    use crate::robots::fixture::{fact, robot};
    use discovery::protocol::{Place, Robot};

    fn list(robots: &[Robot]) -> AddressList {
        let robots = RobotEntry::all(robots).into_iter().map(Reachable::new).collect();
        let peer = PeerRef::unnamed(crate::robots::fixture::peer(1));
        let daemon =
            Daemon { peer, version: None, uptime_seconds: None, clock_ahead_seconds: None, records: None };
        AddressList { daemon, time: Timestamp(dcache::Time(1_800_000_000)), robots }
    }

    #[test]
    fn each_address_is_on_its_own_line_with_its_robot() {
        let mut robots = [robot(1, "duckie1", Place::Here), robot(2, "duckie1", Place::Here)];
        robots[0].addresses = vec![fact("/ip4/10.0.0.7/tcp/8000", 70), fact("/ip4/10.0.0.7/tcp/6002", 200)];
        robots[1].addresses = vec![fact("/ip4/10.0.0.8/tcp/8000\u{1b}", 1)];
        let (text, json) = (list(&robots).show(), vocabulary::checked(&list(&robots)));
        assert_eq!(text.lines().filter(|line| line.contains("/ip4/")).count(), 3, "{text}");
        assert!(text.contains("3 min ago, by a signed record") && !text.contains('\u{1b}'), "{text}");
        assert_eq!(json["robots"][0]["addresses"][1]["age_seconds"], 200);
        assert!(json["daemon"]["peer"].is_string() && json["time"].is_string(), "{json}");
        assert_eq!(json["robots"][1]["addresses"][0]["value"], "/ip4/10.0.0.8/tcp/8000\u{1b}");
    }

    #[test]
    fn the_path_is_shown_below_the_addresses() {
        let mut list = list(&[robot(1, "duckie1", Place::Here)]);
        let reason = Some("it is off".to_owned());
        list.robots[0].paths = Some(Paths { open: Vec::new(), reason });
        let text = list.show();
        assert!(text.contains("No address is known") && text.contains("path to duckie1"), "{text}");
        assert!(text.ends_with(": none: it is off\n"), "{text}");
        vocabulary::checked(&list);
    }

    #[test]
    fn a_robot_without_addresses_is_reported() {
        let foreign = Robot { peer: None, ..robot(1, "tower", Place::Here) };
        let list = list(&[foreign]);
        assert!(list.show().contains("No address is known"));
        vocabulary::checked(&list);
    }
}
