//! Two networks behind NAT, and public hosts that relay. Robots of the two networks find each other, are connected
//! through a relay, and then directly where the NAT allows it.

mod files;
mod two_networks;

use files::{copy, sample, wait_until_safe};
use lab::daemon::Robot;
use lab::peers::ngircd_available;
use lab::{Error, Lab, Nat, Result, or_skip, wait_until};
use serde_json::Value;
use std::time::{Duration, Instant};
use two_networks::World;

const SOON: Duration = Duration::from_secs(60);
/// Maximum time until robots find each other again after their relay was killed.
const AGAIN: Duration = Duration::from_secs(90);
/// Maximum time until a robot has read its permission file again, and another one has fetched its log.
const PERMITTED: Duration = Duration::from_secs(150);

#[test]
fn robots_behind_nat_are_connected_through_a_relay_and_then_directly() -> Result {
    let Some(lab) = or_skip("NAT", Lab::new("nat")) else { return Ok(()) };
    let world = World::new(lab, Nat::PortPreserving, 1)?;
    let first = wait_until(SOON, "a path", || world.paths())?;
    println!("first: {first:?}");
    assert_eq!(first[0]["state"], "relayed", "{first:?}");
    assert_eq!(first[0]["relay"]["peer"], world.relays[0].peer_id()?);
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
    let peers = world.relays.iter().map(Robot::peer_id).collect::<Result<Vec<_>>>()?;
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
fn robots_find_each_other_by_irc_when_all_relays_are_killed() -> Result {
    let Some(()) = or_skip("IRC as the last resort", ngircd_available()) else { return Ok(()) };
    let Some(lab) = or_skip("IRC as the last resort", Lab::new("ircwan")) else { return Ok(()) };
    let mut world = World::with_irc(lab, Nat::Symmetric, 2)?;
    world.wait_for_path(SOON, "relayed")?;
    world.relays.iter_mut().try_for_each(Robot::kill9)?;
    let killed = Instant::now();
    wait_until(AGAIN, "the end of all paths", || world.paths().is_none().then_some(()))?;
    println!("no path is left after {:.1} s", killed.elapsed().as_secs_f64());
    // Nothing but IRC can carry the records of this robot to the other network.
    let late = world.start_on_the_left("late")?;
    let begun = Instant::now();
    let found =
        wait_until(AGAIN, "a new robot is found by IRC", || heard_by_irc(&world.right, "late", begun))?;
    println!("found after {:.1} s: {found}", begun.elapsed().as_secs_f64());
    // Of the robots of one network, only one forwards what the others say, so `left` need not be heard itself.
    for (by, name) in [(&world.left, "right"), (&late, "right")] {
        let found = wait_until(AGAIN, "found by IRC", || heard_by_irc(by, name, killed))?;
        println!("{} hears {name}: {found}", by.host().name());
    }
    println!("{}", world.left.cli_text(&["find", "right"])?);
    Ok(())
}

/// Returns where a robot that is present was heard, if it was heard in an IRC channel after this moment.
fn heard_by_irc(by: &Robot, name: &str, since: Instant) -> Option<Value> {
    let found = by.cli(&["find", name, "--json"]).ok()?;
    let heard = found["robots"][0]["heard"].as_array()?.clone();
    let is_it = |heard: &&Value| {
        let is_irc = heard["channel"].as_str().is_some_and(|channel| channel.starts_with("irc "));
        is_irc && heard["age_seconds"].as_u64().is_some_and(|age| age < since.elapsed().as_secs().max(1))
    };
    heard.iter().find(is_it).cloned()
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

#[test]
fn a_log_leaves_its_network_only_with_the_permission_of_its_robot() -> Result {
    let Some(lab) = or_skip("a log without permission", Lab::new("denied")) else { return Ok(()) };
    let mut world = World::new(lab, Nat::PortPreserving, 1)?;
    let permission = world.right.host().folder().join("allow_push_logs_data");
    let write = |text: &str| {
        let what = permission.display().to_string();
        std::fs::write(&permission, text).map_err(|source| Error::Io { what, source })
    };
    write("0")?;
    world.configuration += &format!("[uploads]\npermission_file = {permission:?}\n");
    let robot = world.start_on_the_left("robot")?;
    let content = sample()?;
    robot.share("secret.bag", &content)?;
    let is_connected = || {
        let found = world.right.cli(&["find", "robot", "--json"]).ok()?;
        let is_open = !found["robots"][0]["paths"]["open"].as_array()?.is_empty();
        let report = world.right.cli_text(&["report"]).ok()?;
        (is_open && report.contains("secret.bag")).then_some(())
    };
    wait_until(AGAIN, "the log and a path to its robot", is_connected)?;
    // The robot beside it has a copy by now, and must not give it either.
    wait_until_safe(&[&robot, &world.left], "secret.bag", 2)?;
    let sent_by_both = || Ok::<_, Error>(robot.host().traffic()?.sent + world.left.host().traffic()?.sent);
    let before = sent_by_both()?;
    let to = world.right.host().folder().join("secret.bag");
    let to = to.to_string_lossy().into_owned();
    // With the permission, this takes a second.
    let refused = world.right.cli_failure(&["get", "secret.bag", "-o", &to, "--wait", "20"])?;
    let sent = sent_by_both()? - before;
    println!("{sent} bytes sent by both robots in 20 s, with a log of {} bytes: {refused}", content.len());
    assert!(sent < content.len() as u64 / 4, "{sent} bytes");
    write("1")?;
    let copied = || std::fs::read(&to).ok().filter(|copy| *copy == content).map(drop);
    wait_until(PERMITTED, "the log in the other network", copied)
}
