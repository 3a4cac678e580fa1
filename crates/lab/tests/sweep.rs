//! Robots find each other although the network drops broadcasts and multicasts, or all packets between robots.

use std::time::{Duration, Instant};

use lab::daemon::Robot;
use lab::peers::{Avahi, avahi_available};
use lab::{Fleet, Host, Lab, Network, Result, or_skip, wait_until};
use std::sync::{Mutex, PoisonError};

/// Promised maximum time until two robots hold each other's presence.
const FOUND: Duration = Duration::from_secs(30);
/// Maximum time until robots meet through a common server.
const SOON: Duration = Duration::from_secs(60);

/// Drops broadcasts and multicasts, except those by which a host finds the hardware address of another.
const NO_BROADCAST: &str = "meta pkttype { broadcast, multicast } ether type != arp";

/// Group of multicast DNS.
const MULTICAST_DNS: &str = "224.0.0.251";
/// Shell script in which a daemon sees the socket of Avahi and its folder of services, as on a host that has one file
/// system for all programs.
const SEES_AVAHI: &str = "mkdir -p /run/avahi-daemon && mount -t tmpfs tmpfs /run/avahi-daemon && \
    touch /run/avahi-daemon/socket && mount --bind \"$HOST_FOLDER/avahi-services\" /etc/avahi/services && exec \"$@\"";

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
    // Robots that are reached by a sweep are on this network.
    wait_until(SOON, "all robots here", || {
        let online = fleet.robots()[0].cli(&["online", "--json"]).ok()?;
        let robots = online["robots"].as_array()?;
        (robots.len() == 3 && robots.iter().all(|robot| robot["state"] == "here")).then_some(())
    })
}

/// Gives a host another address on a network of 65,534 hosts, which no robot sweeps.
fn on_a_large_network(host: &Host, address: &str) -> Result {
    for arguments in
        ["address flush dev eth0 scope global", &format!("address add {address}/16 broadcast + dev eth0")]
    {
        let mut command = host.command("ip");
        command.args(arguments.split(' '));
        host.run(command, SOON)?.success(arguments)?;
    }
    Ok(())
}

/// Starts two robots on a large network that lets only multicast DNS pass, on hosts that `prepare` has prepared.
fn found_by_multicast_dns(name: &str, prepare: impl Fn(&Host) -> Result<Robot>) -> Result {
    let Some(lab) = or_skip(name, Lab::new(name)) else { return Ok(()) };
    let hosts = [lab.host("a")?, lab.host("b")?];
    for (host, address) in hosts.iter().zip(["10.77.3.3", "10.77.200.9"]) {
        on_a_large_network(host, address)?;
    }
    let only_mdns = format!("{NO_BROADCAST} ip daddr != {MULTICAST_DNS}");
    lab.lan().drop_frames(&[&only_mdns, "meta pkttype { broadcast, multicast } ether type ip6"])?;
    let robots = hosts.iter().map(prepare).collect::<Result<_>>()?;
    let (fleet, time) = acquaint(robots, FOUND)?;
    println!("{name}: both robots hold the presence of both {time:?} after their start");
    println!("{}", fleet.robots()[0].cli_text(&["online"])?);
    Ok(())
}

#[test]
fn robots_on_a_large_network_find_each_other_by_multicast_dns() -> Result {
    found_by_multicast_dns("mdns", |host| Robot::new(host.clone(), ""))
}

#[test]
fn robots_are_found_by_multicast_dns_beside_avahi() -> Result {
    if or_skip("beside avahi", avahi_available()).is_none() {
        return Ok(());
    }
    let running = Mutex::new(Vec::new());
    found_by_multicast_dns("mdns-avahi", |host| {
        let avahi = Avahi::start(host)?;
        running.lock().unwrap_or_else(PoisonError::into_inner).push(avahi);
        Robot::new(host.clone(), "")?.started_by(SEES_AVAHI)
    })?;
    let avahis = running.into_inner().unwrap_or_else(PoisonError::into_inner);
    for avahi in avahis {
        let log = avahi.process().lines();
        assert!(!log.iter().any(|line| line.contains("another IPv4 mDNS stack")), "{log:?}");
        println!("{log:#?}");
    }
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
