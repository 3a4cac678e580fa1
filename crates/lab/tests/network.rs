//! Guarantees of the lab: hosts hear each other, conditions take effect, and failures show their cause.

use std::process::Command;
use std::time::{Duration, Instant};

use lab::{Error, Host, Lab, Process, Result, or_skip, wait_until};

const SOON: Duration = Duration::from_secs(20);

/// Script that prints each datagram to port 7000.
const LISTENER: &str = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', 7000))
print('listening', flush=True)
while True:
    data, (address, port) = s.recvfrom(65536)
    print('got', data[:40].decode(), 'from', address, flush=True)
";

/// Script that sends COUNT datagrams `WORD NUMBER` to an address, which may be a broadcast address.
const SENDER: &str = "
import socket, sys
address, word, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
for number in range(count):
    s.sendto(f'{word} {number}'.encode(), (address, 7000))
";

/// Script that accepts one TCP connection and prints the number of bytes received on it.
const SINK: &str = "
import socket
s = socket.socket()
s.bind(('', 7001))
s.listen()
print('listening', flush=True)
c, _ = s.accept()
total = 0
while data := c.recv(65536):
    total += len(data)
print('total', total, flush=True)
";

/// Script that sends BYTES bytes over a TCP connection.
const SOURCE: &str = "
import socket, sys
s = socket.create_connection((sys.argv[1], 7001))
s.sendall(bytes(int(sys.argv[2])))
";

fn python(host: &Host, script: &str, words: &[&str]) -> Command {
    let mut command = host.command("python3");
    command.args(["-c", script]).args(words);
    command
}

fn listen(host: &Host, script: &str) -> Result<Process> {
    let process = host.spawn("listener", python(host, script, &[]))?;
    process.wait_for_line(|line| line == "listening", SOON)?;
    Ok(process)
}

fn send(host: &Host, to: &str, word: &str, count: u32) -> Result {
    let command = python(host, SENDER, &[to, word, &count.to_string()]);
    host.run(command, SOON)?.success("the sender").map(drop)
}

/// Returns the number of lines that begin with `got WORD`.
fn heard(listener: &Process, word: &str) -> usize {
    let start = format!("got {word} ");
    listener.lines().iter().filter(|line| line.starts_with(&start)).count()
}

/// Sends single datagrams until one arrives.
fn reaches(from: &Host, to: &Host, listener: &Process, word: &str) -> Result {
    let what = format!("a datagram from {} to {}", from.name(), to.name());
    wait_until(SOON, &what, || {
        // While the cable is disconnected there is no route, and sending fails.
        let _ = send(from, &to.address().to_string(), word, 1);
        (heard(listener, word) > 0).then_some(())
    })
}

#[test]
fn a_broadcast_reaches_every_other_host_and_names_its_sender() -> Result {
    let Some(lab) = or_skip("broadcast", Lab::new("broadcast")) else {
        return Ok(());
    };
    let hosts = ["a", "b", "c", "d"].map(|name| lab.host(name)).into_iter().collect::<Result<Vec<_>>>()?;
    let listeners = hosts.iter().map(|host| listen(host, LISTENER)).collect::<Result<Vec<_>>>()?;
    send(&hosts[0], "10.77.0.255", "hello", 1)?;
    for listener in &listeners[1..] {
        let line = listener.wait_for_line(|line| line.starts_with("got hello"), SOON)?;
        assert_eq!(line, format!("got hello 0 from {}", hosts[0].address()));
    }
    Ok(())
}

#[test]
fn networks_are_apart_and_a_host_may_have_a_link_to_each() -> Result {
    let Some(lab) = or_skip("two networks", Lab::new("two")) else {
        return Ok(());
    };
    let other = lab.network("lan2")?;
    let (a, mut b, mut c) = (lab.host("a")?, lab.host("b")?, lab.lone_host("c")?);
    b.attach(&other)?;
    let link = c.attach(&other)?;
    assert_eq!(link.address().to_string(), "10.77.1.2");
    let (at_b, at_c) = (listen(&b, LISTENER)?, listen(&c, LISTENER)?);
    send(&a, "10.77.0.255", "first", 1)?;
    send(&b, "10.77.1.255", "second", 1)?;
    at_b.wait_for_line(|line| line.starts_with("got first"), SOON)?;
    at_c.wait_for_line(|line| line.starts_with("got second"), SOON)?;
    assert_eq!(heard(&at_c, "first"), 0);
    Ok(())
}

#[test]
fn a_rate_limit_limits_and_the_counters_see_it() -> Result {
    const BYTES: u32 = 5_000_000;
    let Some(lab) = or_skip("rate limit", Lab::new("rate")) else {
        return Ok(());
    };
    let (a, b) = (lab.host("a")?, lab.host("b")?);
    // 5 MB at 20 Mbit/s take 2 s on any machine.
    a.limit_rate(20_000_000)?;
    let sink = listen(&b, SINK)?;
    let start = Instant::now();
    let source = python(&a, SOURCE, &[&b.address().to_string(), &BYTES.to_string()]);
    a.run(source, SOON)?.success("the source")?;
    sink.wait_for_line(|line| line == format!("total {BYTES}"), SOON)?;
    let limited = start.elapsed();
    println!("{BYTES} bytes at 20 Mbit/s: {limited:?}");
    assert!(limited > Duration::from_millis(1_800), "{limited:?}");
    let (sent, received) = (a.traffic()?.sent, b.traffic()?.received);
    for bytes in [sent, received] {
        assert!(
            (u64::from(BYTES)..u64::from(BYTES) * 5 / 4).contains(&bytes),
            "{sent} sent, {received} received"
        );
    }
    a.unlimit_rate()?;
    drop(sink);
    let sink = listen(&b, SINK)?;
    let start = Instant::now();
    let source = python(&a, SOURCE, &[&b.address().to_string(), &BYTES.to_string()]);
    a.run(source, SOON)?.success("the source")?;
    sink.wait_for_line(|line| line == format!("total {BYTES}"), SOON)?;
    let free = start.elapsed();
    println!("{BYTES} bytes without limit: {free:?}");
    assert!(free < limited, "{free:?} without, {limited:?} with the limit");
    Ok(())
}

/// Sends ten batches of a hundred datagrams and returns the number received. A batch fits into the listener's buffer on
/// any machine. Before the next batch the listener must have received a later word, so it drops no datagram itself.
fn send_a_thousand(from: &Host, to: &Host, listener: &Process, word: &str) -> Result<usize> {
    for batch in 0..10 {
        send(from, &to.address().to_string(), word, 100)?;
        // Datagrams keep their order here.
        reaches(from, to, listener, &format!("{word}-{batch}"))?;
    }
    Ok(heard(listener, word))
}

#[test]
fn a_loss_drops_its_share_of_packets_and_can_be_removed() -> Result {
    let Some(lab) = or_skip("loss", Lab::new("loss")) else {
        return Ok(());
    };
    let (a, b) = (lab.host("a")?, lab.host("b")?);
    let at_b = listen(&b, LISTENER)?;
    // Addresses are resolved first, so that only the datagrams are counted.
    reaches(&a, &b, &at_b, "before")?;
    b.set_loss(0.3)?;
    let lossy = send_a_thousand(&a, &b, &at_b, "lossy")?;
    println!("{lossy} of 1000 came through a loss of 30 %");
    // The standard deviation is 14.5; the accepted range is more than six of them to each side.
    assert!((600..800).contains(&lossy), "{lossy} of 1000");
    b.set_loss(0.0)?;
    assert_eq!(send_a_thousand(&a, &b, &at_b, "clean")?, 1000);
    Ok(())
}

#[test]
fn a_pulled_cable_cuts_a_host_off_until_it_is_back() -> Result {
    let Some(lab) = or_skip("disconnect", Lab::new("cut")) else {
        return Ok(());
    };
    let (a, b, c) = (lab.host("a")?, lab.host("b")?, lab.host("c")?);
    let (at_b, at_c) = (listen(&b, LISTENER)?, listen(&c, LISTENER)?);
    reaches(&a, &b, &at_b, "before")?;
    b.disconnect()?;
    send(&a, "10.77.0.255", "during", 20)?;
    wait_until(SOON, "all broadcasts at c", || (heard(&at_c, "during") == 20).then_some(()))?;
    b.reconnect()?;
    reaches(&a, &b, &at_b, "after")?;
    assert_eq!(heard(&at_b, "during"), 0);
    Ok(())
}

#[test]
fn a_process_is_the_program_itself() -> Result {
    let Some(lab) = or_skip("process", Lab::new("process")) else {
        return Ok(());
    };
    let a = lab.host("a")?;
    let script = "
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
held = bytearray(50_000_000)
print('up', flush=True)
while True:
    pass
";
    let mut process = a.spawn("busy", python(&a, script, &[]))?;
    process.wait_for_line(|line| line == "up", SOON)?;
    assert!(process.resident_bytes()? > 50_000_000);
    let start = process.cpu_time()?;
    wait_until(SOON, "processor time", || (process.cpu_time().ok()? > start).then_some(()))?;
    assert_eq!(process.terminate(SOON)?.code(), Some(7));
    assert!(!process.is_running()?);
    assert!(process.resident_bytes().is_err());
    Ok(())
}

#[test]
fn the_errors_of_an_early_end_and_a_missed_deadline_show_the_last_output() -> Result {
    let Some(lab) = or_skip("messages", Lab::new("messages")) else {
        return Ok(());
    };
    let a = lab.host("a")?;
    let ended = a.spawn("ended", python(&a, "print('broken config')", &[]))?;
    let error = ended.wait_for_line(|line| line == "ready", SOON);
    assert!(matches!(&error, Err(Error::Ended { seen, .. }) if seen == "broken config"), "{error:?}");
    let mut stubborn = a.spawn(
        "stubborn",
        python(
            &a,
            "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)",
            &[],
        ),
    )?;
    stubborn.wait_for_line(|line| line == "up", SOON)?;
    let error = stubborn.terminate(Duration::from_millis(200));
    assert!(matches!(&error, Err(Error::Deadline { seen, .. }) if seen == "up"), "{error:?}");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&stubborn.kill()?), Some(9));
    let error = a.run(python(&a, "import time; time.sleep(60)", &[]), Duration::from_millis(200));
    assert!(matches!(error, Err(Error::Deadline { .. })), "{error:?}");
    Ok(())
}
