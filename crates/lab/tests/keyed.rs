//! A swarm with a key: a host without the key learns nothing and can inject nothing.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[expect(dead_code, reason = "other tests use the other functions")]
mod channel_tools;

use channel_tools::{counter, reaches};
use lab::daemon::Robot;
use lab::{Host, Lab, LineClient, Process, Result, or_skip, wait_until};
use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;
use telemetry::metrics;

const SECRETS: [&str; 3] = ["the answer is 42", "a word over a link", "said before"];
/// Offset of a datagram's payload in its frame, in bytes: the headers of Ethernet, IPv4 and UDP without options.
const HEADERS: usize = 14 + 20 + 8;
/// Lower bound, in bytes, of the stream of a keyed link; even a link without records is longer.
const LEAST_OF_A_STREAM: usize = 60;

fn swarm_file(lab: &Lab, name: &str, key: u8, bootstrap: &str) -> PathBuf {
    let root = dcache::Keypair::from_seed([7; 32]).peer_id();
    let file = dcache::SwarmFile::new(name, [root].into()).unwrap();
    let text = file.with_key(seal::SwarmKey::from_bytes([key; 32])).to_toml();
    let path = lab.folder().join(format!("{name}.toml"));
    fs::write(&path, format!("bootstrap = [{bootstrap}]\n{text}")).unwrap();
    path
}

fn keyed(host: Host, file: &Path) -> Result<Robot> {
    Robot::start_on(host, &format!("swarm_file = {file:?}"))
}

/// Captures all frames on a host's interface `eth0` from now on.
fn capture(host: &Host, into: &Path) -> Result<Process> {
    let mut command = host.command("tcpdump");
    command.args(["-i", "eth0", "-U", "-s", "0", "-Z", "root", "-w"]).arg(into);
    let tcpdump = host.spawn("tcpdump", command)?;
    tcpdump.wait_for_line(|line| line.contains("listening on"), Duration::from_secs(20))?;
    Ok(tcpdump)
}

/// Returns the frames of a capture in the format of libpcap.
fn frames(capture: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut frames) = (capture.get(24..).unwrap_or_default(), Vec::new());
    while let Some(length) = rest.get(8..12) {
        let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
        let Some(frame) = rest.get(16..16 + length) else { break };
        frames.push(frame);
        rest = &rest[16 + length..];
    }
    frames
}

/// Returns the payloads of all datagrams to port 1240 over IPv4.
fn datagrams<'a>(frames: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let is_ours = |frame: &&&[u8]| {
        frame.len() > HEADERS
            && frame[12..14] == [8, 0]
            && frame[23] == 17
            && frame[36..38] == 1240u16.to_be_bytes()
    };
    frames.iter().filter(is_ours).map(|frame| &frame[HEADERS..]).collect()
}

/// Returns the bytes sent over TCP to port 8000 over IPv4, one segment after the other.
fn to_links(frames: &[&[u8]]) -> Vec<u8> {
    let is_ours = |frame: &&&[u8]| {
        frame.len() > 54
            && frame[12..14] == [8, 0]
            && frame[23] == 6
            && frame[36..38] == 8000u16.to_be_bytes()
    };
    let payload = |frame: &&[u8]| {
        let (begin, end) = (
            34 + usize::from(frame[46] >> 4) * 4,
            14 + usize::from(u16::from_be_bytes([frame[16], frame[17]])),
        );
        frame.get(begin..end).unwrap_or_default().to_vec()
    };
    frames.iter().filter(is_ours).flat_map(payload).collect()
}

/// Sends all captured bytes to a robot again. Each datagram is sent unchanged and with one bit flipped.
fn replay(from: &Host, to: Ipv4Addr, datagrams: &[&[u8]], stream: &[u8]) -> Result {
    from.within(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for (place, datagram) in datagrams.iter().enumerate() {
            let mut flipped = datagram.to_vec();
            let at = place % flipped.len();
            flipped[at] ^= 1 << (place % 8);
            for bytes in [*datagram, &flipped] {
                // The queue of the kernel may be full; that is not an error.
                let _ = socket.send_to(bytes, (to, 1240));
            }
        }
    })?;
    if let Ok(mut link) = LineClient::connect(from, to) {
        // The robot closes the link as soon as it recognises an old stream.
        let _ = link.send_bytes(stream);
    }
    Ok(())
}

fn notes(robot: &Robot) -> Result<String> {
    robot.cli_text(&["summary", "share/notes", "--json"])
}

#[test]
fn a_host_without_the_key_learns_nothing_and_changes_nothing() -> Result {
    let Some(lab) = or_skip("keyed", Lab::new("keyed")) else { return Ok(()) };
    let [a, b, plain, other] = ["a", "b", "plain", "other"].map(|name| lab.host(name).unwrap());
    let pcap = lab.folder().join("capture.pcap");
    let tcpdump = capture(&b, &pcap)?;
    let link = format!("'/ip4/{}/tcp/8000/dswarm-line'", b.address());
    let class = swarm_file(&lab, "class", 1, &link);
    let (a, b) = (keyed(a, &class)?, keyed(b, &class)?);
    let other = keyed(other, &swarm_file(&lab, "other", 2, ""))?;
    let plain = Robot::start_on(plain, "")?;
    reaches(&a, &b, SECRETS[0])?;
    reaches(&b, &a, SECRETS[1])?;
    channel_tools::wait_for_channel(&b, "tcp from ")?;
    // The robot without a key and the robot with another key have only neighbours outside their swarm. The robots of
    // the class must not receive their records.
    for robot in [&plain, &other] {
        robot.cli_text(&["propose", "share/notes", &format!("from {}", robot.host().name()), "--anyway"])?;
    }
    reaches(&a, &b, SECRETS[2])?;
    for (robot, foreign) in [(&a, "from "), (&b, "from "), (&plain, "answer"), (&other, "answer")] {
        assert!(!notes(robot)?.contains(foreign), "{}: {}", robot.host().name(), notes(robot)?);
    }
    // The capture receives the frames with a delay. The robot without a key starts last and publishes its instance by
    // multicast DNS, so by then the others would have published theirs.
    let has = |frames: &[&[u8]], word: &[u8]| {
        frames.iter().any(|frame| frame.windows(word.len()).any(|at| at == word))
    };
    let instance = format!("peer={}", plain.peer_id()?);
    wait_until(Duration::from_secs(20), "the link's beginning and the instance in the capture", || {
        let so_far = fs::read(&pcap).unwrap();
        let so_far = frames(&so_far);
        (to_links(&so_far).len() > LEAST_OF_A_STREAM && has(&so_far, instance.as_bytes())).then_some(())
    })?;
    drop(tcpdump);
    let capture = fs::read(&pcap).unwrap();
    let all = frames(&capture);
    // The robot without a key sends readable lines, as it should, so these lines are left out.
    let plainly = plain.host().address().octets();
    let from_plain = |frame: &&[u8]| frame.get(26..30) == Some(&plainly);
    // That robot also uses IPv6, so its frames are recognised by the address of its interface: the second address of an
    // Ethernet frame.
    let interfaces: BTreeSet<&[u8]> =
        all.iter().copied().filter(from_plain).filter_map(|frame| frame.get(6..12)).collect();
    let is_plain = |frame: &&[u8]| {
        frame.get(6..12).is_some_and(|source| interfaces.contains(source))
            || frame.get(30..34) == Some(&plainly)
    };
    let sealed: Vec<&[u8]> = all.iter().copied().filter(|frame| !is_plain(frame)).collect();
    let words = SECRETS.iter().chain(&["propose", "share/notes", "mtype", "12D3Koo", "/brain"]);
    let told: Vec<_> = words.filter(|word| has(&sealed, word.as_bytes())).collect();
    let (said, streams) = (datagrams(&sealed), to_links(&sealed));
    println!(
        "{} frames, {} datagrams, {} bytes to links; told: {told:?}",
        all.len(),
        said.len(),
        streams.len()
    );
    assert!(told.is_empty() && said.len() > 10 && streams.len() > LEAST_OF_A_STREAM);
    // Replays to the robot that received everything, and to the same robot after a restart, when it has forgotten the
    // numbers that it saw.
    let mut b = b;
    for restarted in [false, true] {
        if restarted {
            b.restart()?;
            reaches(&a, &b, "after the restart")?;
        }
        let (before, taken) = (notes(&b)?, counter(&b, &metrics::BRAIN_RECORDS_TAKEN)?);
        replay(plain.host(), b.host().address(), &said, &streams)?;
        reaches(&a, &b, if restarted { "at last" } else { "in spite of it" })?;
        println!("records taken before {taken}, after {}", counter(&b, &metrics::BRAIN_RECORDS_TAKEN)?);
        let after = notes(&b)?;
        assert!(after.len() > before.len() && !after.contains("from "));
    }
    // A request without the key is refused with a message that names the key.
    let mut command = plain.cli_command_to(&b.host().address().to_string(), &["summary"]);
    command.env("HOME", plain.home());
    let refusal = plain.host().run(command, Duration::from_secs(30))?;
    println!("{}", refusal.stderr.trim());
    assert!(!refusal.status.success() && refusal.stderr.contains("key"));
    assert!(b.running()?.is_running()?);
    Ok(())
}
