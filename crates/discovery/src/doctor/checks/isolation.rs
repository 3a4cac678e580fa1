//! Client isolation: robots that are present on a network of this host, but are not heard there.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::doctor::faults::{NETWORK_CASTS_FILTERED, NETWORK_ISOLATED, NETWORK_SILENT_PEERS};
use crate::doctor::findings::{broken, count, names, warning, works};
use crate::doctor::observed::{Observed, Present};
use crate::protocol::Finding;
use routing::Reach;
use std::time::Duration;
use telemetry::report;

const CODE: &str = "isolation";
/// Time that a robot had to be heard, before its silence says something. It covers the longest beacon interval on a
/// local network ten times.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a robot on a network of this host is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hearing {
    /// It is heard directly, or it cannot be expected to be heard yet.
    Heard,
    /// It is not heard, but accepts connections.
    Connected,
    /// It stated its presence while nothing was heard from it.
    Isolated,
    /// It is neither heard nor reached, but it may have been switched off meanwhile.
    Unclear,
}

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    let here: Vec<&Present> = observed.present.iter().filter(|robot| is_here(observed, robot)).collect();
    if here.is_empty() || observed.uptime < PATIENCE {
        return Vec::new();
    }
    let those = |hearing: Hearing| {
        let those = here.iter().filter(|robot| judge(observed, robot) == hearing);
        those.map(|robot| robot.show()).collect::<Vec<_>>()
    };
    let mut findings = Vec::new();
    let isolated = those(Hearing::Isolated);
    if !isolated.is_empty() {
        let fault = report!(NETWORK_ISOLATED, names = names(&isolated));
        findings.push(if isolated.len() == here.len() { broken(&fault) } else { warning(&fault) });
    }
    let connected = those(Hearing::Connected);
    if !connected.is_empty() {
        findings.push(warning(&report!(NETWORK_CASTS_FILTERED, names = names(&connected))));
    }
    let unclear = those(Hearing::Unclear);
    if !unclear.is_empty() {
        findings.push(warning(&report!(NETWORK_SILENT_PEERS, names = names(&unclear))));
    }
    if findings.is_empty() {
        let number = count(here.len(), "robot");
        findings.push(works(
            CODE,
            format!("nothing keeps apart the hosts of this network: {number} reached directly"),
        ));
    }
    findings
}

/// Returns whether a robot states an address on a network of this host.
fn is_here(observed: &Observed, robot: &Present) -> bool {
    let networks = observed.networks.as_deref().unwrap_or_default();
    robot.lines.iter().any(|line| networks.iter().any(|network| network.contains(line.ip())))
}

/// Returns whether a robot on a network of this host is silent: nothing was heard from it directly for a while.
pub(crate) fn is_silent(observed: &Observed, robot: &Present) -> bool {
    let is_direct = |reach: Reach| reach != Reach::World;
    let mut of_it = observed.neighbours.iter().filter(|one| one.peer == robot.peer && is_direct(one.reach));
    observed.uptime >= PATIENCE && is_here(observed, robot) && !of_it.any(|one| one.heard <= PATIENCE * 3)
}

fn judge(observed: &Observed, robot: &Present) -> Hearing {
    if !is_silent(observed, robot) {
        return Hearing::Heard;
    }
    let last = observed.neighbours.iter().filter(|one| one.peer == robot.peer && one.reach != Reach::World);
    let silence = last.map(|one| one.heard).min().unwrap_or(observed.uptime);
    match robot.reached {
        Some(true) => Hearing::Connected,
        // It was switched on when it stated its presence, and had been silent for a while already.
        Some(false) if robot.stated + PATIENCE < silence => Hearing::Isolated,
        Some(false) => Hearing::Unclear,
        None => Hearing::Heard,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::observed::{LinkNetwork, Neighbour};
    use dcache::Keypair;
    use std::net::Ipv4Addr;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Judges a robot that stated its presence, and was last heard, at these ages.
    fn codes(stated: u64, heard: Option<u64>, reached: Option<bool>) -> Vec<String> {
        let peer = Keypair::from_seed([1; 32]).peer_id();
        let network = LinkNetwork {
            interface: "wlan0".into(),
            network: Ipv4Addr::new(10, 77, 0, 0),
            netmask: Ipv4Addr::new(255, 255, 255, 0),
            is_wireless: true,
        };
        let lines = vec!["10.77.0.2:8000".parse().unwrap()];
        let name = Some("duckie".to_owned());
        let neighbour = |heard| Neighbour {
            peer,
            channel: "wlan0".into(),
            reach: Reach::Lan,
            heard: seconds(heard),
            answered: None,
        };
        let observed = Observed {
            uptime: seconds(1000),
            networks: Some(vec![network]),
            present: vec![Present { peer, name, stated: seconds(stated), lines, reached }],
            neighbours: heard.map(neighbour).into_iter().collect(),
            ..Observed::default()
        };
        check(&observed).into_iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn a_robot_that_speaks_without_being_heard_is_isolated() {
        assert_eq!(codes(100, None, Some(false)), ["network.isolated"]);
        assert_eq!(codes(100, Some(2), None), ["isolation"]);
        assert_eq!(codes(100, Some(500), Some(false)), ["network.isolated"]);
        assert_eq!(codes(100, None, Some(true)), ["network.casts-filtered"]);
        assert_eq!(
            codes(100, Some(99), Some(false)),
            ["network.silent-peers"],
            "it was switched off a minute ago"
        );
        assert_eq!(
            codes(990, None, Some(false)),
            ["network.silent-peers"],
            "it spoke before this daemon started"
        );
    }

    #[test]
    fn without_networks_or_early_nothing_is_said() {
        assert_eq!(check(&Observed::default()), []);
    }
}
