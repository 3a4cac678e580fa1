//! Two networks behind NAT, and public hosts that relay. Robots of the two networks find each other, are connected
//! through a relay, and then directly where the NAT allows it.

mod files;

use files::{copy, sample, wait_until_safe};
use lab::daemon::Robot;
use lab::{Lab, Nat, Network, Result, Router, or_skip, wait_until};
use serde_json::Value;
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

fn relay(lab: &Lab, wan: &Network, number: usize) -> Result<Robot> {
    let mut host = lab.lone_host(&format!("relay-{number}"))?;
    host.attach(wan)?;
    Robot::start_on(host, "relay = true\nkeep_others = false\n")
}

impl World {
    fn new(lab: Lab, nat: Nat, relays: usize) -> Result<Self> {
        let (wan, there) = (lab.network("wan")?, lab.network("there")?);
        let relays = (1..=relays).map(|number| relay(&lab, &wan, number)).collect::<Result<Vec<_>>>()?;
        let mut peers = Vec::new();
        for relay in &relays {
            let (at, id) = (relay.host().address(), peer(relay)?);
            peers.push(format!("'/ip4/{at}/tcp/6002/p2p/{id}', '/ip4/{at}/tcp/8000/dswarm-line'"));
        }
        let configuration = format!("peers = [{}]\nsettle_seconds = 0\n", peers.join(", "));
        let behind = |name: &str, router: &str, network: &Network| {
            let mut host = lab.lone_host(name)?;
            host.attach(network)?;
            Router::new(&lab, router, network, &wan, nat)?.serve(&host)?;
            Robot::start_on(host, &configuration)
        };
        let left = behind("left", "left-router", lab.lan())?;
        let right = behind("right", "right-router", &there)?;
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
    println!("{}", world.left.cli_text(&["find", "right"])?);
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
