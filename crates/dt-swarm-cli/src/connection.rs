//! The connection to a daemon: sends and receives lines, with limits on their length, number and time.

use crate::error::CliError;
use crate::host::Host;
use crate::random;
use routing::{Envelope, MAX_LINE_BYTES};
use seal::{LineOpener, LineSealer, LinkHandshake, SwarmKey, is_hello, sealed_line_bytes};
use std::error::Error;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{IpAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

/// Maximum number of bytes of one answer. The limit applies to all answers since the last [`Connection::begin_answer`]
/// together.
const MAX_BYTES: usize = 100_000_000;
/// Maximum number of addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;
/// Maximum time for a whole answer, as a multiple of the timeout for one line. It ends the answer of a server that
/// never stops sending.
const OVERALL: u32 = 60;
/// Maximum time for the key handshake. The daemon has the same limit for its peers.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// A connection to a host that may run a daemon.
pub(crate) struct Connection {
    host: Host,
    stream: BufReader<TcpStream>,
    timeout: Duration,
    /// Deadline of the current answer; `None` if the connection is to stay open without a limit.
    end: Option<Instant>,
    /// Number of bytes of the current answer that were received.
    received: usize,
    /// The beginning of a line whose end was not received yet.
    partial: Vec<u8>,
    /// Encrypts our lines and decrypts those of the daemon. `None` in a swarm without a key.
    seals: Option<(LineSealer, LineOpener)>,
}

impl Connection {
    /// Connects to the first address of the host that accepts the connection. With a key, each side proves that it has
    /// the key.
    pub(crate) fn open(host: &Host, timeout: Duration, key: Option<&SwarmKey>) -> Result<Self, CliError> {
        let stream = connect(host, timeout)?;
        let broken = |source| broken(host, source);
        stream.set_nodelay(true).map_err(broken)?;
        stream.set_write_timeout(Some(timeout)).map_err(broken)?;
        let mut connection = Self {
            host: host.clone(),
            stream: BufReader::new(stream),
            timeout,
            end: Some(Instant::now() + timeout * OVERALL),
            received: 0,
            partial: Vec::new(),
            seals: None,
        };
        key.map_or(Ok(()), |key| connection.shake_hands(key))?;
        Ok(connection)
    }

    /// Does the handshake of a connection that is sealed with the swarm key.
    fn shake_hands(&mut self, key: &SwarmKey) -> Result<(), CliError> {
        let deadline = Instant::now() + self.timeout.min(HANDSHAKE);
        let ours = LinkHandshake::new(key, random::bytes()?, true);
        self.write(&ours.hello())?;
        let host = self.host.to_string();
        // A daemon without a key closes the connection, sends another line, or waits for a line that it understands.
        let Ok(Some(theirs)) = self.line(deadline) else { return Err(CliError::NoKeyThere { host }) };
        let Ok((mut sealer, mut opener)) = ours.finish(&theirs) else {
            return Err(CliError::NoKeyThere { host });
        };
        self.write(&sealer.seal(b""))?;
        let proof = self.line(deadline).ok().flatten().and_then(|proof| opener.open(&proof).ok());
        if proof.as_deref() != Some(b"") {
            return Err(CliError::OtherKey { host });
        }
        self.seals = Some((sealer, opener));
        Ok(())
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the IP address of the host.
    pub(crate) fn address(&self) -> Result<IpAddr, CliError> {
        let address = self.stream.get_ref().peer_addr();
        address.map(|address| address.ip()).map_err(|source| broken(&self.host, source))
    }

    pub(crate) fn send(&mut self, envelope: &Envelope) -> Result<(), CliError> {
        let line = envelope.encode();
        let sealed = self.seals.as_mut().map(|(sealer, _)| sealer.seal(line.as_bytes()));
        self.write(&sealed.unwrap_or(line))
    }

    fn write(&mut self, line: &str) -> Result<(), CliError> {
        let sent = self.stream.get_mut().write_all(format!("{line}\n").as_bytes());
        sent.map_err(|source| self.failed(source))
    }

    /// Resets the limits on time and bytes for the next answer.
    pub(crate) fn begin_answer(&mut self) {
        self.received = 0;
        self.end = self.end.map(|_| Instant::now() + self.timeout * OVERALL);
    }

    /// Removes the limits on time and bytes, for an answer that does not end.
    pub(crate) fn keep_open(&mut self) {
        self.end = None;
    }

    /// Sets the maximum time, from now, for the current answer.
    pub(crate) fn end_within(&mut self, time: Duration) {
        self.end = Some(Instant::now() + time);
    }

    /// Sets the timeout for one line, and begins a new answer.
    pub(crate) fn set_patience(&mut self, timeout: Duration) -> Result<(), CliError> {
        let limited = self.stream.get_ref().set_write_timeout(Some(timeout));
        limited.map_err(|source| broken(&self.host, source))?;
        self.timeout = timeout;
        self.end = Some(Instant::now());
        self.begin_answer();
        Ok(())
    }

    /// Returns the timeout for one line.
    pub(crate) fn patience(&self) -> Duration {
        self.timeout
    }

    /// Reads the next line. Fails when it is not complete within the timeout, or by the deadline of the answer.
    pub(crate) fn receive(&mut self) -> Result<Envelope, CliError> {
        let patient = Instant::now() + self.timeout;
        let deadline = self.end.map_or(patient, |end| end.min(patient));
        match self.receive_until(deadline)? {
            Some(envelope) => Ok(envelope),
            None => Err(self.failed(ErrorKind::TimedOut.into())),
        }
    }

    /// Reads the next line. Returns `None` when it is not complete by `deadline`. Parts of a line do not extend the
    /// deadline.
    pub(crate) fn receive_until(&mut self, deadline: Instant) -> Result<Option<Envelope>, CliError> {
        let Some(line) = self.line(deadline)? else { return Ok(None) };
        let line = match &mut self.seals {
            Some((_, opener)) => match opener.open(&line) {
                Ok(line) => line,
                Err(error) => return Err(self.not_ours(error)),
            },
            None if is_hello(&line) => return Err(CliError::Keyed { host: self.host.to_string() }),
            None => line,
        };
        Envelope::decode(&line).map(Some).map_err(|error| self.not_ours(error))
    }

    /// Reads the next line without decrypting it. Returns `None` when it is not complete by `deadline`.
    fn line(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, CliError> {
        let longest = if self.seals.is_some() { sealed_line_bytes(MAX_LINE_BYTES) } else { MAX_LINE_BYTES };
        loop {
            let (taken, is_whole) = match self.more(deadline) {
                Err(error) if is_late(&error) => return Ok(None),
                other => other.map_err(|error| self.failed(error))?,
            };
            self.received += taken;
            if taken == 0 {
                return Err(CliError::Closed { host: self.host.to_string() });
            }
            if self.partial.len() > longest {
                return Err(self.not_ours(format!("a line of more than {MAX_LINE_BYTES} bytes")));
            }
            if self.end.is_some() && self.received > MAX_BYTES {
                return Err(self.endless(format!("{} MB", MAX_BYTES / 1_000_000)));
            }
            if is_whole {
                return Ok(Some(std::mem::take(&mut self.partial)));
            }
        }
    }

    /// Adds the bytes that are available to the partial line, up to its end. Returns their number, and whether the line
    /// is complete.
    fn more(&mut self, deadline: Instant) -> io::Result<(usize, bool)> {
        if self.stream.buffer().is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.stream.get_ref().set_read_timeout(Some(left))?;
        }
        let bytes = match self.stream.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => return self.more(deadline),
            other => other?,
        };
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(bytes.len(), |end| end + 1);
        self.partial.extend_from_slice(&bytes[..end.unwrap_or(taken)]);
        self.stream.consume(taken);
        Ok((taken, end.is_some()))
    }

    fn failed(&self, source: io::Error) -> CliError {
        match is_late(&source) {
            true if self.end.is_some_and(|end| Instant::now() >= end) => {
                self.endless(format!("{} s", (self.timeout * OVERALL).as_secs_f64()))
            }
            true => self.silent(),
            false => broken(&self.host, source),
        }
    }

    pub(crate) fn silent(&self) -> CliError {
        CliError::Silent { host: self.host.to_string(), timeout: self.timeout }
    }

    pub(crate) fn not_ours(&self, source: impl Into<Box<dyn Error + Send + Sync>>) -> CliError {
        CliError::NotOurs { host: self.host.to_string(), source: source.into() }
    }

    pub(crate) fn endless(&self, most: String) -> CliError {
        CliError::Endless { host: self.host.to_string(), most }
    }
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

fn broken(host: &Host, source: io::Error) -> CliError {
    CliError::Broken { host: host.to_string(), source }
}

fn connect(host: &Host, timeout: Duration) -> Result<TcpStream, CliError> {
    let found = (host.name.as_str(), host.port).to_socket_addrs();
    let addresses: Vec<_> = found
        .map_err(|source| CliError::Unresolved { host: host.to_string(), source })?
        .take(MAX_ADDRESSES)
        .collect();
    // Each address gets an equal share of the time. An address that does not reply then cannot use up the time of the
    // others.
    let share = timeout / u32::try_from(addresses.len().max(1)).unwrap_or(1);
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, share) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(CliError::Unreachable { host: host.to_string(), source: last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use routing::{Address, Message};
    use std::net::TcpListener;

    #[test]
    fn slow_lines_without_end_are_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host: Host = listener.local_addr().unwrap().to_string().parse().unwrap();
        let ping = Message::ping(dcache::Validity::ALWAYS);
        let line = Envelope::new(Address::command_line(), Address::every_brain(), ping).encode() + "\n";
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(line.as_bytes()).is_ok() {
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let mut connection = Connection::open(&host, Duration::from_secs(60), None).unwrap();
        connection.end = Some(Instant::now() + Duration::from_millis(200));
        let error = loop {
            match connection.receive() {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(error, CliError::Endless { .. }), "{error}");
        drop(connection);
        server.join().unwrap();
    }
}
