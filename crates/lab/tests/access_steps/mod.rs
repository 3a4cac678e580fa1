//! Steps for `ssh` and `forward` to another robot, as several tests need them.
#![allow(dead_code, reason = "each test program uses some of the functions")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use lab::daemon::Robot;
use lab::peers::{Sshd, sshd_available};
use lab::{Error, Lab, Process, Result, Unavailable, run, wait_until};
use sha2::{Digest, Sha256};

pub(crate) const SOON: Duration = Duration::from_secs(60);
/// Maximum time after which a connection has to end once its permission was taken back.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(5);
pub(crate) const SSH_PORT: u16 = 2222;

pub(crate) fn available(name: &str) -> Result<Lab, Unavailable> {
    sshd_available()?;
    Lab::new(name)
}

/// Waits until a robot knows the robot with this name and its IPFS addresses.
pub(crate) fn wait_until_known(by: &Robot, name: &str) -> Result {
    wait_until(SOON, &format!("{name} is known by {}", by.host().name()), || {
        let found = by.cli(&["addresses", name, "--json"]).ok()?;
        found.to_string().contains("/p2p/").then_some(())
    })
}

/// A command that runs `ssh` of the CLI with this remote command.
pub(crate) fn ssh(from: &Robot, to: &str, sshd: &Sshd, remote: &[&str]) -> Command {
    let mut command = from.cli_command(&["ssh", "-p", &sshd.port().to_string(), &format!("root@{to}"), "--"]);
    command.args(sshd.options()).args(remote);
    command
}

pub(crate) fn ssh_failure(from: &Robot, to: &str, sshd: &Sshd) -> Result<String> {
    let finished = run(ssh(from, to, sshd, &["true"]), SOON)?;
    assert!(!finished.status.success(), "{}", finished.stdout);
    println!("{}: {}", from.host().name(), finished.stderr.trim());
    Ok(finished.stderr)
}

/// Starts a session of ssh that prints a line and then stays open.
pub(crate) fn session(from: &Robot, to: &str, sshd: &Sshd) -> Result<Process> {
    let session = from.host().spawn("session", ssh(from, to, sshd, &["echo it is open; exec cat"]))?;
    session.wait_for_line(|line| line == "it is open", SOON)?;
    Ok(session)
}

/// Waits for the end of a session, and returns the time that it took.
pub(crate) fn wait_for_end(session: &mut Process, since: Instant) -> Result<Duration> {
    let status = session.wait_for_end(AT_ONCE)?;
    assert!(!status.success());
    Ok(since.elapsed())
}

/// Serves each connection on this port of a host: sends back all bytes, after the client has sent its last.
pub(crate) fn echo_on(robot: &Robot, port: u16) -> Result {
    let listener = robot.host().within(|| TcpListener::bind(("127.0.0.1", port)))?;
    let listener = listener.map_err(io("listening"))?;
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut all = Vec::new();
            let echoed = socket.read_to_end(&mut all).and_then(|_| socket.write_all(&all));
            let _ = echoed.and_then(|()| socket.shutdown(Shutdown::Write));
        }
    });
    Ok(())
}

/// Starts `forward` of this port, and waits until it is ready.
pub(crate) fn forward(from: &Robot, to: &str, port: u16) -> Result<Process> {
    let forward = from.host().spawn("forward", from.cli_command(&["forward", to, &port.to_string()]))?;
    let line = forward.wait_for_line(|line| line.contains(&format!("is port {port} of {to}")), SOON)?;
    assert!(line.starts_with(&format!("127.0.0.1:{port} ")), "{line}");
    Ok(forward)
}

/// Sends `bytes` bytes on each of three connections to the echo behind a forwarded port, and checks what comes back.
pub(crate) fn move_both_ways(from: &Robot, port: u16, bytes: u32) -> Result {
    let sent: Vec<u8> = (0..bytes).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let connect = || TcpStream::connect(("127.0.0.1", port));
    let sockets = from.host().within(|| (0..3).map(|_| connect()).collect::<std::io::Result<Vec<_>>>())?;
    let sockets = sockets.map_err(io("connecting"))?;
    let moving = sockets.into_iter().map(|socket| {
        let sent = sent.clone();
        thread::spawn(move || there_and_back(socket, &sent))
    });
    for thread in moving.collect::<Vec<_>>() {
        let received = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let received = received.map_err(io("moving bytes"))?;
        assert_eq!(received.len(), sent.len());
        assert_eq!(Sha256::digest(&received), Sha256::digest(&sent));
    }
    Ok(())
}

fn there_and_back(mut socket: TcpStream, sent: &[u8]) -> std::io::Result<Vec<u8>> {
    socket.set_read_timeout(Some(SOON))?;
    socket.write_all(sent)?;
    socket.shutdown(Shutdown::Write)?;
    let mut received = Vec::new();
    socket.read_to_end(&mut received)?;
    Ok(received)
}

fn io(what: &str) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.to_owned();
    move |source| Error::Io { what, source }
}
