//! A port is taken by another program: the log names it with a way out, and the other functions keep working.

use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use lab::daemon::Robot;
use lab::{Error, Host, Lab, Result, or_skip, wait_until};

const SOON: Duration = Duration::from_secs(60);

/// Takes a port on a host, like another program.
fn take<T: Send>(host: &Host, open: impl FnOnce() -> std::io::Result<T> + Send) -> Result<T> {
    host.within(open)?.map_err(|source| Error::Io { what: "taking a port".to_owned(), source })
}

/// Waits for a line of the log that contains all of these parts.
fn wait_for_message(robot: &mut Robot, parts: &[&str]) -> Result {
    let line = robot.running()?.wait_for_line(|line| parts.iter().all(|part| line.contains(part)), SOON)?;
    println!("{}", line.trim());
    Ok(())
}

/// Waits until the CLI shows a fault of this channel with this code.
fn wait_for_code(robot: &Robot, channel: &str, code: &str) -> Result {
    wait_until(SOON, code, || {
        let told = robot.cli(&["channels", "--json"]).ok()?["troubles"].clone();
        let is_it = |trouble: &&serde_json::Value| trouble["channel"] == channel && trouble["code"] == code;
        told.as_array()?.iter().find(is_it).map(drop)
    })
}

/// Waits until `robot` reports this number of holders of `name`.
fn wait_until_safe(robot: &Robot, name: &str, holders: usize) -> Result {
    let safe = || {
        let report = robot.cli(&["report", "--json"]).ok()?;
        let is_it = |file: &&serde_json::Value| {
            file["name"] == name && file["holders"].as_array().is_some_and(|all| all.len() == holders)
        };
        report["files"].as_array()?.iter().find(is_it).map(drop)
    };
    wait_until(SOON, &format!("{name} with {holders} holders"), safe)
}

#[test]
fn without_its_tcp_port_a_robot_still_shares() -> Result {
    let Some(lab) = or_skip("TCP port taken", Lab::new("tcp")) else {
        return Ok(());
    };
    let b = Robot::start(&lab, "b")?;
    let mut a = Robot::new(lab.host("a")?, "")?;
    let taken = take(a.host(), || TcpListener::bind("0.0.0.0:8000"))?;
    a.restart()?;
    wait_for_message(&mut a, &["TCP port 8000 is taken by another program", "`tcp_port`"])?;
    a.share("one.bag", b"one")?;
    wait_until_safe(&b, "one.bag", 2)?;
    drop(taken);
    // The robot tries its port again without a restart.
    wait_until_safe(&a, "one.bag", 2)
}

#[test]
fn without_the_port_of_its_gateway_a_robot_still_shares() -> Result {
    let Some(lab) = or_skip("gateway port taken", Lab::new("http")) else {
        return Ok(());
    };
    let b = Robot::start(&lab, "b")?;
    let mut a = Robot::new(lab.host("a")?, "")?;
    let _taken = take(a.host(), || TcpListener::bind("127.0.0.1:6080"))?;
    a.restart()?;
    wait_for_message(&mut a, &["TCP port 6080 is taken by another program", "`gateway`"])?;
    a.share("four.bag", b"four")?;
    wait_until_safe(&b, "four.bag", 2)
}

#[test]
fn without_its_udp_port_a_robot_still_answers_and_joins_once_it_is_free() -> Result {
    let Some(lab) = or_skip("UDP port taken", Lab::new("udp")) else {
        return Ok(());
    };
    let b = Robot::start(&lab, "b")?;
    let mut a = Robot::new(lab.host("a")?, "")?;
    let taken = take(a.host(), || UdpSocket::bind("0.0.0.0:1240"))?;
    a.restart()?;
    wait_for_message(&mut a, &["UDP port 1240 is taken by another program", "`udp_port`"])?;
    wait_for_code(&a, "udp", "udp.port-taken")?;
    a.share("two.bag", b"two")?;
    wait_until_safe(&a, "two.bag", 0)?;
    drop(taken);
    wait_until_safe(&b, "two.bag", 2)
}

#[test]
fn without_its_ipfs_port_a_robot_still_fetches() -> Result {
    let Some(lab) = or_skip("IPFS port taken", Lab::new("ipfs")) else {
        return Ok(());
    };
    let b = Robot::start(&lab, "b")?;
    let mut a = Robot::new(lab.host("a")?, "")?;
    let _taken =
        take(a.host(), || Ok((TcpListener::bind("0.0.0.0:6002")?, UdpSocket::bind("0.0.0.0:6002")?)))?;
    a.restart()?;
    wait_for_message(
        &mut a,
        &["/ip4/0.0.0.0/tcp/6002", "stop the program that holds the port", "`ipfs_port`"],
    )?;
    wait_for_message(&mut a, &["/ip4/0.0.0.0/udp/6002/quic-v1", "`ipfs_port`"])?;
    wait_for_code(&a, "ipfs /ip4/0.0.0.0/tcp/6002", "ipfs.port-unavailable")?;
    b.share("three.bag", b"three")?;
    wait_until_safe(&a, "three.bag", 2)
}
