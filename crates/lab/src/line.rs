//! The line protocol, spoken by a test itself, so that it sees the very records that a daemon holds.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use dcache::{Signature, Statement, Validity};
use routing::{Address, Envelope, Message, Status};

use crate::{Error, Host, Result};

/// Where a daemon takes links unless it was told otherwise.
pub const LINE_PORT: u16 = 8000;

const LIMIT: Duration = Duration::from_secs(20);

/// Everything that a daemon answers to whoever asks for all.
#[derive(Debug)]
pub struct Answer {
    /// Its live records, dismissals too, each with one signature; not verified here.
    pub records: Vec<(Statement, Signature)>,
    /// How it is doing.
    pub status: Status,
}

/// Asks the daemon at `daemon` for all that it holds, from the host `from`.
///
/// # Errors
/// When it does not answer in time, or with something else.
pub fn ask(from: &Host, daemon: Ipv4Addr) -> Result<Answer> {
    let what = format!("asking {daemon} from {}", from.name());
    let said = from.within(|| converse((daemon, LINE_PORT).into()))?;
    said.map_err(|source| Error::Io { what, source })
}

fn converse(daemon: SocketAddr) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&daemon, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let request = Message::req(&["*"], Validity::ALWAYS);
    let question = Envelope::new(Address::command_line(), Address::every_brain(), request);
    stream.write_all((question.encode() + "\n").as_bytes())?;
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
    /// How often the daemon counted this since it started.
    pub fn count(&self, counter: &str) -> u64 {
        self.status.counters.get(counter).copied().unwrap_or(0)
    }

    /// Whether it holds a record whose data begins like this.
    pub fn holds(&self, beginning: &str) -> bool {
        self.records.iter().any(|(statement, _)| statement.item().data.as_str().starts_with(beginning))
    }
}
