//! The attacker: its hosts on the LAN, keys, links and datagrams.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dcache::Record;
use routing::{Address, Envelope, Message};

use crate::line::{LINE_PORT, line};
use crate::{Error, Fleet, Host, Lab, Result, TestSigner};

/// Number of hosts of the attacker.
const HOSTS: usize = 4;
/// UDP port of the line protocol.
const UDP_PORT: u16 = 1240;
/// Maximum time until a robot accepts a link.
const CONNECT: Duration = Duration::from_secs(5);
/// Maximum time for which a robot may read nothing from a link.
const WRITE: Duration = Duration::from_secs(2);
/// Time between two attempts of an operation that was refused.
const AGAIN: Duration = Duration::from_millis(100);

/// One attacker with several hosts.
pub(super) struct Attacker {
    pub(super) hosts: Vec<Host>,
    /// Address of the robot that is attacked over links.
    pub(super) target: Ipv4Addr,
    pub(super) target_host: Host,
    stop: AtomicBool,
}

impl Attacker {
    pub(super) fn new(lab: &Lab, fleet: &Fleet) -> Result<Self> {
        let hosts = (0..HOSTS).map(|number| lab.host(&format!("x{number}"))).collect::<Result<_>>()?;
        let robots = fleet.robots();
        let target_host = robots[0].host().clone();
        let (target, stop) = (target_host.address(), AtomicBool::new(false));
        Ok(Self { hosts, target, target_host, stop })
    }

    pub(super) fn stop(&self) -> &AtomicBool {
        &self.stop
    }

    pub(super) fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(super) fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Waits for this time, or until the attack ends.
    pub(super) fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        while self.goes_on() && Instant::now() < end {
            thread::sleep(AGAIN.min(end.saturating_duration_since(Instant::now())));
        }
    }

    /// Returns the attacker's address on the LAN.
    pub(super) fn address(&self) -> Ipv4Addr {
        self.hosts[0].address()
    }

    /// Opens a TCP connection from one of the attacker's hosts to a port of the target.
    pub(super) fn connect(&self, host: usize, port: u16) -> Result<TcpStream> {
        let at = SocketAddr::from((self.target, port));
        let connect = || {
            let stream = TcpStream::connect_timeout(&at, CONNECT)?;
            stream.set_write_timeout(Some(WRITE))?;
            Ok(stream)
        };
        let host = &self.hosts[host % self.hosts.len()];
        host.within(connect)?.map_err(Error::io(format!("a link of the attacker to {at}")))
    }

    /// Opens a link and discards everything that arrives on it.
    pub(super) fn link(&self, host: usize) -> Result<TcpStream> {
        let stream = self.connect(host, LINE_PORT)?;
        let mut reading = stream.try_clone().map_err(Error::io("a link of the attacker"))?;
        // The thread ends with the link.
        thread::spawn(move || std::io::copy(&mut reading, &mut std::io::sink()));
        Ok(stream)
    }

    /// Sends lines over one link until all are sent or the attack ends. A closed link is replaced by a new one. Returns
    /// the number of lines sent.
    pub(super) fn pour(&self, lines: impl IntoIterator<Item = Vec<u8>>) -> usize {
        let (mut link, mut sent) = (self.link(0).ok(), 0);
        for line in lines {
            while self.goes_on() {
                let written = link.as_mut().map(|link| link.write_all(&line));
                if let Some(Ok(())) = written {
                    sent += 1;
                    break;
                }
                thread::sleep(AGAIN);
                link = self.link(0).ok();
            }
            if !self.goes_on() {
                break;
            }
        }
        // Closing only the sending side does not lose the bytes in transit.
        let _ = link.map(|link| link.shutdown(std::net::Shutdown::Write));
        sent
    }

    /// Opens a UDP socket on a host, which may send broadcasts.
    pub(super) fn socket(&self, host: usize, port: u16) -> Result<UdpSocket> {
        let host = &self.hosts[host % self.hosts.len()];
        let bind = || {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
            socket.set_broadcast(true)?;
            Ok(socket)
        };
        host.within(bind)?.map_err(Error::io("a UDP socket of the attacker"))
    }

    /// Returns the address of datagrams to all robots.
    pub(super) fn everybody(&self) -> SocketAddr {
        let [a, b, c, _] = self.target.octets();
        (Ipv4Addr::new(a, b, c, 255), UDP_PORT).into()
    }
}

/// A key of the attacker, and the lines that it signs.
pub(super) struct Key(TestSigner);

impl Key {
    pub(super) fn new(number: u8) -> Self {
        let mut seed = [0x66; 32];
        seed[0] = number;
        Self(TestSigner::new(seed))
    }

    /// Returns another key for each pair of a crowd and a number.
    fn of_crowd(crowd: u8, number: u16) -> Self {
        let mut seed = [0x67; 32];
        [seed[0], seed[1], seed[2]] = [crowd, number.to_be_bytes()[0], number.to_be_bytes()[1]];
        Self(TestSigner::new(seed))
    }

    pub(super) fn peer(&self) -> dcache::PeerId {
        self.0.peer_id()
    }

    /// Returns a line with a new record.
    pub(super) fn says(&mut self, bucket: &str, data: &str) -> Result<Vec<u8>> {
        let record = self.0.propose(bucket, data)?;
        Ok(line(&self.0.envelope(&record)))
    }
}

/// Number of records of each key of a crowd.
const OF_ONE_KEY: usize = 60;

/// Returns records that a crowd of keys signs. Each record is a pair of a bucket and data.
pub(super) fn said_by_crowd(
    crowd: u8,
    records: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<Record>> {
    let (mut said, mut key) = (Vec::new(), Key::of_crowd(crowd, 0));
    for ((bucket, data), number) in records.into_iter().zip(0..) {
        if number % OF_ONE_KEY == 0 {
            key = Key::of_crowd(crowd, u16::try_from(number / OF_ONE_KEY).unwrap_or(u16::MAX));
        }
        said.push(key.0.propose(&bucket, &data)?);
    }
    Ok(said)
}

/// Returns the line of a ping from a sender without a name.
pub(super) fn ping() -> Vec<u8> {
    let ping = Message::ping(dcache::Validity::ALWAYS);
    line(&Envelope::new(Address::command_line(), Address::every_brain(), ping))
}

/// Reads until this word arrives.
pub(super) fn read_until(stream: &mut TcpStream, word: &str) -> std::io::Result<()> {
    let (mut buffer, mut tail) = ([0; 16 * 1024], Vec::new());
    loop {
        match stream.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            length => tail.extend_from_slice(&buffer[..length]),
        }
        if tail.windows(word.len()).any(|bytes| bytes == word.as_bytes()) {
            return Ok(());
        }
        tail.drain(..tail.len().saturating_sub(word.len()));
    }
}
