//! Watches a daemon like a peer on its own host: over a link on loopback, which is not part of the measured traffic.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dcache::{Keypair, Kind, Validity};
use routing::{Address, Envelope, Message};

use crate::line::{LINE_PORT, LineClient, line};
use crate::sightings::item_name;
use crate::{Error, Host, Result, Sightings};

/// Interval of pings. A daemon closes a link on which nothing arrives for a minute.
const PING_EVERY: Duration = Duration::from_secs(15);
/// Interval of attempts to connect to a program that does not listen yet.
const TRY_EVERY: Duration = Duration::from_millis(20);
/// Maximum number of bytes read at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Maximum time until a program listens. It is long, because many programs start at once.
const LISTENING: Duration = Duration::from_secs(60);

/// A link to a daemon, and the thread that reads it until the observer is dropped.
#[derive(Debug)]
pub struct Observer {
    is_over: Arc<AtomicBool>,
    link: TcpStream,
    thread: Option<JoinHandle<()>>,
}

impl Observer {
    /// Notes each record that reaches the daemon of `host` for the node number `node`, under the name `BUCKET/DATA`.
    /// These are the present records in buckets that match the patterns, and all new records. Waits until the daemon
    /// accepts links.
    ///
    /// # Errors
    /// When the daemon does not accept the link in time.
    pub fn start(host: &Host, node: usize, patterns: &[&str], sightings: &Arc<Sightings>) -> Result<Self> {
        let name = format!("the observer's link to {}", host.name());
        let mut client = LineClient::of(&name, connect(host, LINE_PORT)?);
        let from = Address::brain(throw_away_key(node).peer_id());
        let envelope = |payload| Envelope::new(from.clone(), Address::every_brain(), payload);
        client.send(&envelope(Message::req(patterns, Validity::ALWAYS)))?;
        let ping = envelope(Message::ping(Validity::ALWAYS));
        client.send(&ping)?;
        let (sightings, mut partial) = (Arc::clone(sightings), Vec::new());
        let take = move |bytes: &[u8]| {
            let now = Instant::now();
            partial.extend_from_slice(bytes);
            while let Some(end) = partial.iter().position(|byte| *byte == b'\n') {
                note(&sightings, node, &partial[..end], now);
                partial.drain(..=end);
            }
        };
        Self::follow(host.name(), client.into_stream(), Some(line(&ping)), take)
    }

    /// Passes all bytes that arrive on a link to `take`. Keeps the link alive by sending `ping` at intervals.
    pub(crate) fn follow(
        whose: &str,
        link: TcpStream,
        ping: Option<Vec<u8>>,
        take: impl FnMut(&[u8]) + Send + 'static,
    ) -> Result<Self> {
        let failed = |source| Error::Io { what: format!("watching {whose}"), source };
        link.set_read_timeout(Some(PING_EVERY)).map_err(failed)?;
        let reading = link.try_clone().map_err(failed)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let (is_ended, whose) = (Arc::clone(&is_over), whose.to_owned());
        let thread = thread::spawn(move || {
            let reason = read(reading, ping, take);
            if !is_ended.load(Ordering::Relaxed) {
                eprintln!("lab: the link to {whose} ended: {reason}");
            }
        });
        Ok(Self { is_over, link, thread: Some(thread) })
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Fails only when the other side has closed the link, which ends the thread as well.
        let _ = self.link.shutdown(Shutdown::Both);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Reads until the link ends, and returns the reason.
fn read(mut link: TcpStream, ping: Option<Vec<u8>>, mut take: impl FnMut(&[u8])) -> io::Error {
    let (mut buffer, mut pinged) = (vec![0; CHUNK_BYTES], Instant::now());
    loop {
        match link.read(&mut buffer) {
            Ok(0) => return ErrorKind::UnexpectedEof.into(),
            Ok(length) => take(&buffer[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return error,
        }
        if pinged.elapsed() >= PING_EVERY {
            pinged = Instant::now();
            let said = ping.as_ref().map_or(Ok(()), |ping| link.write_all(ping));
            if let Err(error) = said {
                return error;
            }
        }
    }
}

/// Connects over loopback as soon as the program listens.
pub(crate) fn connect(host: &Host, port: u16) -> Result<TcpStream> {
    let (address, deadline) = (SocketAddr::from((Ipv4Addr::LOCALHOST, port)), Instant::now() + LISTENING);
    let connect = || loop {
        match TcpStream::connect(address) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused && Instant::now() < deadline => {
                thread::sleep(TRY_EVERY);
            }
            other => return other,
        }
    };
    let link = host.within(connect)?.and_then(|link| link.set_nodelay(true).map(|()| link));
    link.map_err(Error::io(format!("connecting with port {port} of {}", host.name())))
}

/// Returns a key for a peer that publishes nothing. It needs no secret, but differs on each node.
fn throw_away_key(node: usize) -> Keypair {
    let mut seed = [0xda; 32];
    seed[..8].copy_from_slice(&(node as u64).to_be_bytes());
    Keypair::from_seed(seed)
}

fn note(sightings: &Sightings, node: usize, line: &[u8], now: Instant) {
    let Ok(envelope) = Envelope::decode(line) else { return };
    if let Ok(Message::Statement(statement)) = Message::parse(&envelope.payload)
        && statement.kind() == Kind::Propose
    {
        sightings.note(node, item_name(statement.item()), now);
    }
}
