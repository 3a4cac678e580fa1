//! `ssh` and `forward` between two networks behind NAT, to a real SSH server.

mod access_steps;
mod two_networks;

use access_steps::{
    SOON, SSH_PORT, available, echo_on, forward, move_both_ways, session, ssh, ssh_failure, wait_for_end,
    wait_until_known,
};
use lab::daemon::Robot;
use lab::peers::Sshd;
use lab::{Nat, Result, or_skip, run};
use std::time::Instant;
use two_networks::World;

const ECHO_PORT: u16 = 7007;
/// Number of bytes that each connection through `forward` sends and gets back.
const BYTES: u32 = 2_000_000;

#[test]
fn ssh_and_forward_work_across_nat_only_for_the_permitted_peer_and_port() -> Result {
    let Some(lab) = or_skip("access across NAT", available("wanaccess")) else { return Ok(()) };
    let world = World::new(lab, Nat::PortPreserving, 1)?;
    check(&world)?;
    world.wait_for_path(SOON, "direct").map(drop)
}

#[test]
fn ssh_and_forward_work_over_a_relay_alone() -> Result {
    let Some(lab) = or_skip("access over a relay", available("relayaccess")) else { return Ok(()) };
    let world = World::new(lab, Nat::Symmetric, 1)?;
    check(&world)?;
    let paths = world.paths().unwrap_or_default();
    assert!(!paths.is_empty() && paths.iter().all(|path| path["state"] == "relayed"), "{paths:?}");
    Ok(())
}

/// Checks who reaches which port of the right robot, and until when.
fn check(world: &World) -> Result {
    let (asker, robot) = (&world.left, &world.right);
    let stranger = world.start_on_the_left("stranger")?;
    let sshd = Sshd::start(robot.host(), SSH_PORT)?;
    echo_on(robot, ECHO_PORT)?;
    for other in [asker, &stranger] {
        wait_until_known(other, "right")?;
    }
    let (me, ssh_port, echo_port) = (asker.peer_id()?, SSH_PORT.to_string(), ECHO_PORT.to_string());
    assert!(ssh_failure(asker, "right", &sshd)?.contains("does not allow"));

    robot.cli(&["access", "allow", &ssh_port, "--peer", &me, "--json"])?;
    let began = Instant::now();
    let said = run(ssh(asker, "right", &sshd, &["echo", "it works"]), SOON)?.success("ssh")?;
    assert_eq!(said, "it works\n");
    println!("ssh across NAT took {:?} over {:?}", began.elapsed(), world.paths());
    assert!(ssh_failure(&stranger, "right", &sshd)?.contains("does not allow"));
    let other = asker.cli_failure(&["forward", "right", &echo_port, "--stdio"])?;
    assert!(other.contains("does not allow"), "{other}");

    robot.cli(&["access", "allow", &echo_port, "--peer", &me, "--json"])?;
    let forwarded = forward(asker, "right", ECHO_PORT)?;
    let began = Instant::now();
    move_both_ways(asker, ECHO_PORT, BYTES)?;
    println!("three connections moved {BYTES} bytes both ways in {:?}", began.elapsed());
    drop(forwarded);
    ends_at_once(asker, robot, &sshd, &ssh_port)
}

/// Checks that a session ends when its permission is taken back.
fn ends_at_once(asker: &Robot, robot: &Robot, sshd: &Sshd, port: &str) -> Result {
    let mut open = session(asker, "right", sshd)?;
    let taken = Instant::now();
    let revoked = robot.cli(&["access", "revoke", port, "--json"])?;
    assert_eq!(revoked["ended_connections"], 1, "{revoked}");
    println!("the session ended {:?} after `access revoke`", wait_for_end(&mut open, taken)?);
    assert!(ssh_failure(asker, "right", sshd)?.contains("does not allow"));
    Ok(())
}
