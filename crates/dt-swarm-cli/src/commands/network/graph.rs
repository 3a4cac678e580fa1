//! The graph of robots, as a document and as a tree.

use crate::ask;
use crate::output::fields::{Daemon, PeerRef, Timestamp};
use crate::output::robot::RobotEntry;
use crate::robots::Table;
use crate::text::{clean, count, duration};
use dcache::PeerId;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// Name of the channel of an IPFS connection.
pub(super) const IPFS: &str = "ipfs";
/// Maximum number of characters of a channel's name that are shown.
const MAX_CHANNEL_SHOWN: usize = 64;
/// Description of robots when only the records of the daemon are known.
pub(super) const BY_RECORDS: &str = "known by records; ask on the robot itself which of them it hears";

/// The graph of robots.
#[derive(Debug, Serialize)]
pub(crate) struct Graph {
    /// The daemon that answered.
    pub(super) daemon: Daemon,
    /// The time of this computer's clock when the daemon answered.
    pub(super) time: Timestamp,
    /// The robots that are present.
    pub(super) robots: Vec<RobotEntry>,
    /// The robots that hear another one, with the channel.
    pub(super) links: Vec<Link>,
    /// Whether the robots are known by signed records only, so that it is not known which of them the daemon hears.
    pub(super) is_by_records: bool,
    /// The path of the HTML page that was written; `null` if none was.
    path: Option<String>,
}

/// A robot that hears another one on a channel.
#[derive(Debug, Serialize)]
pub(crate) struct Link {
    /// The robot that hears the other one, or that states the IPFS connection.
    pub(super) hearer: Node,
    /// The robot that is heard, or the other end of the IPFS connection.
    pub(super) heard: Node,
    /// The name of the channel; `ipfs` for an IPFS connection.
    pub(super) channel: String,
    /// The address from which the robot was heard; `null` if it is not known.
    pub(super) address: Option<String>,
    /// Seconds since it was last heard; `null` for an IPFS connection.
    pub(super) age_seconds: Option<u64>,
}

/// A robot of the graph.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Node {
    /// The peer ID; `null` for a robot without dt-swarm.
    pub(super) peer: Option<PeerId>,
    /// The host name that the robot states; `null` if it is not known.
    pub(super) hostname: Option<String>,
}

impl Node {
    fn of(robot: &RobotEntry) -> Self {
        Self { peer: robot.peer, hostname: robot.hostname.clone() }
    }

    /// Returns the name and the end of the peer ID, cleaned.
    pub(super) fn show(&self) -> String {
        match self.peer {
            Some(peer) => PeerRef { peer, hostname: self.hostname.clone() }.show(),
            None => format!("{} (no dt-swarm)", clean(self.hostname.as_deref().unwrap_or("?"), 24)),
        }
    }
}

impl Link {
    /// Returns the channel, cleaned.
    pub(super) fn show_channel(&self) -> String {
        clean(&self.channel, MAX_CHANNEL_SHOWN)
    }

    /// Returns when the robot was heard, or an empty text.
    pub(super) fn show_age(&self) -> String {
        self.age_seconds.map_or(String::new(), |age| format!("{} ago", duration(age)))
    }
}

impl Graph {
    /// Makes the graph of the present robots. `connections` are the IPFS connections that robots state.
    pub(super) fn new(table: Table, connections: &[(PeerId, PeerId)]) -> Self {
        let mut robots = RobotEntry::all(&table.robots);
        robots.retain(|robot| !robot.is_away());
        let daemon =
            Node { peer: Some(table.daemon.peer.peer), hostname: table.daemon.peer.hostname.clone() };
        let mut links: Vec<Link> =
            robots.iter().filter(|robot| !robot.is_daemon).flat_map(|robot| links(&daemon, robot)).collect();
        let nodes: BTreeMap<PeerId, Node> =
            robots.iter().filter_map(|robot| Some((robot.peer?, Node::of(robot)))).collect();
        // Both ends may state a connection, which is one link.
        let mut seen = BTreeSet::new();
        for (one, other) in connections {
            if let (Some(hearer), Some(heard)) = (nodes.get(one), nodes.get(other))
                && one != other
                && seen.insert((one.min(other), one.max(other)))
            {
                let (hearer, heard) = (hearer.clone(), heard.clone());
                links.push(Link {
                    hearer,
                    heard,
                    channel: IPFS.to_owned(),
                    address: None,
                    age_seconds: None,
                });
            }
        }
        let (time, is_by_records) = (Timestamp(ask::clock()), table.is_by_records);
        Self { daemon: table.daemon, time, robots, links, is_by_records, path: None }
    }

    pub(super) fn set_path(&mut self, path: &Path) {
        self.path = Some(path.display().to_string());
    }

    /// Returns the robots below the channels on which the daemon hears them.
    pub(super) fn tree(&self) -> String {
        let daemon = self.daemon.peer.show();
        let mut branches: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut heard = BTreeSet::new();
        let (ipfs, channels): (Vec<&Link>, Vec<&Link>) =
            self.links.iter().partition(|link| link.channel == IPFS);
        for link in channels {
            heard.insert(&link.heard);
            let leaf = format!("{}  {}", link.heard.show(), link.show_age());
            branches.entry(link.show_channel()).or_default().push(leaf);
        }
        let is_heard = |robot: &&RobotEntry| robot.is_daemon || heard.contains(&Node::of(robot));
        let others = self.robots.iter().filter(|robot| !is_heard(robot));
        let others: Vec<String> = others.map(|robot| Node::of(robot).show()).collect();
        if !others.is_empty() {
            let branch =
                if self.is_by_records { BY_RECORDS } else { "not heard: known by records of others" };
            branches.insert(branch.to_owned(), others);
        }
        let mut shown = format!("{daemon}\n{}", branch(&branches));
        if !ipfs.is_empty() {
            let ends = |link: &Link| format!("{} - {}", link.hearer.show(), link.heard.show());
            let ipfs = BTreeMap::from([("between".to_owned(), ipfs.into_iter().map(ends).collect())]);
            shown += &format!("\nIPFS connections\n{}", branch(&ipfs));
        }
        // Writing to a String does not fail.
        let _ =
            writeln!(shown, "\n{}, {}", count(self.robots.len(), "robot"), count(self.links.len(), "link"));
        if let Some(path) = &self.path {
            let _ = writeln!(shown, "{} was written.", clean(path, 200));
        }
        shown
    }
}

/// Returns the channels on which the daemon heard a robot.
fn links(daemon: &Node, robot: &RobotEntry) -> Vec<Link> {
    let channels = robot.heard.iter().filter(|heard| heard.is_channel());
    let link = |heard: &crate::output::robot::HeardOn| Link {
        hearer: daemon.clone(),
        heard: Node::of(robot),
        channel: heard.channel.clone(),
        address: heard.address.clone(),
        age_seconds: Some(heard.age_seconds),
    };
    channels.map(link).collect()
}

/// Draws branches and their leaves.
fn branch(branches: &BTreeMap<String, Vec<String>>) -> String {
    let mut shown = String::new();
    for (number, (name, leaves)) in branches.iter().enumerate() {
        let is_last = number + 1 == branches.len();
        let (fork, bar) = if is_last { ("└─", "  ") } else { ("├─", "│ ") };
        // Writing to a String does not fail.
        let _ = writeln!(shown, "{fork} {name}");
        for (number, leaf) in leaves.iter().enumerate() {
            let fork = if number + 1 == leaves.len() { "└─" } else { "├─" };
            let _ = writeln!(shown, "{bar} {fork} {}", leaf.trim_end());
        }
    }
    shown
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::output::vocabulary;
    use crate::robots::fixture::{heard, peer, robot};
    use discovery::protocol::{Place, Robot};

    /// A graph of four robots: one asks, one is heard on two channels, one is known by records only, and one left.
    pub(crate) fn graph(name: &str) -> Graph {
        let mut robots = vec![
            robot(1, "duckie1", Place::Here),
            robot(2, name, Place::Here),
            robot(3, "far", Place::Elsewhere),
            robot(4, "old", Place::Away),
        ];
        robots[0].is_me = true;
        robots[1].heard = vec![heard("udp eth0", Some("10.0.0.7:1240"), 2), heard("pubsub x", None, 9)];
        robots.push(Robot {
            peer: None,
            heard: vec![heard("dns-sd", None, 3)],
            ..robot(5, "tower", Place::Here)
        });
        let me = PeerRef { peer: peer(1), hostname: Some("duckie1".into()) };
        let daemon = Daemon {
            peer: me,
            version: None,
            uptime_seconds: None,
            clock_ahead_seconds: None,
            records: None,
        };
        let connections = [(2, 3), (3, 2), (2, 2), (2, 9)].map(|(one, other)| (peer(one), peer(other)));
        Graph::new(Table { daemon, robots, is_by_records: false }, &connections)
    }

    #[test]
    fn each_channel_is_a_link_and_an_ipfs_connection_is_counted_once() {
        let graph = graph("duckie2");
        let channels: Vec<&str> = graph.links.iter().map(|link| link.channel.as_str()).collect();
        assert_eq!(channels, ["udp eth0", "pubsub x", "dns-sd", "ipfs"]);
        let json = vocabulary::checked(&graph);
        assert_eq!(json["robots"].as_array().unwrap().len(), 4, "the robot that left is not in the graph");
        assert_eq!(json["links"][0]["heard"]["hostname"], "duckie2");
    }

    #[test]
    fn the_tree_groups_robots_by_channel() {
        let tree = graph("duckie2").tree();
        for part in [
            "├─ dns-sd\n│  └─ tower (no dt-swarm)  3 s ago\n├─ not heard: known by records of others\n│  └─ far (…",
            "├─ pubsub x\n│  └─ duckie2 (…",
            "└─ udp eth0\n   └─ duckie2 (…",
            "IPFS connections\n└─ between\n   └─ duckie2 (…",
            "4 robots, 4 links\n",
        ] {
            assert!(tree.contains(part), "{part} in:\n{tree}");
        }
    }

    #[test]
    fn a_robot_that_is_asked_from_another_computer_does_not_tell_whom_it_hears() {
        let graph = Graph { is_by_records: true, ..graph("duckie2") };
        let tree = graph.tree();
        assert!(tree.contains(BY_RECORDS) && !tree.contains("not heard"), "{tree}");
    }

    #[test]
    fn hostile_names_cannot_draw() {
        let tree = graph("\u{1b}[2J\n└─ fake").tree();
        assert!(!tree.contains('\u{1b}') && !tree.contains("\n└─ fake"), "{tree}");
    }
}
