//! Name look-ups for configured peers. A look-up is repeated when it fails, and when the host is silent.

use super::settings::UdpPeer;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use telemetry::{FaultReport, faults, report};
use tokio::task::JoinSet;

/// Maximum number of configured peers; more are ignored.
const MAX_PEERS: usize = 64;
/// Timeout of a look-up.
const PATIENCE: Duration = Duration::from_secs(10);
/// First and maximum wait after a look-up that failed.
const AGAIN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));
/// Interval at which the name of a silent host is looked up.
const SILENT: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Name {
    /// When to look the name up next.
    due: Duration,
    is_running: bool,
    failures: u32,
    current: Option<SocketAddr>,
}

impl Name {
    /// Returns when the name has to be looked up; `None` while a look-up is running or none is needed.
    fn next_look_up(
        &self,
        peer: &UdpPeer,
        heard: impl Fn(SocketAddr) -> Option<Duration>,
    ) -> Option<Duration> {
        match self.current {
            _ if self.is_running => None,
            None => Some(self.due),
            // An IP address needs no further look-up.
            Some(_) if peer.host.parse::<IpAddr>().is_ok() => None,
            Some(address) => Some(heard(address).map_or(self.due, |last| self.due.max(last + SILENT))),
        }
    }
}

/// The configured peers and their known addresses.
#[derive(Debug, Default)]
pub(crate) struct Names {
    names: BTreeMap<UdpPeer, Name>,
    running: JoinSet<(UdpPeer, Result<Vec<SocketAddr>>)>,
}

/// Result of a look-up.
pub(crate) type Lookup = (UdpPeer, Result<Vec<SocketAddr>>);

impl Names {
    /// Sets the configured peers. Returns those that were removed.
    pub(crate) fn set(&mut self, peers: &[UdpPeer]) -> Vec<UdpPeer> {
        let wanted: BTreeSet<&UdpPeer> = peers.iter().take(MAX_PEERS).collect();
        let gone = self.names.keys().filter(|peer| !wanted.contains(peer)).cloned().collect::<Vec<_>>();
        self.names.retain(|peer, _| !gone.contains(peer));
        for peer in wanted {
            self.names.entry(peer.clone()).or_default();
        }
        gone
    }

    /// Starts the look-ups that are due. `heard` returns when a host was last heard.
    pub(crate) fn look_up(&mut self, now: Duration, heard: impl Fn(SocketAddr) -> Option<Duration>) {
        for (peer, name) in &mut self.names {
            if name.next_look_up(peer, &heard).is_some_and(|due| due <= now) {
                name.is_running = true;
                self.running.spawn(look_up(peer.clone()));
            }
        }
    }

    /// Returns when the next look-up is due, if no host is heard before.
    pub(crate) fn next_look_up(&self, heard: impl Fn(SocketAddr) -> Option<Duration>) -> Option<Duration> {
        self.names.iter().filter_map(|(peer, name)| name.next_look_up(peer, &heard)).min()
    }

    /// Waits for the next result. Waits for ever while no look-up is running.
    pub(crate) async fn next(&mut self) -> Lookup {
        match self.running.join_next().await {
            Some(Ok(found)) => found,
            // A look-up that panicked is not repeated, but nothing in it can panic.
            _ => std::future::pending().await,
        }
    }

    /// Handles a result. Returns a fault if the look-up failed and no earlier address is known.
    pub(crate) fn found(&mut self, lookup: Lookup, has_ipv6: bool, now: Duration) -> Option<FaultReport> {
        let (peer, result) = lookup;
        let name = self.names.get_mut(&peer)?;
        name.is_running = false;
        let usable = result.and_then(|found| usable(found, has_ipv6));
        match usable {
            Ok(addresses) => {
                (name.failures, name.due) = (0, now + SILENT);
                name.current = Some(next_of(&addresses, name.current));
                None
            }
            Err(error) => {
                name.due = now + AGAIN.1.min(AGAIN.0 * 2u32.saturating_pow(name.failures));
                name.failures = name.failures.saturating_add(1);
                // An earlier address may still work.
                let unresolved =
                    || report!(faults::UDP_PEER_NAME_UNRESOLVED, host = peer.host, error = error);
                name.current.is_none().then(unresolved)
            }
        }
    }

    /// Returns the current addresses of the peers.
    pub(crate) fn addresses(&self) -> BTreeSet<SocketAddr> {
        self.names.values().filter_map(|name| name.current).collect()
    }
}

async fn look_up(peer: UdpPeer) -> Lookup {
    let result = match tokio::time::timeout(PATIENCE, addresses(&peer)).await {
        Ok(found) => found,
        Err(_) => Err(Error::new(ErrorKind::TimedOut, "no answer")),
    };
    (peer, result)
}

async fn addresses(peer: &UdpPeer) -> Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((peer.host.as_str(), peer.port)).await?.collect())
}

fn usable(found: Vec<SocketAddr>, has_ipv6: bool) -> Result<Vec<SocketAddr>> {
    let usable = found.into_iter().filter(|address| has_ipv6 || address.is_ipv4()).collect::<Vec<_>>();
    match usable.is_empty() {
        true => Err(Error::new(ErrorKind::NotFound, "it has no address that this host can reach")),
        false => Ok(usable),
    }
}

/// Returns the address after the one that was tried, or the first if that one is not in the list. The list must not be
/// empty.
fn next_of(addresses: &[SocketAddr], tried: Option<SocketAddr>) -> SocketAddr {
    let place = addresses.iter().position(|address| Some(*address) == tried);
    addresses[place.map_or(0, |place| (place + 1) % addresses.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(host: &str) -> UdpPeer {
        UdpPeer { host: host.to_owned(), port: 1240 }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 1240))
    }

    #[tokio::test]
    async fn an_ip_address_is_looked_up_once() {
        let mut names = Names::default();
        names.set(&[peer("10.0.0.1")]);
        names.look_up(at(0), |_| None);
        let found = names.next().await;
        assert_eq!(names.found(found, false, at(0)), None);
        assert_eq!(names.addresses(), [address(1)].into());
        names.look_up(at(1000), |_| None);
        assert!(names.running.is_empty());
        assert_eq!(names.set(&[]), [peer("10.0.0.1")]);
        assert!(names.addresses().is_empty());
    }

    #[tokio::test]
    async fn a_name_is_looked_up_again_after_failures_and_when_its_host_is_silent() {
        let mut names = Names::default();
        let server = peer("server.example");
        names.set(std::slice::from_ref(&server));
        let fail = || Err(Error::other("no such name"));
        let fault = names.found((server.clone(), fail()), true, at(0)).unwrap();
        assert_eq!(fault.code(), "udp.peer-name-unresolved");
        let message = fault.message();
        assert!(message.contains("server.example") && message.contains("no such name"), "{message}");
        assert_eq!(names.names[&server].due, at(2));
        names.found((server.clone(), fail()), true, at(2));
        assert_eq!(names.names[&server].due, at(6));
        let both = || Ok(vec![address(1), address(2)]);
        assert_eq!(names.found((server.clone(), both()), true, at(6)), None);
        assert_eq!(names.addresses(), [address(1)].into());
        // The name of a host that is heard is not looked up.
        names.look_up(at(66), |_| Some(at(60)));
        assert!(names.running.is_empty());
        // The host is silent, so the other address is tried. That address stays when the next look-up fails.
        names.found((server.clone(), both()), true, at(66));
        assert_eq!(names.found((server.clone(), fail()), true, at(126)), None);
        assert_eq!(names.addresses(), [address(2)].into());
    }

    #[test]
    fn ipv6_addresses_are_skipped_without_ipv6() {
        let mut names = Names::default();
        names.set(&[peer("server.example")]);
        let found = |last| Ok(vec![SocketAddr::new("2001:db8::1".parse().unwrap(), 1240), address(last)]);
        names.found((peer("server.example"), found(1)), false, at(0));
        assert_eq!(names.addresses(), [address(1)].into());
    }
}
