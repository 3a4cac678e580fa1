//! `ssh` and `forward` to a real SSH server on another robot, as far as its owner allows it.

mod access_steps;

use std::time::{Duration, Instant};

use access_steps::{
    AT_ONCE, SOON, SSH_PORT, available, echo_on, forward, move_both_ways, session, ssh, ssh_failure,
    wait_for_end, wait_until_known,
};
use lab::daemon::Robot;
use lab::peers::Sshd;
use lab::{Lab, Result, or_skip, run};

#[test]
fn ssh_works_only_while_the_owner_allows_the_peer_and_the_port() -> Result {
    let Some(lab) = or_skip("access", available("access")) else {
        return Ok(());
    };
    let (asker, stranger) = (Robot::start(&lab, "asker")?, Robot::start(&lab, "stranger")?);
    let robot = Robot::start(&lab, "robot")?;
    let sshd = Sshd::start(robot.host(), SSH_PORT)?;
    wait_until_known(&asker, "robot")?;
    wait_until_known(&stranger, "robot")?;
    let (me, port) = (asker.peer_id()?, SSH_PORT.to_string());

    let refused = ssh_failure(&asker, "robot", &sshd)?;
    for part in ["does not allow", &me, &format!("access allow {port} --peer {me}")] {
        assert!(refused.contains(part), "{part:?} is missing in {refused:?}");
    }
    robot.cli(&["access", "allow", &port, "--peer", &me, "--json"])?;
    let said = run(ssh(&asker, "robot", &sshd, &["echo", "it works"]), SOON)?.success("ssh")?;
    assert_eq!(said, "it works\n");
    // The exit status of the remote command is that of `ssh`.
    assert_eq!(run(ssh(&asker, "robot", &sshd, &["exit 7"]), SOON)?.status.code(), Some(7));
    let known = std::fs::read_to_string(sshd.known_hosts()).unwrap();
    assert!(known.to_lowercase().starts_with(&robot.peer_id()?.to_lowercase()), "{known}");

    // A stranger, another port, and a port at which no program listens.
    assert!(ssh_failure(&stranger, "robot", &sshd)?.contains("does not allow"));
    let other = asker.cli_failure(&["forward", "robot", "8000", "--stdio"])?;
    assert!(other.contains("does not allow"), "{other}");
    robot.cli(&["access", "allow", "9", "--peer", &me, "--json"])?;
    let silent = asker.cli_failure(&["forward", "robot", "9", "--stdio"])?;
    assert!(silent.contains("no program listens"), "{silent}");

    let mut open = session(&asker, "robot", &sshd)?;
    let list = robot.cli(&["access", "list", "--json"])?;
    assert_eq!(
        (&list["connections"][0]["peer"], &list["connections"][0]["port"]),
        (&me.clone().into(), &SSH_PORT.into())
    );
    println!("{}", robot.cli_text(&["access", "list"])?);
    let taken = Instant::now();
    let revoked = robot.cli(&["access", "revoke", &port, "--json"])?;
    assert_eq!(revoked["ended_connections"], 1, "{revoked}");
    println!("the session ended {:?} after `access revoke`", wait_for_end(&mut open, taken)?);
    assert!(ssh_failure(&asker, "robot", &sshd)?.contains("does not allow"));

    // A permission with an end.
    robot.cli(&["access", "allow", &port, "--peer", &me, "--for", "4s", "--json"])?;
    let began = Instant::now();
    let mut open = session(&asker, "robot", &sshd)?;
    let status = open.wait_for_end(Duration::from_secs(4) + AT_ONCE)?;
    assert!(!status.success());
    println!("the session ended {:?} after `access allow --for 4s`", began.elapsed());

    let log = robot.cli(&["access", "log", "--json"])?;
    println!("{}", robot.cli_text(&["access", "log"])?);
    let states: Vec<&str> =
        log["uses"].as_array().into_iter().flatten().filter_map(|row| row["state"].as_str()).collect();
    assert_eq!(states, ["closed", "closed", "nothing_listens", "taken_back", "taken_back"]);
    assert!(log["uses"].as_array().into_iter().flatten().all(|row| row["peer"] == me));
    let strangers = stranger.peer_id()?;
    let mut refusals = log["refusals"].as_array().into_iter().flatten();
    assert!(refusals.any(|row| row["peer"] == strangers && row["port"] == SSH_PORT), "{log}");
    Ok(())
}

#[test]
fn a_forwarded_port_moves_10_mb_both_ways_intact() -> Result {
    let Some(lab) = or_skip("access-forward", Lab::new("accfwd")) else {
        return Ok(());
    };
    let (asker, robot) = (Robot::start(&lab, "asker")?, Robot::start(&lab, "robot")?);
    wait_until_known(&asker, "robot")?;
    echo_on(&robot, 7007)?;
    robot.cli(&["access", "allow", "7007", "--peer", &asker.peer_id()?, "--json"])?;
    let began = Instant::now();
    let _forward = forward(&asker, "robot", 7007)?;
    move_both_ways(&asker, 7007, 10_000_000)?;
    println!("three connections moved 10 MB both ways in {:?}", began.elapsed());
    let log = robot.cli(&["access", "log", "--json"])?;
    assert_eq!(log["uses"][0]["received_bytes"], 10_000_000, "{log}");
    Ok(())
}

#[test]
fn a_role_that_is_taken_away_ends_its_connections() -> Result {
    let Some(lab) = or_skip("access-roles", available("accroles")) else {
        return Ok(());
    };
    let (asker, robot) = (Robot::start(&lab, "asker")?, Robot::start(&lab, "robot")?);
    let sshd = Sshd::start(robot.host(), SSH_PORT)?;
    let port = SSH_PORT.to_string();
    let open = robot.cli_failure(&["access", "allow", &port, "--role", "trusted"])?;
    assert!(open.contains("open swarm"), "{open}");

    let file = robot.host().folder().join("class.toml").display().to_string();
    robot.cli(&["swarm", "init", &file, "--name", "class", "--json"])?;
    for member in [&asker, &robot] {
        member.cli(&["swarm", "join", &file, "--json"])?;
    }
    let (me, admin) = (asker.peer_id()?, robot.peer_id()?);
    robot.cli(&["grant", "admin", &admin, "--key", "class-root", "--json"])?;
    robot.cli(&["access", "allow", &port, "--role", "trusted", "--json"])?;
    wait_until_known(&asker, "robot")?;
    assert!(ssh_failure(&asker, "robot", &sshd)?.contains("does not allow"));
    robot.cli(&["grant", "trusted", &me, "--json"])?;
    let mut open = session(&asker, "robot", &sshd)?;
    let taken = Instant::now();
    robot.cli(&["revoke", "trusted", &me, "--json"])?;
    println!("the session ended {:?} after `revoke trusted`", wait_for_end(&mut open, taken)?);
    assert!(ssh_failure(&asker, "robot", &sshd)?.contains("does not allow"));
    println!("{}", robot.cli_text(&["access", "log"])?);

    // A peer that an admin denies is refused, even if a permission names it.
    robot.cli(&["access", "allow", &port, "--peer", &me, "--json"])?;
    let mut open = session(&asker, "robot", &sshd)?;
    let denied = Instant::now();
    robot.cli(&["revoke", "peer", &me, "--json"])?;
    println!("the session ended {:?} after `revoke peer`", wait_for_end(&mut open, denied)?);
    assert!(robot.cli_text(&["access", "log"])?.contains("taken back"));
    Ok(())
}
