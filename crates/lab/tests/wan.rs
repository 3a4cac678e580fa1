//! Two networks behind NAT, and public hosts that relay. Robots of the two networks find each other, are connected
//! through a relay, and then directly where the NAT allows it.

mod files;

use files::{copy, sample, wait_until_safe};
use lab::daemon::Robot;
use lab::{Error, Lab, Nat, Network, Result, Router, or_skip, wait_until};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(60);
/// Maximum time until robots find each other again after their relay was killed.
const AGAIN: Duration = Duration::from_secs(90);

/// Two robots behind routers, and public relays.
struct World {
    relays: Vec<Robot>,
    left: Robot,
    right: Robot,
    /// The routers exist as long as the lab.
    _lab: Lab,
}

fn peer(robot: &Robot) -> Result<String> {
    Ok(robot.cli(&["ping", "--json"])?["daemon"]["peer"].as_str().unwrap_or_default().to_owned())
}

fn write(path: &Path, text: &str) -> Result {
    fs::write(path, text).map_err(|source| Error::Io { what: path.display().to_string(), source })
}

impl World {
    fn new(lab: Lab, nat: Nat, relays: usize) -> Result<Self> {
        Self::of_swarm(lab, nat, relays, "")
    }

    /// Makes a world whose robots and relays are in the swarm of a file, if `swarm` begins one. The relays are then in
    /// its list of addresses, and otherwise in the configuration of the robots.
    fn of_swarm(lab: Lab, nat: Nat, relays: usize, swarm: &str) -> Result<Self> {
        let (wan, there) = (lab.network("wan")?, lab.network("there")?);
        let file = lab.folder().join("swarm.toml");
        let joined = if swarm.is_empty() { String::new() } else { format!("swarm_file = {file:?}\n") };
        write(&file, swarm)?;
        let relay = |number| {
            let mut host = lab.lone_host(&format!("relay-{number}"))?;
            host.attach(&wan)?;
            Robot::start_on(host, &format!("{joined}relay = true\nkeep_others = false\n"))
        };
        let relays = (1..=relays).map(relay).collect::<Result<Vec<_>>>()?;
        let mut peers = Vec::new();
        for relay in &relays {
            let (at, id) = (relay.host().address(), peer(relay)?);
            peers.push(format!("'/ip4/{at}/tcp/6002/p2p/{id}', '/ip4/{at}/tcp/8000/dswarm-line'"));
        }
        let peers = peers.join(", ");
        if !swarm.is_empty() {
            write(&file, &format!("bootstrap = [{peers}]\n{swarm}"))?;
        }
        let named = if swarm.is_empty() { format!("peers = [{peers}]\n") } else { joined.clone() };
        let behind = |name: &str, network: &Network| {
            let mut host = lab.lone_host(name)?;
            host.attach(network)?;
            Router::new(&lab, &format!("{name}-router"), network, &wan, nat)?.serve(&host)?;
            Robot::start_on(host, &format!("{named}settle_seconds = 0\n"))
        };
        let (left, right) = (behind("left", lab.lan())?, behind("right", &there)?);
        Ok(Self { relays, left, right, _lab: lab })
    }

    /// Asks the left robot for the paths to the right one.
    fn paths(&self) -> Option<Vec<Value>> {
        let found = self.left.cli(&["find", "right", "--json"]).ok()?;
        let open = found["robots"][0]["paths"]["open"].as_array()?.clone();
        Some(open).filter(|open| !open.is_empty())
    }

    fn wait_for_path(&self, within: Duration, state: &str) -> Result<Value> {
        let begun = Instant::now();
        let path = wait_until(within, &format!("a {state} path"), || {
            self.paths()?.into_iter().find(|path| path["state"] == state)
        })?;
        println!("{state} after {:.1} s: {path}", begun.elapsed().as_secs_f64());
        Ok(path)
    }
}

#[test]
fn robots_behind_nat_are_connected_through_a_relay_and_then_directly() -> Result {
    let Some(lab) = or_skip("NAT", Lab::new("nat")) else { return Ok(()) };
    let world = World::new(lab, Nat::PortPreserving, 1)?;
    let first = wait_until(SOON, "a path", || world.paths())?;
    println!("first: {first:?}");
    assert_eq!(first[0]["state"], "relayed", "{first:?}");
    assert_eq!(first[0]["relay"]["peer"], peer(&world.relays[0])?);
    world.wait_for_path(SOON, "direct")?;
    let only_direct = || {
        let paths = world.paths()?;
        paths.iter().all(|path| path["state"] == "direct").then_some(paths)
    };
    let paths = wait_until(SOON, "the end of the relayed connection", only_direct)?;
    println!("{paths:?}");
    println!("{}", world.left.cli_text(&["addresses", "right"])?);
    Ok(())
}

#[test]
fn a_file_is_fetched_through_the_relay_if_the_nat_prevents_a_direct_connection() -> Result {
    let Some(lab) = or_skip("symmetric NAT", Lab::new("symmetric")) else { return Ok(()) };
    let world = World::new(lab, Nat::Symmetric, 1)?;
    let before = world.relays[0].host().traffic()?;
    world.left.share("log.bag", &sample()?)?;
    wait_until_safe(&[&world.left, &world.right], "log.bag", 2)?;
    assert!(copy(&world.right, "log.bag")? == sample()?);
    world.wait_for_path(SOON, "relayed")?;
    let paths = world.paths().unwrap_or_default();
    assert!(paths.iter().all(|path| path["state"] == "relayed"), "{paths:?}");
    let relayed = world.relays[0].host().traffic()?.sent - before.sent;
    assert!(relayed > sample()?.len() as u64, "only {relayed} bytes went through the relay");
    println!("{relayed} bytes sent by the relay for a file of {} bytes", sample()?.len());
    Ok(())
}

#[test]
fn a_robot_is_found_through_another_relay_when_one_is_killed() -> Result {
    let Some(lab) = or_skip("two relays", Lab::new("relays")) else { return Ok(()) };
    let mut world = World::new(lab, Nat::Symmetric, 2)?;
    let path = world.wait_for_path(SOON, "relayed")?;
    let peers = world.relays.iter().map(peer).collect::<Result<Vec<_>>>()?;
    let used = peers.iter().position(|peer| path["relay"]["peer"] == **peer).unwrap_or_default();
    world.relays[used].kill9()?;
    let begun = Instant::now();
    let other = wait_until(AGAIN, "a path through the other relay", || {
        world.paths()?.into_iter().find(|path| path["relay"]["peer"] == *peers[1 - used])
    })?;
    println!("found again after {:.1} s: {other}", begun.elapsed().as_secs_f64());
    Ok(())
}

#[test]
fn a_relay_of_a_swarm_with_roots_and_a_key_serves_its_robots() -> Result {
    let Some(lab) = or_skip("a keyed swarm over a relay", Lab::new("keyedwan")) else { return Ok(()) };
    let root = dcache::Keypair::from_seed([7; 32]).peer_id();
    let key = seal::SwarmKey::from_bytes([9; 32]);
    let file = dcache::SwarmFile::new("class", [root].into());
    let file = file.map_err(|error| Error::Answer { what: error.to_string(), answer: String::new() })?;
    let world = World::of_swarm(lab, Nat::PortPreserving, 1, &file.with_key(key).to_toml())?;
    world.wait_for_path(SOON, "relayed")?;
    world.wait_for_path(SOON, "direct")?;
    Ok(())
}
