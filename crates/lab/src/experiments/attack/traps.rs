//! Attacks that make robots wait, or make them send to another host.

use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dcache::Record;
use ipfs::Cid;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use routing::{Address, Envelope};

use super::attacker::{Attacker, Key, said_by_crowd};
use super::floods::strange_beacon;
use super::means::Running;
use crate::daemon::Robot;
use crate::line::{LINE_PORT, line};
use crate::{Error, Host, Lab, Observer, Result, Sightings};

/// TCP port of IPFS connections.
const IPFS_PORT: u16 = 6002;
/// Time between two rounds of a repeated action.
const ROUND: Duration = Duration::from_millis(500);

/// Returns a CID for which no content exists. Each pair of numbers gives another CID.
fn cid(of: u8, number: u16) -> Result<String> {
    let known = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    let strange = |error: &dyn std::fmt::Display| Error::answer("making a CID", error.to_string());
    let mut bytes = known.parse::<Cid>().map_err(|error| strange(&error))?.to_bytes();
    let [.., a, b, c] = bytes.as_mut_slice() else { return Err(Error::answer("making a CID", "no bytes")) };
    (*a, [*b, *c]) = (of, number.to_be_bytes());
    Ok(Cid::try_from(bytes).map_err(|error| strange(&error))?.to_string())
}

/// Many files and many addresses, published by one key.
pub(super) struct Addresses {
    lines: Vec<Vec<u8>>,
}

impl Addresses {
    const NUMBER: u16 = 4000;

    pub(super) fn new(attacker: &Attacker) -> Result<Self> {
        let mut key = Key::new(1);
        let (peer, at) = (key.peer(), attacker.address());
        let bucket = format!("pri/{peer}/ipfs_addresses");
        let mut lines = Vec::new();
        for number in 0..Self::NUMBER {
            lines.push(key.says(&bucket, &format!("/ip4/{at}/tcp/{}/p2p/{peer}", 10_000 + number))?);
            lines.push(key.says("share/files", &cid(1, number)?)?);
        }
        Ok(Self { lines })
    }
}

impl Running for Addresses {
    fn run(&mut self, attacker: &Attacker) -> Result<String> {
        let sent = attacker.pour(std::mem::take(&mut self.lines));
        Ok(format!("{sent} records of one key"))
    }
}

/// Links and connections that carry no requests.
pub(super) struct Links;

impl Links {
    /// Number of links that each host opens, and number of IPFS connections that it opens. A robot accepts at most this
    /// number of links from one host.
    const OF_HOST: (usize, usize) = (16, 40);
    const NEWLINE_EVERY: Duration = Duration::from_secs(10);
}

impl Running for Links {
    fn run(&mut self, attacker: &Attacker) -> Result<String> {
        let (mut links, mut others): (Vec<TcpStream>, Vec<TcpStream>) = Default::default();
        let (mut said, mut opened) = (Instant::now(), 0);
        let number = attacker.hosts.len();
        while attacker.goes_on() {
            links.retain(is_open);
            others.retain(is_open);
            let missing = number * Self::OF_HOST.0 - links.len().min(number * Self::OF_HOST.0);
            for host in (0..number).cycle().take(missing) {
                links.extend(attacker.connect(host, LINE_PORT).ok());
                opened += 1;
            }
            for host in (0..number).cycle().take((number * Self::OF_HOST.1).saturating_sub(others.len())) {
                others.extend(attacker.connect(host, IPFS_PORT).ok());
            }
            if said.elapsed() >= Self::NEWLINE_EVERY {
                links.retain_mut(|link| link.write_all(b"\n").is_ok());
                said = Instant::now();
            }
            attacker.pause(ROUND);
        }
        Ok(format!(
            "{opened} links opened, {} of them open at the end; {} IPFS connections open at the end",
            links.len(),
            others.len()
        ))
    }
}

/// Returns whether the other side has not closed the connection. Bytes that arrive are discarded.
fn is_open(stream: &TcpStream) -> bool {
    let mut buffer = [0; 4096];
    let mut stream_ref = stream;
    if stream.set_nonblocking(true).is_err() {
        return false;
    }
    let is_open = loop {
        match std::io::Read::read(&mut stream_ref, &mut buffer) {
            Ok(0) => break false,
            Ok(_) => {}
            Err(error) => break error.kind() == ErrorKind::WouldBlock,
        }
    };
    is_open && stream.set_nonblocking(false).is_ok()
}

/// One host with many peer names. It answers a comparison of records with only one record every two seconds.
pub(super) struct Names {
    newcomer: Robot,
    listener: TcpListener,
    /// The last look at the records of the newcomer, once the newcomer has been started.
    look: Option<Look>,
    /// When a look first saw all records.
    whole: Option<Instant>,
}

/// A request for the records of a robot. A burst of new records may not fit into the queue of a link, so an old request
/// does not show all of them.
struct Look {
    sightings: Arc<Sightings>,
    _observer: Observer,
}

impl Look {
    fn at(robot: &Robot) -> Result<Self> {
        let sightings = Arc::new(Sightings::of(1));
        let observer = Observer::start(robot.host(), 0, &["/share/*"], &sightings)?;
        Ok(Self { sightings, _observer: observer })
    }

    /// Returns the number of old records that were seen.
    fn count(&self) -> usize {
        self.sightings.counts("share/old/").first().copied().unwrap_or_default()
    }
}

impl Names {
    const NAMES: u8 = 40;
    const RECORDS: usize = 1500;
    const TRICKLE: Duration = Duration::from_secs(2);
    /// Maximum time to wait for the newcomer after the attack.
    const PATIENCE: Duration = Duration::from_secs(120);

    /// Returns the records that the robots hold before the attack.
    pub(super) fn records() -> Result<Vec<Record>> {
        said_by_crowd(7, (0..Self::RECORDS).map(|number| ("share/old".to_owned(), number.to_string())))
    }

    pub(super) fn new(lab: &Lab, attacker: &Attacker) -> Result<Self> {
        let newcomer = Robot::new(lab.host("newcomer")?, "")?;
        let bind = || {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, LINE_PORT))?;
            listener.set_nonblocking(true).map(|()| listener)
        };
        let listener = attacker.hosts[0].within(bind)?.map_err(Error::io("the attacker's port for links"))?;
        Ok(Self { newcomer, listener, look: None, whole: None })
    }

    /// Looks at the records of the newcomer again, unless it had all of them before.
    fn look_again(&mut self) -> Result<()> {
        let count = self.look.as_ref().map_or(0, Look::count);
        if count >= Self::RECORDS {
            self.whole.get_or_insert_with(Instant::now);
        } else {
            self.look = Some(Look::at(&self.newcomer)?);
        }
        Ok(())
    }
}

impl Running for Names {
    fn run(&mut self, attacker: &Attacker) -> Result<String> {
        let socket = attacker.socket(0, 1240)?;
        let here = Address::tcp_line((attacker.address(), LINE_PORT).into());
        let peers: Vec<_> = (0..Self::NAMES).map(|number| Key::new(100 + number).peer()).collect();
        let from = |peer| here.then(&Address::brain(peer)).unwrap_or_else(|_| Address::brain(peer));
        let (mut random, mut key) = (ChaCha8Rng::seed_from_u64(7), Key::new(99));
        let (mut held, mut taken, mut said): (Vec<TcpStream>, usize, u32) = Default::default();
        let mut trickled = Instant::now();
        while attacker.goes_on() {
            for peer in &peers {
                let mut beacon = strange_beacon(from(*peer), &mut random);
                beacon.pop();
                let _ = socket.send_to(&beacon, attacker.everybody());
            }
            if self.look.is_none() {
                // The newcomer starts only now, so that it hears the attacker from its first moment.
                self.newcomer.launch()?;
                self.look_again()?;
            }
            while let Ok((stream, _)) = self.listener.accept() {
                let _ = stream.set_write_timeout(Some(ROUND));
                held.push(stream);
                taken += 1;
            }
            held.retain(is_open);
            if trickled.elapsed() >= Self::TRICKLE {
                trickled = Instant::now();
                self.look_again()?;
                for stream in &mut held {
                    said += 1;
                    let _ = stream.write_all(&key.says("share/lab", &format!("trickle-{said}"))?);
                }
            }
            attacker.pause(ROUND);
        }
        Ok(format!("{taken} links accepted, {} of them open at the end", held.len()))
    }

    fn seen(&mut self, begun: Instant) -> Result<String> {
        let deadline = Instant::now() + Self::PATIENCE;
        while self.whole.is_none() && Instant::now() < deadline {
            // The passing of time is part of the experiment: the newcomer is asked every two seconds.
            thread::sleep(Self::TRICKLE);
            self.look_again()?;
        }
        let here = self.look.as_ref().map_or(0, Look::count);
        Ok(match self.whole {
            Some(at) => {
                let after = at.saturating_duration_since(begun).as_secs_f64();
                format!("a newcomer has all {} records after {after:.1} s", Self::RECORDS)
            }
            None => format!("a newcomer has {here} of {} records, FAILED", Self::RECORDS),
        })
    }
}

/// Addresses of another host, which the attacker claims as its own.
pub(super) struct Victim {
    lines: Vec<Vec<u8>>,
    paths: Vec<Vec<u8>>,
    ports: Vec<TcpListener>,
    loopback: TcpListener,
    datagrams: UdpSocket,
    counted: [usize; 4],
}

impl Victim {
    /// Number of keys that claim addresses of the victim.
    const KEYS: u8 = 8;
    /// Number of addresses that each key claims.
    const ADDRESSES: u16 = 148;
    /// Number of paths over several channels that the attacker opens.
    const PATHS: u8 = 15;
    const FIRST_PORT: u16 = 7000;

    pub(super) fn new(lab: &Lab, attacker: &Attacker) -> Result<Self> {
        let victim = lab.host("victim")?;
        let at = victim.address();
        let ports = (0..Self::ADDRESSES).map(|port| listen(&victim, at, Self::FIRST_PORT + port));
        // A socket bound to this address does not receive broadcasts.
        let datagrams = victim.within(|| {
            let socket = UdpSocket::bind((at, 1240))?;
            socket.set_nonblocking(true).map(|()| socket)
        })?;
        Ok(Self {
            lines: addresses_of(at)?,
            paths: paths_over(at)?,
            ports: ports.collect::<Result<_>>()?,
            loopback: listen(&attacker.target_host, Ipv4Addr::LOCALHOST, 9999)?,
            datagrams: datagrams.map_err(Error::io("the victim's socket"))?,
            counted: [0; 4],
        })
    }

    fn count(&mut self) {
        let [dialled, at_home, datagrams, bytes] = &mut self.counted;
        for listener in &self.ports {
            *dialled += std::iter::from_fn(|| listener.accept().ok()).count();
        }
        *at_home += std::iter::from_fn(|| self.loopback.accept().ok()).count();
        let mut buffer = [0; 65536];
        while let Ok(length) = self.datagrams.recv(&mut buffer) {
            (*datagrams, *bytes) = (*datagrams + 1, *bytes + length);
        }
    }
}

fn listen(host: &Host, at: Ipv4Addr, port: u16) -> Result<TcpListener> {
    let bind = || {
        let listener = TcpListener::bind((at, port))?;
        listener.set_nonblocking(true).map(|()| listener)
    };
    host.within(bind)?.map_err(Error::io(format!("port {port} of {}", host.name())))
}

/// Returns records by which each of several keys claims to have a file at many ports of the victim.
fn addresses_of(victim: Ipv4Addr) -> Result<Vec<Vec<u8>>> {
    let mut lines = Vec::new();
    for number in 0..Victim::KEYS {
        let mut key = Key::new(80 + number);
        let peer = key.peer();
        for port in 0..Victim::ADDRESSES {
            let at = format!("/ip4/{victim}/tcp/{}/p2p/{peer}", Victim::FIRST_PORT + port);
            lines.push(key.says(&format!("pri/{peer}/ipfs_addresses"), &at)?);
        }
        lines.push(key.says("share/files", &cid(8, number.into())?)?);
    }
    Ok(lines)
}

/// Returns beacons that claim to have come over the victim, and over the target's own loopback.
fn paths_over(victim: Ipv4Addr) -> Result<Vec<Vec<u8>>> {
    let mut random = ChaCha8Rng::seed_from_u64(8);
    let path = |number: u8| {
        let peer = Key::new(200 + number).peer();
        let first = match number % 3 {
            0 => "/ip4/127.0.0.1/tcp/9999/dswarm-line".to_owned(),
            _ => format!("/ip4/{victim}/udp/1240/dswarm-line"),
        };
        let text = format!("{first}/ip4/10.99.0.{number}/udp/1240/dswarm-line/dswarm/{peer}/brain");
        let from: Address =
            text.parse().map_err(|error| Error::answer(format!("the address {text}"), format!("{error}")))?;
        let strange = strange_beacon(from, &mut random);
        let envelope = Envelope::decode(strange.trim_ascii_end());
        let envelope = envelope.map_err(|error| Error::answer("a beacon", error.to_string()))?;
        Ok(line(&Envelope { hops: 1, ..envelope }))
    };
    (0..Victim::PATHS).map(path).collect()
}

impl Running for Victim {
    fn run(&mut self, attacker: &Attacker) -> Result<String> {
        let sent = attacker.pour(self.lines.iter().chain(&self.paths).cloned());
        let mut link = attacker.link(0).ok();
        while attacker.goes_on() {
            self.count();
            attacker.pause(ROUND);
            // A robot keeps a path while messages arrive over it.
            for line in &self.paths {
                if link.as_mut().is_none_or(|link| link.write_all(line).is_err()) {
                    link = attacker.link(0).ok();
                }
            }
        }
        Ok(format!("{sent} lines"))
    }

    fn seen(&mut self, _begun: Instant) -> Result<String> {
        self.count();
        let [dialled, at_home, datagrams, bytes] = self.counted;
        Ok(format!(
            "the victim received {dialled} connections and {datagrams} datagrams ({bytes} bytes); \
             127.0.0.1:9999 of the target received {at_home} connections"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use routing::Message;

    #[test]
    fn the_lines_of_the_attacker_are_well_formed() {
        assert_eq!(addresses_of(Ipv4Addr::new(10, 77, 0, 9)).unwrap().len(), 8 * 149);
        let paths = paths_over(Ipv4Addr::new(10, 77, 0, 9)).unwrap();
        for line in &paths {
            let envelope = Envelope::decode(line.trim_ascii_end()).unwrap();
            assert_eq!((envelope.hops, envelope.beacon.is_some()), (1, true));
            assert!(Message::parse(&envelope.payload).is_ok());
        }
        assert_ne!(cid(1, 2).unwrap(), cid(1, 3).unwrap());
    }
}
