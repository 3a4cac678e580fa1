//! Measurements during an attack.

use std::collections::BTreeSet;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::attacker::{ping, read_until};
use crate::line::LINE_PORT;
use crate::{Error, Fleet, Host, Result, usage};

/// Time limit of a ping; a ping without an answer in this time is lost.
pub(super) const PING_LIMIT: Duration = Duration::from_secs(10);
/// Time between two pings of a robot.
pub(super) const PING_EVERY: Duration = Duration::from_millis(500);
/// Time between two readings of the robots' memory and logs.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Size in bytes of the honest file.
const FILE_BYTES: usize = 100_000;
/// Name of the honest file.
const FILE: &str = "honest.bag";

/// An answered ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pong {
    /// Time from the ping to its answer.
    pub(super) after: Duration,
    /// Time from the start of the attack to the ping.
    pub(super) at: Duration,
}

/// Results of the pings of one robot.
#[derive(Debug, Default)]
pub(super) struct Pings {
    pub(super) answered: Vec<Pong>,
    pub(super) lost: usize,
    /// Time of the slowest answer of an idle program on the same host, which was pinged in the same way. It shows how
    /// long this machine keeps any program waiting.
    pub(super) control: Duration,
}

/// Pings a robot over its own loopback, like a local program: it opens a link, sends a ping and reads the pong. Robots
/// have different offsets, because the pings would otherwise delay each other.
pub(super) fn ping_until(host: &Host, offset: Duration, begun: Instant, stop: &AtomicBool) -> Result<Pings> {
    host.within(|| {
        let mut pings = Pings::default();
        let Ok(control) = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)) else { return pings };
        let Ok(control_at) = control.local_addr() else { return pings };
        thread::scope(|scope| {
            scope.spawn(|| answer_until(&control, stop));
            thread::sleep(offset);
            while !stop.load(Ordering::Relaxed) {
                let sent = Instant::now();
                match ping_once((Ipv4Addr::LOCALHOST, LINE_PORT).into()) {
                    Ok(()) => {
                        pings.answered.push(Pong { after: sent.elapsed(), at: sent.duration_since(begun) });
                    }
                    // A ping that is refused at once counts like one that is not answered.
                    Err(_) => pings.lost += 1,
                }
                thread::sleep((PING_EVERY / 2).saturating_sub(sent.elapsed()));
                let sent_control = Instant::now();
                if !stop.load(Ordering::Relaxed) && ping_once(control_at).is_ok() {
                    pings.control = pings.control.max(sent_control.elapsed());
                }
                thread::sleep(PING_EVERY.saturating_sub(sent.elapsed()));
            }
            // Ends the thread that answers.
            let _ = TcpStream::connect(control_at);
        });
        pings
    })
}

/// Answers each connection like a robot, without any other work.
fn answer_until(listener: &TcpListener, stop: &AtomicBool) {
    while let Ok((mut stream, _)) = listener.accept() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let _ = stream.set_read_timeout(Some(PING_LIMIT));
        if read_until(&mut stream, "\n").is_ok() {
            let _ = std::io::Write::write_all(&mut stream, b"pong\n");
        }
    }
}

fn ping_once(at: SocketAddr) -> std::io::Result<()> {
    let begun = Instant::now();
    let mut link = TcpStream::connect_timeout(&at, PING_LIMIT)?;
    std::io::Write::write_all(&mut link, &ping())?;
    let left = PING_LIMIT.saturating_sub(begun.elapsed()).max(Duration::from_millis(1));
    link.set_read_timeout(Some(left))?;
    read_until(&mut link, "pong")
}

/// Times until the honest record and file reached all robots; `Err` holds the reason if they did not.
#[derive(Debug)]
pub(super) struct Honest {
    pub(super) record: std::result::Result<Duration, String>,
    pub(super) file: std::result::Result<Duration, String>,
}

/// Publishes an honest record at one robot and shares a file at another, and waits until all robots have both.
pub(super) fn honest(fleet: &Fleet, at: Instant, patience: Duration) -> Honest {
    thread::sleep(at.saturating_duration_since(Instant::now()));
    let record = thread::scope(|scope| {
        let file = scope.spawn(|| file(fleet, patience));
        let record = record(fleet, patience).unwrap_or_else(|error| Err(error.to_string()));
        (record, joined(file).unwrap_or_else(|error| Err(error.to_string())))
    });
    Honest { record: record.0, file: record.1 }
}

type Found = std::result::Result<Duration, String>;

fn record(fleet: &Fleet, patience: Duration) -> Result<Found> {
    let (told, what) = fleet.robots()[1].say("honest")?;
    let all = fleet.sightings().wait_for(std::slice::from_ref(&what), told + patience);
    Ok(match all {
        Some(last) => Ok(last.saturating_duration_since(told)),
        None => Err(format!("{} lack it after {} s", fleet.sightings().lacking(&what), patience.as_secs())),
    })
}

/// Shares the file and waits until as many robots as should keep it have it. The robots' logs show the files that they
/// fetched and keep.
fn file(fleet: &Fleet, patience: Duration) -> Result<Found> {
    let sharing = fleet.robots().len() - 1;
    let content: Vec<u8> = (0..FILE_BYTES).map(|place| (place * 7 % 251) as u8).collect();
    let mut logs =
        fleet.robots().iter().map(|robot| Log::at_end(robot.host())).collect::<Result<Vec<Log>>>()?;
    // The uploader's copy counts.
    let copies = logs::USUAL_COPIES - 1;
    let begun = Instant::now();
    fleet.robots()[sharing].share(FILE, &content)?;
    while begun.elapsed() < patience {
        logs.iter_mut().try_for_each(Log::read)?;
        let (others, sharer) = logs.split_at(sharing);
        let cid = sharer.iter().find_map(|log| log.taken.as_ref());
        let has_copies = |cid| others.iter().filter(|log| log.kept.contains(cid)).count() >= copies;
        if cid.is_some_and(has_copies) {
            return Ok(Ok(begun.elapsed()));
        }
        thread::sleep(LOOK_EVERY);
    }
    let cid = logs.iter().find_map(|log| log.taken.clone());
    let keeps = |log: &&Log| cid.as_ref().is_some_and(|cid| log.kept.contains(cid));
    let kept = logs[..sharing].iter().filter(keeps).count();
    let shared = if cid.is_some() { "" } else { ", and it was not even shared" };
    Ok(Err(format!("{kept} of {copies} others keep it after {} s{shared}", patience.as_secs())))
}

/// The log of a daemon, read while it grows.
struct Log {
    path: PathBuf,
    offset: u64,
    partial: String,
    /// The CID of the honest file, known at the robot that shares it.
    taken: Option<String>,
    /// CIDs of the files that the robot fetched and checked.
    kept: BTreeSet<String>,
}

impl Log {
    fn at_end(host: &Host) -> Result<Self> {
        let path = host.folder().join("dt-swarm.log");
        let offset = path.metadata().map_err(Error::io(format!("the log {}", path.display())))?.len();
        Ok(Self { path, offset, partial: String::new(), taken: None, kept: BTreeSet::new() })
    }

    fn read(&mut self) -> Result {
        let failed = |source| Error::Io { what: format!("reading {}", self.path.display()), source };
        let mut file = std::fs::File::open(&self.path).map_err(failed)?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.offset)).and_then(|_| file.read_to_end(&mut bytes)).map_err(failed)?;
        self.offset += bytes.len() as u64;
        self.partial.push_str(&String::from_utf8_lossy(&bytes));
        while let Some(end) = self.partial.find('\n') {
            let line: String = self.partial.drain(..=end).collect();
            self.note(&line);
        }
        Ok(())
    }

    fn note(&mut self, line: &str) {
        if line.contains("was taken into the swarm") && line.contains(FILE) {
            self.taken = cid_in(line);
        } else if line.contains("was checked and is kept") {
            self.kept.extend(cid_in(line));
        }
    }
}

fn cid_in(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("cid=")?;
    Some(rest.split_whitespace().next()?.to_owned())
}

/// Resource usage of a robot so far.
#[derive(Debug, Clone, Copy)]
struct Used {
    resident: u64,
    cpu: Duration,
    written: u64,
}

/// The robots' processes, with their usage when the attack began.
pub(super) struct Watch(Vec<(u32, Used)>);

/// Resource usage of the robots during an attack: the mean, and the maximum of one robot.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// Share of one processor.
    pub(super) cpu: (f64, f64),
    /// Bytes written to the disk.
    pub(super) written: (f64, f64),
}

impl Watch {
    pub(super) fn begin(fleet: &mut Fleet) -> Result<Self> {
        let used = |robot: &mut crate::daemon::Robot| {
            let pid = robot.running()?.pid();
            Ok((pid, Used::of(pid)?))
        };
        fleet.robots_mut().iter_mut().map(used).collect::<Result<_>>().map(Self)
    }

    /// Observes the memory until the given time, and returns the maximum growth of one robot. An error means that a
    /// robot died.
    pub(super) fn follow(&self, until: Instant) -> Result<u64> {
        let mut most = 0;
        loop {
            for (pid, before) in &self.0 {
                most = most.max(usage::resident_bytes(*pid)?.saturating_sub(before.resident));
            }
            if Instant::now() >= until {
                return Ok(most);
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    pub(super) fn end(&self, begun: Instant) -> Result<Usage> {
        let seconds = begun.elapsed().as_secs_f64().max(0.001);
        let (mut cpu, mut written) = (Vec::new(), Vec::new());
        for (pid, before) in &self.0 {
            let now = Used::of(*pid)?;
            cpu.push(now.cpu.saturating_sub(before.cpu).as_secs_f64() / seconds);
            written.push(now.written.saturating_sub(before.written) as f64);
        }
        Ok(Usage { cpu: mean_and_most(&cpu), written: mean_and_most(&written) })
    }
}

fn mean_and_most(figures: &[f64]) -> (f64, f64) {
    let most = figures.iter().copied().fold(0.0, f64::max);
    (figures.iter().sum::<f64>() / figures.len().max(1) as f64, most)
}

impl Used {
    fn of(pid: u32) -> Result<Self> {
        let written = usage::written_bytes(&pid.to_string())?;
        Ok(Self { resident: usage::resident_bytes(pid)?, cpu: usage::cpu_time(pid)?, written })
    }
}

/// Returns the result of a thread, or continues its panic.
pub(super) fn joined<T>(handle: thread::ScopedJoinHandle<'_, T>) -> T {
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
