//! Serf, the membership and event program of HashiCorp, as Debian packages it: the one that we are measured against.

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::observer::{Observer, connect};
use crate::{Error, Host, Process, Result, Sightings, Unavailable, process};

/// Where an agent takes orders, on loopback.
const RPC_PORT: u16 = 7373;
/// Names of nodes and events are one of these and so many digits. Thus they are found in what an agent tells without
/// reading the whole of it.
const SORTS: [&str; 2] = ["node-", "event-"];
const DIGITS: usize = 4;
/// No name is longer.
const NAME_BYTES: usize = 16;

/// A running agent, with the profile for a LAN and all settings as they come.
#[derive(Debug)]
pub struct Serf {
    process: Process,
    host: Host,
    number: usize,
}

/// Whether Serf is installed.
///
/// # Errors
/// [`Unavailable`] when not.
pub fn serf_available() -> Result<(), Unavailable> {
    let mut command = Command::new("serf");
    command.arg("version");
    process::run(command, Duration::from_secs(10)).map(drop).map_err(|error| {
        Unavailable::new(format!("serf does not run ({error}): install the Debian package serf"))
    })
}

impl Serf {
    /// Starts an agent, which joins the one at this address and tries that every second until it can.
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

    /// Its process, for what it uses.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Notes of which members it knows, as `node-NUMBER`, and which events come to it, as `event-NUMBER`, as what comes to
    /// the node of its own number. Waits until it takes orders.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn observe(&self, sightings: &Arc<Sightings>) -> Result<Observer> {
        let mut link = self.connect()?;
        // First what is new, then what there is, so that nobody slips through between.
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
            // A name may have been cut.
            told.drain(..told.len().saturating_sub(NAME_BYTES));
        };
        Observer::follow(self.host.name(), link, None, take)
    }

    /// A connection that takes orders.
    ///
    /// # Errors
    /// When there is none in time.
    pub fn connect(&self) -> Result<TcpStream> {
        let mut link = connect(&self.host, RPC_PORT)?;
        let mut greeting = map(&[("Command", text("handshake")), ("Seq", number(0))]);
        greeting.extend(map(&[("Version", number(1))]));
        link.write_all(&greeting)
            .map_err(Error::io(format!("greeting the agent of {}", self.host.name())))?;
        Ok(link)
    }

    /// Has it send an event to all, not to be merged with others. Gives when it was told, and the event's name.
    ///
    /// # Errors
    /// When it cannot be told.
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

/// All names in what an agent told.
fn names(told: &[u8]) -> impl Iterator<Item = String> + '_ {
    let beginnings = (0..told.len()).flat_map(|at| SORTS.map(|sort| (sort, &told[at..])));
    beginnings.filter_map(|(sort, rest)| {
        let digits = rest.strip_prefix(sort.as_bytes())?.get(..DIGITS)?;
        let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Some(name(sort, number))
    })
}

// As much of MessagePack as is needed to give orders.
const FALSE: [u8; 1] = [0xc2];

/// A map of less than 16 entries.
fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![0x80 | entries.len() as u8];
    entries.iter().for_each(|(key, value)| bytes.extend([text(key), value.clone()].concat()));
    bytes
}

/// A text of less than 32 bytes.
fn text(text: &str) -> Vec<u8> {
    [&[0xa0 | text.len() as u8], text.as_bytes()].concat()
}

/// A number below 128.
fn number(number: u8) -> Vec<u8> {
    vec![number]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_among_anything_else() {
        let told = b"\x82\xa4Name\xa9node-0012\xa4Tags\x80event-0\xffevent-0007node-0012event-12";
        assert_eq!(names(told).collect::<Vec<_>>(), ["node-0012", "event-0007", "node-0012"]);
    }

    #[test]
    fn orders_are_message_pack() {
        let order = map(&[("Seq", number(3)), ("Coalesce", FALSE.to_vec())]);
        assert_eq!(order, b"\x82\xa3Seq\x03\xa8Coalesce\xc2");
    }
}
