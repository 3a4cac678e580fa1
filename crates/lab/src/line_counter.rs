//! Counts the lines that each client of a server sent, and when, by capturing packets on the server's host.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::{Error, Host, Process, Result};

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Name of the process and its log in the host's folder.
const NAME: &str = "arriving";

/// Captures packets on a host. A client that sends each line by itself sends one packet per line.
#[derive(Debug)]
pub struct LineCounter {
    host: Host,
    process: Process,
}

/// The arrival times in seconds of the lines of each client.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Arrivals(BTreeMap<Ipv4Addr, Vec<f64>>);

impl LineCounter {
    /// Starts to count the packets that arrive at a port of a host, except those that the host `except` sends.
    ///
    /// # Errors
    /// When tcpdump does not start.
    pub fn start(host: &Host, port: u16, except: &Host) -> Result<Self> {
        let mut command = host.command("tcpdump");
        command.args(["-l", "-n", "-tt", "-q", "-i", "any", "-Z", "root"]);
        let others = except.links().iter().map(|link| format!(" and not src host {}", link.address()));
        command.arg(format!("tcp dst port {port}{}", others.collect::<String>()));
        let process = host.spawn(NAME, command)?;
        process.wait_for_line(|line| line.contains("listening on"), START_LIMIT)?;
        Ok(Self { host: host.clone(), process })
    }

    /// Ends the capture, and returns the arrivals.
    ///
    /// # Errors
    /// When tcpdump does not end, or its log cannot be read.
    pub fn stop(mut self) -> Result<Arrivals> {
        self.process.terminate(STOP_LIMIT)?;
        let log = self.host.folder().join(format!("{NAME}.log"));
        let text = fs::read_to_string(&log).map_err(Error::io(log.display().to_string()))?;
        Ok(Arrivals::parse(&text))
    }
}

impl Arrivals {
    fn parse(log: &str) -> Self {
        let mut arrivals = BTreeMap::<_, Vec<_>>::new();
        for (client, at) in log.lines().filter_map(parse_line) {
            arrivals.entry(client).or_default().push(at);
        }
        Self(arrivals)
    }

    /// Returns only the arrivals of these clients, for example without those of other servers.
    #[must_use]
    pub fn of(mut self, clients: &[Ipv4Addr]) -> Self {
        self.0.retain(|client, _| clients.contains(client));
        self
    }

    /// Returns the number of lines that each client sent.
    pub fn counts(&self) -> Vec<usize> {
        self.0.values().map(Vec::len).collect()
    }

    /// Returns the maximum number of lines that one client sent within any span of this many seconds.
    pub fn most_within(&self, seconds: f64) -> usize {
        let most = |times: &Vec<f64>| {
            let within = |(place, at): (usize, &f64)| {
                times[place..].iter().take_while(|later| **later < at + seconds).count()
            };
            times.iter().enumerate().map(within).max().unwrap_or(0)
        };
        self.0.values().map(most).max().unwrap_or(0)
    }
}

/// Returns the client and the time of a packet that is not empty. Example of a line:
/// `1700000000.25 eth1  In  IP 10.77.1.1.45678 > 10.77.1.2.6667: tcp 312`.
fn parse_line(line: &str) -> Option<(Ipv4Addr, f64)> {
    let at = line.split_whitespace().next()?.parse().ok()?;
    let (_, packet) = line.split_once(" IP ")?;
    let (addresses, bytes) = packet.split_once(": tcp ")?;
    let (client, _port) = addresses.split_once(" > ")?.0.rsplit_once('.')?;
    let is_empty = bytes.trim() == "0";
    (!is_empty).then_some((client.parse().ok()?, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_with_payload_are_counted_by_client() {
        // The log of a process marks each line with two characters.
        let log = "! listening on any\n  100.5 eth1  In  IP 10.77.1.1.4567 > 10.77.1.2.6667: tcp 12\n\
                   101.0 eth1  In  IP 10.77.1.1.4567 > 10.77.1.2.6667: tcp 0\n\
                   102.4 eth1  In  IP 10.77.1.1.4567 > 10.77.1.2.6667: tcp 300\n\
                   102.6 IP 10.77.1.1.4567 > 10.77.1.2.6667: tcp 300\n\
                   103.0 eth2  In  IP 10.77.2.1.4567 > 10.77.2.2.6667: tcp 5\n";
        let arrivals = Arrivals::parse(log);
        assert_eq!(arrivals.counts(), [3, 1]);
        assert_eq!((arrivals.most_within(1.0), arrivals.most_within(2.0)), (2, 2));
        assert_eq!(arrivals.most_within(10.0), 3);
    }
}
