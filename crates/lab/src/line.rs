//! A client of the line protocol in the test itself, so that a test sees exactly the records that a daemon holds.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use dcache::{Signature, Statement, Validity};
use routing::{Address, Envelope, Message, Status};

use crate::error::{Error, Result};
use crate::host::Host;

/// Default TCP port on which a daemon listens for links.
pub const LINE_PORT: u16 = 8000;

/// Maximum time to wait for a connection, and for each line of an answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A TCP link to the line port of a daemon.
#[derive(Debug)]
pub struct LineClient {
    /// Names both ends of the link in errors.
    name: String,
    stream: TcpStream,
}

impl LineClient {
    /// Connects from the host `from` to the daemon at `daemon`.
    ///
    /// # Errors
    /// When the daemon does not accept the link in time.
    pub fn connect(from: &Host, daemon: Ipv4Addr) -> Result<Self> {
        let name = format!("a link from {} to {daemon}", from.name());
        let address = SocketAddr::from((daemon, LINE_PORT));
        let stream = from.within(|| TcpStream::connect_timeout(&address, TIMEOUT))?;
        Ok(Self { stream: stream.map_err(Error::io(&name))?, name })
    }

    /// Makes a client of a connected stream. `name` appears in messages.
    pub(crate) fn of(name: &str, stream: TcpStream) -> Self {
        Self { name: name.to_owned(), stream }
    }

    /// Sends an envelope as one line.
    ///
    /// # Errors
    /// When the link is closed.
    pub fn send(&mut self, envelope: &Envelope) -> Result {
        self.send_bytes(&line(envelope))
    }

    /// Sends bytes, which need not be complete lines.
    ///
    /// # Errors
    /// When the link is closed.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result {
        self.stream.write_all(bytes).map_err(Error::io(&self.name))
    }

    /// Returns the stream, to read from it or to close it.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

/// Returns an envelope in the form in which a link carries it.
pub(crate) fn line(envelope: &Envelope) -> Vec<u8> {
    (envelope.encode() + "\n").into_bytes()
}

/// A daemon's answer to a request for all records.
#[derive(Debug)]
pub struct Answer {
    /// The live records, dismissals included, one entry per signature. The signatures are not verified.
    pub records: Vec<(Statement, Signature)>,
    /// The daemon's status.
    pub status: Status,
}

/// Asks the daemon at `daemon` for all its records, from the host `from`.
///
/// # Errors
/// When the daemon does not answer in time, or the answer cannot be read.
pub fn ask(from: &Host, daemon: Ipv4Addr) -> Result<Answer> {
    let mut client = LineClient::connect(from, daemon)?;
    let request = Message::req(&["*"], Validity::ALWAYS);
    client.send(&Envelope::new(Address::command_line(), Address::every_brain(), request))?;
    read_answer(&client.stream).map_err(Error::io(format!("the answer over {}", client.name)))
}

fn read_answer(stream: &TcpStream) -> std::io::Result<Answer> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut records = Vec::new();
    for line in BufReader::new(stream).lines() {
        let envelope = Envelope::decode(line?.as_bytes()).map_err(std::io::Error::other)?;
        match Message::parse(&envelope.payload).map_err(std::io::Error::other)? {
            Message::Statement(statement) => {
                let signatures = envelope.signatures.iter();
                records.extend(signatures.map(|signature| (statement.clone(), *signature)));
            }
            Message::Pong { .. } => {
                return Ok(Answer { records, status: envelope.status.unwrap_or_default() });
            }
            _ => {}
        }
    }
    Err(std::io::Error::other("it closed the connection before its pong"))
}

impl Answer {
    /// Returns the value of a counter of the daemon, counted since its start.
    pub fn count(&self, counter: &str) -> u64 {
        self.status.counters.get(counter).copied().unwrap_or(0)
    }

    /// Returns whether the daemon holds a record whose data begins with this text.
    pub fn holds(&self, beginning: &str) -> bool {
        self.records.iter().any(|(statement, _)| statement.item().data.as_str().starts_with(beginning))
    }
}
