//! Attacks by a large number of messages.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use dcache::{Fingerprint, PeerId, Record, Validity};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use routing::{Address, Beacon, Envelope, Message};

use super::attacker::{Attacker, Key, read_until, said_by_crowd};
use super::means::Running;
use crate::clock::now;
use crate::line::{LINE_PORT, line};
use crate::{Error, Result};

/// Maximum time to wait for the answer to a request.
const ANSWERED: Duration = Duration::from_secs(30);
/// Rate of the broadcasts in bits per second.
const BROADCAST_RATE: u64 = 10_000_000;
/// Time between two bursts when sending at a fixed rate.
const TICK: Duration = Duration::from_millis(10);

/// Requests with glob patterns that match nothing, but that take many steps to evaluate.
pub(super) struct Globs {
    request: Vec<u8>,
}

impl Globs {
    /// Returns the records that the robots hold before the attack.
    pub(super) fn records() -> Result<Vec<Record>> {
        said_by_crowd(
            2,
            (0..1000).map(|number| (format!("share/{}{number:04}", "a".repeat(50)), "x".to_owned())),
        )
    }

    pub(super) fn new() -> Self {
        let globs: Vec<String> = (0..16).map(|number| format!("{}*b{number}", "*a".repeat(20))).collect();
        let globs: Vec<&str> = globs.iter().map(String::as_str).collect();
        let request = Message::req(&globs, Validity::ALWAYS);
        Self { request: line(&Envelope::new(Address::command_line(), Address::every_brain(), request)) }
    }

    /// Sends requests over a link, each as soon as the one before is answered. Returns the number of answers.
    fn ask(&self, attacker: &Attacker, host: usize) -> usize {
        let mut answers = 0;
        while attacker.goes_on() {
            let Ok(mut link) = attacker.connect(host, LINE_PORT) else {
                attacker.pause(Duration::from_millis(200));
                continue;
            };
            let is_set = link.set_read_timeout(Some(ANSWERED)).is_ok();
            while is_set && attacker.goes_on() && link.write_all(&self.request).is_ok() {
                if read_until(&mut link, "pong").is_err() {
                    break;
                }
                answers += 1;
            }
        }
        answers
    }

    fn broadcast(&self, attacker: &Attacker) -> Result<usize> {
        let socket = attacker.socket(1, 0)?;
        let pause = Duration::from_secs_f64(self.request.len() as f64 * 8.0 / BROADCAST_RATE as f64);
        let (mut sent, begun) = (0_u32, Instant::now());
        while attacker.goes_on() {
            let due = begun.elapsed().as_secs_f64() / pause.as_secs_f64();
            while f64::from(sent) < due {
                // The queue of this host may be full; that is not an error.
                let _ = socket.send_to(&self.request, attacker.everybody());
                sent += 1;
            }
            std::thread::sleep(TICK);
        }
        Ok(sent as usize)
    }
}

impl Running for Globs {
    fn run(&mut self, attacker: &Attacker) -> Result<String> {
        let globs = &*self;
        let (answers, sent) = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..2).map(|host| scope.spawn(move || globs.ask(attacker, host))).collect();
            let sent = globs.broadcast(attacker);
            (asking.into_iter().map(|asking| asking.join().unwrap_or_default()).sum::<usize>(), sent)
        });
        Ok(format!("{answers} requests answered, {} broadcast", sent?))
    }
}

/// Beacons sent on links.
pub(super) struct Beacons;

impl Beacons {
    /// Returns the records that the robots hold before the attack.
    pub(super) fn records() -> Result<Vec<Record>> {
        said_by_crowd(3, (0..12_000).map(|number| ("share/lab".to_owned(), format!("beacon-{number}"))))
    }
}

/// Returns a beacon from this address that matches no robot's set.
pub(super) fn strange_beacon(from: Address, random: &mut ChaCha8Rng) -> Vec<u8> {
    let fingerprint = Fingerprint { count: random.random_range(0..20_000), sum: random.random() };
    // A bound that no robot has used makes the robot iterate over its whole set.
    let beacon = Beacon { bound: now().plus(random.random_range(10..600_000)), fingerprint };
    let envelope = Envelope::new(from, Address::every_brain(), Message::pong(Validity::ALWAYS));
    line(&Envelope { beacon: Some(beacon), ..envelope })
}

fn brain(peer: PeerId) -> Address {
    Address::brain(peer)
}

impl Running for Beacons {
    fn run(&mut self, attacker: &Attacker) -> Result<String> {
        let flood = |number: u8| {
            let (key, mut random) = (Key::new(34 + number), ChaCha8Rng::seed_from_u64(number.into()));
            let (mut sent, mut link): (usize, Option<TcpStream>) = (0, None);
            while attacker.goes_on() {
                let beacon = strange_beacon(brain(key.peer()), &mut random);
                match link.as_mut().map(|link| link.write_all(&beacon)) {
                    Some(Ok(())) => sent += 1,
                    _ => link = attacker.link(number.into()).ok(),
                }
            }
            sent
        };
        let flood = &flood;
        let sent: usize = std::thread::scope(|scope| {
            let floods: Vec<_> = (0..4).map(|number| scope.spawn(move || flood(number))).collect();
            floods.into_iter().map(|flood| flood.join().unwrap_or_default()).sum()
        });
        Ok(format!("{sent} beacons"))
    }
}

/// The same items, renewed repeatedly.
pub(super) struct Renewals {
    key: Key,
}

impl Renewals {
    /// Number of items; `RATE` is the number of renewals per second.
    const ITEMS: u32 = 200;
    const RATE: u32 = 1000;

    pub(super) fn new() -> Self {
        Self { key: Key::new(4) }
    }
}

impl Running for Renewals {
    fn run(&mut self, attacker: &Attacker) -> Result<String> {
        let (mut link, mut sent, begun) = (attacker.link(0).ok(), 0, Instant::now());
        while attacker.goes_on() {
            let due = (begun.elapsed().as_secs_f64() * f64::from(Self::RATE)) as u32;
            while sent < due && attacker.goes_on() {
                let line = self.key.says("share/lab", &format!("renewed-{}", sent % Self::ITEMS))?;
                if link.as_mut().is_none_or(|link| link.write_all(&line).is_err()) {
                    link = attacker.link(0).ok();
                }
                sent += 1;
            }
            std::thread::sleep(TICK);
        }
        Ok(format!("{sent} renewals"))
    }
}

/// Records that are not accepted under any role.
pub(super) struct Orphans {
    lines: Vec<Vec<u8>>,
}

impl Orphans {
    /// Size in bytes of the data of each record.
    const BYTES: usize = 900;

    pub(super) fn new() -> Result<Self> {
        let mut lines = Vec::new();
        for number in 50..55 {
            let mut key = Key::new(number);
            for item in 0..4000 {
                let bucket = ["nobody/knows", "uploads/x", "networks"][item % 3];
                lines.push(key.says(bucket, &format!("{item:0>width$}", width = Self::BYTES))?);
            }
        }
        Ok(Self { lines })
    }
}

impl Running for Orphans {
    fn run(&mut self, attacker: &Attacker) -> Result<String> {
        let (all, sent) = (self.lines.len(), attacker.pour(std::mem::take(&mut self.lines)));
        if sent == 0 && attacker.goes_on() {
            return Err(Error::answer("pouring records", "no link accepted a record"));
        }
        Ok(format!("{sent} of {all} records"))
    }
}
