//! Robots find each other although the network drops broadcasts and multicasts, or all packets between robots.

use std::time::{Duration, Instant};

use lab::daemon::Robot;
use lab::{Fleet, Host, Lab, Network, Result, or_skip};

/// Promised maximum time until two robots hold each other's presence.
const FOUND: Duration = Duration::from_secs(30);
/// Maximum time until robots meet through a common server.
const SOON: Duration = Duration::from_secs(60);

/// Drops broadcasts and multicasts, except those by which a host finds the hardware address of another.
const NO_BROADCAST: &str = "meta pkttype { broadcast, multicast } ether type != arp";

/// Returns the rules of a network with client isolation: it drops everything that does not come from the server or go to
/// it.
fn isolation(server: &Host) -> [String; 3] {
    let server = server.address();
    [
        format!("ip saddr != {server} ip daddr != {server}"),
        format!("ether type arp arp saddr ip != {server} arp daddr ip != {server}"),
        "ether type ip6".to_owned(),
    ]
}

fn filter(network: &Network, rules: &[String]) -> Result {
    let rules: Vec<&str> = std::iter::once(NO_BROADCAST).chain(rules.iter().map(String::as_str)).collect();
    network.drop_frames(&rules)
}

/// Starts the robots, and returns the time until each of them holds the presence of all.
fn acquaint(robots: Vec<Robot>, within: Duration) -> Result<(Fleet, Duration)> {
    let (number, begun) = (robots.len(), Instant::now());
    let mut fleet = Fleet::of(robots);
    fleet.start()?;
    let last = fleet.wait_until_acquainted(number, within)?;
    Ok((fleet, last.saturating_duration_since(begun)))
}

#[test]
fn robots_find_each_other_without_broadcast_and_multicast() -> Result {
    let Some(lab) = or_skip("sweep", Lab::new("sweep")) else { return Ok(()) };
    let hosts: Vec<Host> = ["a", "b", "c"].iter().map(|name| lab.host(name)).collect::<Result<_>>()?;
    filter(lab.lan(), &[])?;
    let robots = hosts.into_iter().map(|host| Robot::new(host, "")).collect::<Result<_>>()?;
    let (fleet, time) = acquaint(robots, FOUND)?;
    println!("all robots hold the presence of all {time:?} after their start");
    // New records are sent by unicast, too.
    let (told, what) = fleet.robots()[0].say("news")?;
    let last = fleet.sightings().wait_for(std::slice::from_ref(&what), told + SOON);
    println!("a new record is on all robots after {:?}", last.map(|last| last - told));
    assert!(last.is_some());
    Ok(())
}

#[test]
fn robots_that_may_not_reach_each_other_meet_through_a_server() -> Result {
    let Some(lab) = or_skip("isolation", Lab::new("isolation")) else { return Ok(()) };
    let server = lab.host("server")?;
    filter(lab.lan(), &isolation(&server))?;
    let peer = format!("peers = [\"/ip4/{}/tcp/8000/dswarm-line\"]\n", server.address());
    let robot = |name: &str| Robot::new(lab.host(name)?, &peer);
    let robots = vec![Robot::new(server, "")?, robot("a")?, robot("b")?];
    let (_, time) = acquaint(robots, SOON)?;
    println!("the robots hold the presence of all {time:?} after their start");
    Ok(())
}
