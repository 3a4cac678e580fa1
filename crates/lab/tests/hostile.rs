//! Attackers on the network: one publishes false records, and one sends as many invalid messages as possible.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dcache::{PeerId, Validity};
use lab::daemon::Robot;
use lab::{Answer, Error, Host, Lab, LineClient, Result, TestSigner, ask, or_skip, programs, wait_until};
use routing::{Address, Envelope};
use telemetry::{Metric, metrics};

const SOON: Duration = Duration::from_secs(60);
const UDP_PORT: u16 = 1240;
/// Limits of the daemon: the number of links with one host, and the time after which a silent link is closed.
const LINKS_PER_HOST: usize = 16;
const SILENCE: Duration = Duration::from_secs(60);

/// The attacker, with a valid key of its own.
struct Attacker {
    host: Host,
    signer: TestSigner,
    udp: UdpSocket,
    target: Ipv4Addr,
}

fn io<T>(what: &str, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|source| Error::Io { what: what.to_owned(), source })
}

impl Attacker {
    fn new(host: Host, target: Ipv4Addr) -> Result<Self> {
        let udp = io("a UDP socket", host.within(|| UdpSocket::bind("0.0.0.0:0"))?)?;
        Ok(Self { host, signer: TestSigner::new([66; 32]), udp, target })
    }

    fn connect(&self) -> Result<LineClient> {
        LineClient::connect(&self.host, self.target)
    }

    fn datagram(&self, line: &[u8]) -> Result {
        io("a datagram", self.udp.send_to(line, (self.target, UDP_PORT))).map(drop)
    }

    /// Returns an envelope with a correct record.
    fn honest(&mut self, bucket: &str, data: &str) -> Result<Envelope> {
        let record = self.signer.propose(bucket, data)?;
        Ok(self.signer.envelope(&record))
    }

    /// Returns three false envelopes: with a byte changed after signing, with the name of another signer, and with a
    /// record in the bucket of another peer.
    fn lies(&mut self, victim: PeerId) -> Result<[Envelope; 3]> {
        let mut changed = self.honest("share/notes", "lie-A")?;
        changed.payload = changed.payload.replace("lie-A", "lie-B");
        let mut stranger = self.honest("share/notes", "lie-C")?;
        stranger.signatures[0].signer = victim;
        let foreign = self.honest(&format!("pri/{victim}/info/hostname"), "lie-D")?;
        Ok([changed, stranger, foreign])
    }

    /// Sends the same lines over UDP and over TCP.
    fn tell(&self, envelopes: &[Envelope]) -> Result {
        let mut link = self.connect()?;
        for envelope in envelopes {
            self.datagram(envelope.encode().as_bytes())?;
            link.send(envelope)?;
        }
        Ok(())
    }
}

fn all(robot: &Robot) -> Result<Answer> {
    ask(robot.host(), robot.host().address())
}

fn wait_until_counted(robot: &Robot, metric: &Metric, at_least: u64) -> Result {
    let counted = || all(robot).ok().filter(|answer| answer.count(metric.name) >= at_least).map(drop);
    wait_until(SOON, &format!("{at_least} of {} on {}", metric.name, robot.host().name()), counted)
}

fn wait_until_held(robots: &[&Robot], data: &str) -> Result {
    let held = |robot: &&Robot| all(robot).is_ok_and(|answer| answer.holds(data));
    wait_until(SOON, &format!("all robots hold {data:?}"), || robots.iter().all(held).then_some(()))
}

fn peer(robot: &Robot) -> Result<PeerId> {
    Ok(robot.peer_id()?.parse().unwrap())
}

#[test]
fn false_records_are_refused_counted_shown_and_not_passed_on() -> Result {
    let Some(lab) = or_skip("lies", Lab::new("lies")) else {
        return Ok(());
    };
    let [a, b, c] = ["a", "b", "c"].map(|name| Robot::start(&lab, name));
    let (a, b, c) = (a?, b?, c?);
    let mut attacker = Attacker::new(lab.host("x")?, a.host().address())?;
    let lies = attacker.lies(peer(&b)?)?;
    attacker.tell(&lies)?;
    // Each false envelope arrived twice, over UDP and over TCP.
    let refused =
        [(&metrics::BRAIN_RECORDS_REFUSED_FORGED, 4), (&metrics::BRAIN_RECORDS_REFUSED_NOT_OWNER, 2)];
    for (metric, number) in refused {
        wait_until_counted(&a, metric, number)?;
    }

    // Valid records that are sent in the same two ways reach all robots, so the false ones would have reached them too.
    for number in 0..2 {
        let truth = attacker.honest("share/notes", &format!("truth-{number}"))?;
        match number {
            0 => attacker.datagram(truth.encode().as_bytes())?,
            _ => attacker.connect()?.send(&truth)?,
        }
        wait_until_held(&[&a, &b, &c], &format!("truth-{number}"))?;
    }
    for robot in [&a, &b, &c] {
        assert!(!all(robot)?.holds("lie-"), "{} holds a false record", robot.host().name());
    }
    for robot in [&b, &c] {
        let summary = robot.cli(&["summary", "--json"])?;
        assert_eq!(summary["refused_by_daemon"], serde_json::json!({}), "a bad record was passed on");
    }
    let counted = a.cli(&["summary", "--json"])?["refused_by_daemon"].clone();
    let shown = a.cli_text(&["summary"])?;
    for (metric, number) in refused {
        assert_eq!(counted[metric.name], number);
        let line = format!("{}: {number}.", metric.help.trim_end_matches('.'));
        assert!(shown.contains(&line), "{line:?} is not shown to people:\n{shown}");
    }
    Ok(())
}

/// Returns whether the other side has closed the link. Bytes that arrive are discarded.
fn is_closed(link: &LineClient) -> bool {
    let (mut link, mut buffer) = (link.stream(), [0; 4096]);
    link.set_nonblocking(true).unwrap();
    loop {
        match link.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// Sends invalid lines. The first line has no end, so the robot closes its link. All others use one link, which stays
/// open.
fn bad_lines(attacker: &Attacker, a: &Robot) -> Result {
    let before = all(a)?.count(metrics::BRAIN_LINES_REFUSED_MALFORMED.name);
    let mut endless = attacker.connect()?;
    // The daemon closes the link long before the end of the line; then writing fails.
    let _ = endless.send_bytes(&vec![b'x'; 1 << 20]);
    wait_until(SOON, "the end of the link with the line of 1 MiB", || is_closed(&endless).then_some(()))?;
    let broken: [&[u8]; 4] =
        [b"{\"from\":", b"[[[[", b"{\"from\":\"/a\",\"to\":\"/b\",\"payload\":\"\xff\xfe\"}", &[0; 99]];
    let mut link = attacker.connect()?;
    for line in broken {
        attacker.datagram(line)?;
        link.send_bytes(&[line, b"\n"].concat())?;
    }
    let number = 1 + 2 * broken.len() as u64;
    wait_until_counted(a, &metrics::BRAIN_LINES_REFUSED_MALFORMED, before + number)?;
    let patience = honest_link_still_works(link)?;
    println!(
        "{number} bad lines were counted; the link still works: a ping on it was answered after {patience:?}"
    );
    Ok(())
}

/// Checks that a few bad lines do not close a link: a ping on the same link is answered.
fn honest_link_still_works(mut link: LineClient) -> Result<Duration> {
    let begun = Instant::now();
    link.send(&ping())?;
    io("setting the read timeout of the link", link.stream().set_read_timeout(Some(SOON)))?;
    let read = io("the pong", link.stream().read(&mut [0; 4096]))?;
    assert!(read > 0, "the link was closed for a few bad lines");
    Ok(begun.elapsed())
}

fn ping() -> Envelope {
    let ping = routing::Message::ping(Validity::ALWAYS);
    Envelope::new(Address::command_line(), Address::every_brain(), ping)
}

/// Sends useless messages at full speed until it is stopped: random bytes, incomplete lines, and requests.
fn flood(attacker: &Attacker, stop: &AtomicBool) -> u64 {
    let ping = ping().encode().into_bytes();
    let noise: Vec<u8> = (0..1400_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let kinds = [noise, ping[..ping.len() / 2].to_vec(), ping, vec![b'['; 1400]];
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        for kind in &kinds {
            // The queue of this host may be full; that is not an error.
            sent += u64::from(attacker.datagram(kind).is_ok());
        }
        // The pause keeps the flood from using a whole core of this machine, because the robots run on it too.
        if sent.is_multiple_of(400) {
            thread::sleep(Duration::from_millis(10));
        }
    }
    sent
}

fn is_safe(robot: &Robot, name: &str, holders: usize) -> bool {
    let report = robot.cli(&["report", "--json"]).unwrap_or_default();
    let files = report["files"].as_array().cloned().unwrap_or_default();
    files.iter().any(|file| {
        let held = file["holders"].as_array().is_some_and(|all| all.len() == holders);
        file["name"] == name && matches!(file["state"].as_str(), Some("kept" | "safe")) && held
    })
}

/// Returns the time from sharing a file on `a` until all three robots keep it.
fn time_to_share(a: &Robot, others: [&Robot; 2], name: &str) -> Result<Duration> {
    let content: Vec<u8> = name.bytes().cycle().take(700_000).collect();
    let begun = Instant::now();
    a.share(name, &content)?;
    let safe = || others.iter().all(|robot| is_safe(robot, name, 3)).then_some(());
    wait_until(SOON, &format!("{name} is safe on all robots"), safe)?;
    Ok(begun.elapsed())
}

/// Pings the robot `of` with the CLI on another host, like a user with a laptop.
fn ping_from(host: &Host, of: &Robot) -> Result<String> {
    let mut command = host.command(programs()?.cli);
    command.arg(of.host().address().to_string()).args(["ping", "--json"]);
    host.run(command, SOON)?.success("dt-swarm-cli from another host")
}

#[test]
fn invalid_lines_idle_links_and_a_flood_cost_little_and_disturb_no_robot() -> Result {
    let Some(lab) = or_skip("nuisances", Lab::new("nuisance")) else {
        return Ok(());
    };
    let [a, b, c] = ["a", "b", "c"].map(|name| Robot::start(&lab, name));
    let (mut a, b, c) = (a?, b?, c?);
    let attacker = Attacker::new(lab.host("x")?, a.host().address())?;
    let quiet = time_to_share(&a, [&b, &c], "before.bag")?;
    let before = a.running()?.resident_bytes()?;
    bad_lines(&attacker, &a)?;

    let links = (0..200).map(|_| attacker.connect()).collect::<Result<Vec<_>>>()?;
    let silent_since = Instant::now();
    let closed = || links.iter().filter(|link| is_closed(link)).count();
    let surplus = links.len() - LINKS_PER_HOST;
    wait_until(SOON, "the end of the links over the limit", || (closed() >= surplus).then_some(()))?;

    let stop = AtomicBool::new(false);
    let (loud, sent, answered) = thread::scope(|scope| {
        let flooding = scope.spawn(|| flood(&attacker, &stop));
        let begun = Instant::now();
        let loud = time_to_share(&a, [&b, &c], "during.bag");
        let answered = ping_from(b.host(), &a);
        thread::sleep(Duration::from_secs(2).saturating_sub(begun.elapsed()));
        stop.store(true, Ordering::Relaxed);
        (loud, flooding.join().unwrap(), answered)
    });
    let (loud, answered) = (loud?, answered?);
    assert!(answered.contains("\"peer\""), "{answered}");
    // The two links that sent bad lines may have taken two of the allowed places until now.
    let open = links.len() - closed();
    assert!((LINKS_PER_HOST - 2..=LINKS_PER_HOST).contains(&open), "{open} links are open");
    println!(
        "a file was kept by all after {:.1} s; during a flood of {sent} datagrams after {:.1} s",
        quiet.as_secs_f64(),
        loud.as_secs_f64()
    );

    let left = SILENCE.saturating_sub(silent_since.elapsed()) + Duration::from_secs(20);
    wait_until(left, "the end of all silent links", || (closed() == links.len()).then_some(()))?;
    println!("the last silent link was closed after {:.1} s", silent_since.elapsed().as_secs_f64());
    assert!(silent_since.elapsed() + Duration::from_secs(5) >= SILENCE, "a silent link was closed too early");

    let process = a.running()?;
    assert!(process.is_running()?, "the daemon has ended");
    let after = process.resident_bytes()?;
    println!("resident memory of the victim: {} kB before, {} kB after", before / 1000, after / 1000);
    assert!(after < before + 40_000_000, "the daemon's memory grew too much");
    let died = process.lines().into_iter().find(|line| line.contains("a task "));
    assert_eq!(died, None, "a task of the daemon ended");
    Ok(())
}
