//! Servers in other networks tell a robot the kind of its NAT, and whether others reach it.

mod two_networks;

use lab::daemon::Robot;
use lab::peers::{Miniupnpd, miniupnpd_available};
use lab::{Lab, Nat, Result, or_skip, wait_until};
use serde_json::Value;
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;
use two_networks::World;

const SOON: Duration = Duration::from_secs(60);
const IPFS_PORT: u16 = 6002;
/// Time during which the wake-ups of a daemon are counted.
const WINDOW: Duration = Duration::from_secs(5);
/// Maximum number of wake-ups of all threads in that time. A robot with one relay made about 100, with and without the
/// checks; a loop that waits for nothing makes thousands.
const MOST: u64 = 250;
/// Address of a router outside. The UPnP server refuses the addresses that are reserved for examples and tests, so this is
/// another one. It exists only inside the lab.
const OUTER: Ipv4Addr = Ipv4Addr::new(45, 77, 77, 1);

/// Returns the message of `doctor` with this code.
fn finding(robot: &Robot, code: &str) -> Option<String> {
    let finished = robot.host().run(robot.cli_command(&["doctor", "--json"]), SOON).ok()?;
    let json: Value = serde_json::from_str(&finished.stdout).ok()?;
    let findings = json["findings"].as_array()?;
    let finding = findings.iter().find(|finding| finding["code"] == code)?;
    Some(finding["message"].as_str()?.to_owned())
}

/// Waits until `doctor` says this about NAT.
fn wait_for_nat(robot: &Robot, part: &str) -> Result<String> {
    let mut last = None;
    let found = wait_until(SOON, part, || {
        last = finding(robot, "nat");
        last.clone().filter(|message| message.contains(part))
    });
    println!("{}: {last:?}", robot.host().name());
    found
}

/// Returns the IPFS addresses of a robot that another one knows.
fn addresses(by: &Robot, name: &str) -> Vec<String> {
    let found = by.cli(&["find", name, "--json"]).unwrap_or_default();
    let all = found["robots"][0]["addresses"].as_array().cloned().unwrap_or_default();
    let all = all.iter().filter_map(|address| address["value"].as_str());
    all.filter(|address| address.contains("/p2p/")).map(str::to_owned).collect()
}

#[test]
fn doctor_knows_a_nat_that_keeps_ports() -> Result {
    let Some(lab) = or_skip("the kind of NAT", Lab::new("natkind")) else { return Ok(()) };
    let world = World::new(lab, Nat::PortPreserving, 2)?;
    wait_for_nat(
        &world.left,
        "the same port: other robots reach it through a relay, and then usually directly",
    )?;
    Ok(())
}

/// Behind NAT, a robot has connections with its relays, and all checks of its addresses are over.
#[test]
fn a_robot_whose_addresses_were_checked_has_nothing_more_to_do() -> Result {
    let Some(lab) = or_skip("an idle robot behind NAT", Lab::new("natidle")) else { return Ok(()) };
    let mut world = World::new(lab, Nat::PortPreserving, 1)?;
    wait_for_nat(&world.left, "the same port")?;
    let mut seen = 0;
    wait_until(SOON, "a robot at rest", || {
        let process = world.left.running().ok()?;
        let (_, before) = process.threads_and_wake_ups().ok()?;
        // The passing of time is measured here, so the sleep does not wait for an event.
        thread::sleep(WINDOW);
        let (_, after) = process.threads_and_wake_ups().ok()?;
        seen = after.saturating_sub(before);
        (seen <= MOST).then_some(())
    })?;
    println!("{seen} wake-ups in {WINDOW:?}");
    Ok(())
}

#[test]
fn doctor_knows_a_symmetric_nat() -> Result {
    let Some(lab) = or_skip("the kind of NAT", Lab::new("symnat")) else { return Ok(()) };
    let world = World::new(lab, Nat::Symmetric, 2)?;
    wait_for_nat(&world.left, "(symmetric NAT): robots behind other such translators")?;
    Ok(())
}

#[test]
fn a_robot_whose_router_forwards_its_port_is_reached_without_a_relay() -> Result {
    let Some(lab) = or_skip("a forwarded port", Lab::new("forwarded")) else { return Ok(()) };
    let mut world = World::new(lab, Nat::Symmetric, 2)?;
    wait_for_nat(&world.left, "only through a relay")?;
    world.router.forward(IPFS_PORT, world.left.host())?;
    // The daemon checks at its start.
    world.left.restart()?;
    let at = format!("/ip4/{}/tcp/{IPFS_PORT}", world.router.outer_address());
    wait_for_nat(&world.left, &format!("reached this host at {at}"))?;
    wait_until(SOON, "the address is announced", || {
        addresses(&world.right, "left").iter().any(|address| address.starts_with(&at)).then_some(())
    })?;
    let path = wait_until(SOON, "a direct path", || {
        let found = world.right.cli(&["find", "left", "--json"]).ok()?;
        let open = found["robots"][0]["paths"]["open"].as_array()?.clone();
        open.into_iter().find(|path| path["state"] == "direct")
    })?;
    println!("{path}");
    Ok(())
}

#[test]
fn a_robot_lets_its_router_forward_a_port_if_its_owner_wants_it() -> Result {
    let Some(()) = or_skip("UPnP", miniupnpd_available()) else { return Ok(()) };
    let Some(lab) = or_skip("UPnP", Lab::new("upnp")) else { return Ok(()) };
    let mut world = World::new(lab, Nat::Symmetric, 1)?;
    let server = Miniupnpd::start(&world.router, OUTER)?;
    let port = format!("dport {IPFS_PORT}");
    for relay in &world.relays {
        world.router.lead_to(relay.host(), OUTER)?;
    }
    wait_for_nat(&world.left, "NAT")?;
    assert!(!server.rules()?.contains(&port), "the router is not asked by default");
    world.left.kill9()?;
    let configuration = format!("{}upnp = true\n", world.configuration);
    world.left = Robot::start_on(world.left.host().clone(), &configuration)?;
    let at = format!("/ip4/{OUTER}/tcp/{IPFS_PORT}");
    wait_for_nat(&world.left, &format!("reached this host at {at}"))?;
    let said = finding(&world.left, "upnp");
    assert!(said.as_ref().is_some_and(|said| said.contains(&format!("from {at}"))), "{said:?}");
    assert!(server.rules()?.contains(&port), "{}", server.rules()?);
    wait_until(SOON, "the address is announced", || {
        addresses(&world.right, "left").iter().any(|address| address.starts_with(&at)).then_some(())
    })?;
    world.left.terminate()?;
    assert!(!server.rules()?.contains(&port), "the forwarding was not taken back: {}", server.rules()?);
    Ok(())
}

#[test]
fn a_robot_with_a_public_address_takes_no_slot_at_a_relay() -> Result {
    let Some(lab) = or_skip("a public address", Lab::new("public")) else { return Ok(()) };
    let world = World::new(lab, Nat::None, 1)?;
    let at = format!("/ip4/{}/tcp/{IPFS_PORT}", world.left.host().address());
    let said = wait_for_nat(&world.left, &format!("reached this host at {at}"))?;
    assert!(said.starts_with("there is no address translator"), "{said}");
    let known = wait_until(SOON, "the addresses are announced", || {
        Some(addresses(&world.right, "left")).filter(|all| all.iter().any(|address| address.starts_with(&at)))
    })?;
    assert!(known.iter().all(|address| !address.contains("p2p-circuit")), "{known:?}");
    Ok(())
}
