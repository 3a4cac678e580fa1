//! Serf, a membership and event program of HashiCorp in Debian, with which the experiment `spread` compares ours.

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::observer::{Observer, connect};
use crate::{Error, Host, Process, Result, Sightings, Unavailable, process};

/// Port of an agent's RPC interface on loopback.
const RPC_PORT: u16 = 7373;
/// Prefixes of the names of nodes and events, each followed by [`DIGITS`] digits. The fixed form lets us find names in
/// the output of an agent without decoding it.
const SORTS: [&str; 2] = ["node-", "event-"];
const DIGITS: usize = 4;
/// Maximum length of a name in bytes.
const NAME_BYTES: usize = 16;

/// A running agent, with the profile for a LAN and default settings.
#[derive(Debug)]
pub struct Serf {
    process: Process,
    host: Host,
    number: usize,
}

/// Checks that Serf is installed.
///
/// # Errors
/// [`Unavailable`] when it is not.
pub fn serf_available() -> Result<(), Unavailable> {
    let mut command = Command::new("serf");
    command.arg("version");
    process::run(command, Duration::from_secs(10)).map(drop).map_err(|error| {
        Unavailable::new(format!("serf does not run ({error}): install the Debian package serf"))
    })
}

impl Serf {
    /// Starts an agent. It joins the agent at the address `first`, and retries every second until it succeeds.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn launch(host: &Host, number: usize, first: Option<Ipv4Addr>) -> Result<Self> {
        let mut command = host.command("serf");
        command.args(["agent", "-profile=lan", "-log-level=info"]);
        command.arg(format!("-node={}", name("node-", number))).arg(format!("-bind={}", host.address()));
        command.arg(format!("-rpc-addr=127.0.0.1:{RPC_PORT}"));
        if let Some(first) = first {
            command.arg(format!("-retry-join={first}")).arg("-retry-interval=1s");
        }
        let process = host.spawn("serf", command)?;
        Ok(Self { process, host: host.clone(), number })
    }

    /// Returns the process, to measure its resource usage.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Notes the members that the agent knows, as `node-NUMBER`, and the events that reach it, as `event-NUMBER`. They
    /// are noted for the node with this agent's number. Waits until the agent accepts requests.
    ///
    /// # Errors
    /// When the agent does not accept requests in time.
    pub fn observe(&self, sightings: &Arc<Sightings>) -> Result<Observer> {
        let mut link = self.connect()?;
        // New members are requested first and the present ones second, so that none is missed between the two.
        let mut asked = map(&[("Command", text("stream")), ("Seq", number(1))]);
        asked.extend(map(&[("Type", text("member-join,user"))]));
        asked.extend(map(&[("Command", text("members")), ("Seq", number(2))]));
        link.write_all(&asked).map_err(Error::io(format!("asking the agent of {}", self.host.name())))?;
        let (sightings, node) = (Arc::clone(sightings), self.number);
        let mut told = Vec::new();
        let take = move |bytes: &[u8]| {
            let now = Instant::now();
            told.extend_from_slice(bytes);
            names(&told).for_each(|name| sightings.note(node, name, now));
            // The end of the buffer is kept, because a name may arrive in two parts.
            told.drain(..told.len().saturating_sub(NAME_BYTES));
        };
        Observer::follow(self.host.name(), link, None, take)
    }

    /// Opens a connection for requests to the agent.
    ///
    /// # Errors
    /// When no connection is established in time.
    pub fn connect(&self) -> Result<TcpStream> {
        let mut link = connect(&self.host, RPC_PORT)?;
        let mut greeting = map(&[("Command", text("handshake")), ("Seq", number(0))]);
        greeting.extend(map(&[("Version", number(1))]));
        link.write_all(&greeting)
            .map_err(Error::io(format!("greeting the agent of {}", self.host.name())))?;
        Ok(link)
    }

    /// Lets the agent send an event to all, without merging it with others. Returns the time of the request and the
    /// event's name.
    ///
    /// # Errors
    /// When the request cannot be sent.
    pub fn send(&self, event: usize) -> Result<(Instant, String)> {
        let mut link = self.connect()?;
        let name = name("event-", event);
        let mut order = map(&[("Command", text("event")), ("Seq", number(1))]);
        order.extend(map(&[("Name", text(&name)), ("Payload", text("")), ("Coalesce", FALSE.to_vec())]));
        let told = Instant::now();
        link.write_all(&order).map_err(Error::io(format!("telling the agent of {}", self.host.name())))?;
        Ok((told, name))
    }
}

fn name(sort: &str, number: usize) -> String {
    format!("{sort}{number:0DIGITS$}")
}

/// Returns all names in the output of an agent.
fn names(told: &[u8]) -> impl Iterator<Item = String> + '_ {
    let beginnings = (0..told.len()).flat_map(|at| SORTS.map(|sort| (sort, &told[at..])));
    beginnings.filter_map(|(sort, rest)| {
        let digits = rest.strip_prefix(sort.as_bytes())?.get(..DIGITS)?;
        let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Some(name(sort, number))
    })
}

// The part of MessagePack that the requests need.
const FALSE: [u8; 1] = [0xc2];

/// Encodes a map of fewer than 16 entries.
fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![0x80 | entries.len() as u8];
    entries.iter().for_each(|(key, value)| bytes.extend([text(key), value.clone()].concat()));
    bytes
}

/// Encodes a text of fewer than 32 bytes.
fn text(text: &str) -> Vec<u8> {
    [&[0xa0 | text.len() as u8], text.as_bytes()].concat()
}

/// Encodes a number below 128.
fn number(number: u8) -> Vec<u8> {
    vec![number]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_between_other_bytes() {
        let told = b"\x82\xa4Name\xa9node-0012\xa4Tags\x80event-0\xffevent-0007node-0012event-12";
        assert_eq!(names(told).collect::<Vec<_>>(), ["node-0012", "event-0007", "node-0012"]);
    }

    #[test]
    fn requests_are_encoded_as_message_pack() {
        let order = map(&[("Seq", number(3)), ("Coalesce", FALSE.to_vec())]);
        assert_eq!(order, b"\x82\xa3Seq\x03\xa8Coalesce\xc2");
    }
}
