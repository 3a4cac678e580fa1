//! Name look-ups for configured peers: again when one fails, and again when nobody answers.

use super::settings::UdpPeer;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use telemetry::{FaultReport, faults, report};
use tokio::task::JoinSet;

/// The most peers that are taken from the configuration.
const MAX_PEERS: usize = 64;
/// How long a look-up may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait after a look-up that failed, the first time and at most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));
/// How often the name of a silent host is looked up.
const SILENT: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Name {
    /// When to look it up next.
    due: Duration,
    is_running: bool,
    failures: u32,
    current: Option<SocketAddr>,
}

impl Name {
    /// Returns when the name is to be looked up; `None` while that is running or is not needed.
    fn next_look_up(
        &self,
        peer: &UdpPeer,
        heard: impl Fn(SocketAddr) -> Option<Duration>,
    ) -> Option<Duration> {
        match self.current {
            _ if self.is_running => None,
            None => Some(self.due),
            // An address does not change by being looked up.
            Some(_) if peer.host.parse::<IpAddr>().is_ok() => None,
            Some(address) => Some(heard(address).map_or(self.due, |last| self.due.max(last + SILENT))),
        }
    }
}

/// The peers that are wanted, and what is known of their addresses.
#[derive(Debug, Default)]
pub(crate) struct Names {
    names: BTreeMap<UdpPeer, Name>,
    running: JoinSet<(UdpPeer, Result<Vec<SocketAddr>>)>,
}

/// What a look-up brought.
pub(crate) type Lookup = (UdpPeer, Result<Vec<SocketAddr>>);

impl Names {
    /// Sets the wanted peers. Returns those that are no longer wanted.
    pub(crate) fn set(&mut self, peers: &[UdpPeer]) -> Vec<UdpPeer> {
        let wanted: BTreeSet<&UdpPeer> = peers.iter().take(MAX_PEERS).collect();
        let gone = self.names.keys().filter(|peer| !wanted.contains(peer)).cloned().collect::<Vec<_>>();
        self.names.retain(|peer, _| !gone.contains(peer));
        for peer in wanted {
            self.names.entry(peer.clone()).or_default();
        }
        gone
    }

    /// Begins the look-ups that are due. `heard` returns when a host was heard last.
    pub(crate) fn look_up(&mut self, now: Duration, heard: impl Fn(SocketAddr) -> Option<Duration>) {
        for (peer, name) in &mut self.names {
            if name.next_look_up(peer, &heard).is_some_and(|due| due <= now) {
                name.is_running = true;
                self.running.spawn(look_up(peer.clone()));
            }
        }
    }

    /// Returns when the next look-up is due, if nothing else is heard meanwhile.
    pub(crate) fn next_look_up(&self, heard: impl Fn(SocketAddr) -> Option<Duration>) -> Option<Duration> {
        self.names.iter().filter_map(|(peer, name)| name.next_look_up(peer, &heard)).min()
    }

    /// Returns the next result; waits for ever while no look-up is running.
    pub(crate) async fn next(&mut self) -> Lookup {
        match self.running.join_next().await {
            Some(Ok(found)) => found,
            // A look-up that panicked is never tried again; there is nothing in it that could.
            _ => std::future::pending().await,
        }
    }

    /// Takes a result. Returns what is wrong when there is no address.
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
                // A former address may still do.
                let unresolved =
                    || report!(faults::UDP_PEER_NAME_UNRESOLVED, host = peer.host, error = error);
                name.current.is_none().then(unresolved)
            }
        }
    }

    /// The addresses to speak to now.
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

/// The address after the one that was tried; the first when that is none of them. There is at least one.
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
    async fn an_ip_address_is_found_once() {
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
    async fn a_name_is_looked_up_again_until_it_is_found_and_when_its_host_is_silent() {
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
        // A host that is heard is left in peace.
        names.look_up(at(66), |_| Some(at(60)));
        assert!(names.running.is_empty());
        // Nobody answers: the other address is tried. When the look-up fails now, it stays.
        names.found((server.clone(), both()), true, at(66));
        assert_eq!(names.found((server.clone(), fail()), true, at(126)), None);
        assert_eq!(names.addresses(), [address(2)].into());
    }

    #[test]
    fn ipv6_needs_ipv6() {
        let mut names = Names::default();
        names.set(&[peer("server.example")]);
        let found = |last| Ok(vec![SocketAddr::new("2001:db8::1".parse().unwrap(), 1240), address(last)]);
        names.found((peer("server.example"), found(1)), false, at(0));
        assert_eq!(names.addresses(), [address(1)].into());
    }
}
