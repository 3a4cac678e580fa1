//! `ssh` and `forward` to a real SSH server on another robot, as far as its owner allows it.
#![expect(clippy::unwrap_used, reason = "a panic fails the test with a message")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use lab::daemon::Robot;
use lab::peers::{Sshd, sshd_available};
use lab::{Lab, Process, Result, Unavailable, or_skip, run, wait_until};
use sha2::{Digest, Sha256};

const SOON: Duration = Duration::from_secs(60);
/// Maximum time after which a connection has to end once its permission was taken back.
const AT_ONCE: Duration = Duration::from_secs(5);
const SSH_PORT: u16 = 2222;

fn available(name: &str) -> Result<Lab, Unavailable> {
    sshd_available()?;
    Lab::new(name)
}

fn peer(robot: &Robot) -> Result<String> {
    Ok(robot.cli(&["ping", "--json"])?["daemon"]["peer"].as_str().unwrap_or_default().to_owned())
}

/// Waits until a robot knows the robot with this name and its IPFS addresses.
fn wait_until_known(by: &Robot, name: &str) -> Result {
    wait_until(SOON, &format!("{name} is known by {}", by.host().name()), || {
        let found = by.cli(&["addresses", name, "--json"]).ok()?;
        found.to_string().contains("/p2p/").then_some(())
    })
}

/// A command that runs `ssh` of the CLI with this remote command.
fn ssh(from: &Robot, to: &str, sshd: &Sshd, remote: &[&str]) -> Command {
    let mut command = from.cli_command(&["ssh", "-p", &sshd.port().to_string(), &format!("root@{to}"), "--"]);
    command.args(sshd.options()).args(remote);
    command
}

fn ssh_failure(from: &Robot, to: &str, sshd: &Sshd) -> Result<String> {
    let finished = run(ssh(from, to, sshd, &["true"]), SOON)?;
    assert!(!finished.status.success(), "{}", finished.stdout);
    println!("{}: {}", from.host().name(), finished.stderr.trim());
    Ok(finished.stderr)
}

/// Starts a session of ssh that prints a line and then stays open.
fn session(from: &Robot, to: &str, sshd: &Sshd) -> Result<Process> {
    let session = from.host().spawn("session", ssh(from, to, sshd, &["echo it is open; exec cat"]))?;
    session.wait_for_line(|line| line == "it is open", SOON)?;
    Ok(session)
}

/// Waits for the end of a session, and returns the time that it took.
fn wait_for_end(session: &mut Process, since: Instant) -> Result<Duration> {
    let status = session.wait_for_end(AT_ONCE)?;
    assert!(!status.success());
    Ok(since.elapsed())
}

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
    let (me, port) = (peer(&asker)?, SSH_PORT.to_string());

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
    assert!(known.to_lowercase().starts_with(&peer(&robot)?.to_lowercase()), "{known}");

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
    let strangers = peer(&stranger)?;
    let mut refusals = log["refusals"].as_array().into_iter().flatten();
    assert!(refusals.any(|row| row["peer"] == strangers && row["port"] == SSH_PORT), "{log}");
    Ok(())
}

/// Serves each connection on this port of a host: sends back all bytes, after the client has sent its last.
fn echo_on(robot: &Robot, port: u16) -> Result {
    let listener = robot.host().within(|| TcpListener::bind(("127.0.0.1", port)))?;
    let listener = listener.unwrap();
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut all = Vec::new();
            let echoed = socket.read_to_end(&mut all).and_then(|_| socket.write_all(&all));
            let _ = echoed.and_then(|()| socket.shutdown(Shutdown::Write));
        }
    });
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
    robot.cli(&["access", "allow", "7007", "--peer", &peer(&asker)?, "--json"])?;
    let forward = asker.host().spawn("forward", asker.cli_command(&["forward", "robot", "7007"]))?;
    let line = forward.wait_for_line(|line| line.contains("is port 7007 of robot"), SOON)?;
    assert!(line.starts_with("127.0.0.1:7007 "), "{line}");

    let sent: Vec<u8> =
        (0..10_000_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let began = Instant::now();
    let connect = || TcpStream::connect(("127.0.0.1", 7007));
    let sockets = asker.host().within(|| (0..3).map(|_| connect()).collect::<std::io::Result<Vec<_>>>())?;
    let moving = sockets.unwrap().into_iter().map(|mut socket| {
        let sent = sent.clone();
        thread::spawn(move || -> std::io::Result<Vec<u8>> {
            socket.set_read_timeout(Some(SOON))?;
            socket.write_all(&sent)?;
            socket.shutdown(Shutdown::Write)?;
            let mut received = Vec::new();
            socket.read_to_end(&mut received)?;
            Ok(received)
        })
    });
    for thread in moving.collect::<Vec<_>>() {
        let received = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let received = received.unwrap();
        assert_eq!(received.len(), sent.len());
        assert_eq!(Sha256::digest(&received), Sha256::digest(&sent));
    }
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
    let (me, admin) = (peer(&asker)?, peer(&robot)?);
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
