//! Remembers which peers were heard on which interface. This shows which interfaces are worth announcing, and on which
//! interface a link-local address can be reached.

use dcache::PeerId;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Time for which a peer counts as heard on an interface after its last line there.
const LATELY: Duration = Duration::from_secs(15 * 60);
/// Time without a line from another address after which a peer counts as having only link-local addresses. Three times
/// the interval at which all cast modes are used.
const ONLY: Duration = Duration::from_secs(180);
/// Grace period of a new peer, which may be heard by its link-local address first.
const FIRST: Duration = Duration::from_secs(10);
/// Maximum number of remembered sightings, over all interfaces.
const MAX_PEERS: usize = 512;
/// Maximum number of interfaces that are returned for one link-local address.
const MAX_ZONES: usize = 4;

/// One peer as heard on one interface. Times count from the start of the daemon.
#[derive(Clone, Debug)]
struct Sighting {
    first: Duration,
    last: Duration,
    link_local: Option<Ipv6Addr>,
    /// When the peer was last heard by an address that is not link-local.
    by_other: Option<Duration>,
    /// The result of [`Sighting::has_only_link_local`] that was last reported as a change.
    is_told: bool,
}

impl Sighting {
    fn has_only_link_local(&self, now: Duration) -> bool {
        let is_heard_otherwise = self.by_other.is_some_and(|at| now.saturating_sub(at) < ONLY);
        let is_new = now.saturating_sub(self.first) < FIRST;
        self.link_local.is_some() && !is_heard_otherwise && !is_new
    }

    fn is_lately(&self, now: Duration) -> bool {
        now.saturating_sub(self.last) < LATELY
    }
}

/// The sightings of all peers, by interface.
#[derive(Debug, Default)]
struct Sightings(BTreeMap<(u32, PeerId), Sighting>);

impl Sightings {
    /// Records that a peer was heard. Returns whether an answer about the interface may have changed.
    fn note(&mut self, interface: u32, peer: PeerId, source: IpAddr, now: Duration) -> bool {
        let was_heard = self.is_heard(interface, now);
        if self.0.len() >= MAX_PEERS && !self.0.contains_key(&(interface, peer)) {
            let oldest = self.0.iter().min_by_key(|(_, sighting)| sighting.last).map(|(key, _)| *key);
            if let Some(oldest) = oldest {
                self.0.remove(&oldest);
            }
        }
        let sighting = self.0.entry((interface, peer)).or_insert(Sighting {
            first: now,
            last: now,
            link_local: None,
            by_other: None,
            is_told: false,
        });
        sighting.last = now;
        match source {
            IpAddr::V6(ip) if ip.is_unicast_link_local() => sighting.link_local = Some(ip),
            _ => sighting.by_other = Some(now),
        }
        let only = sighting.has_only_link_local(now);
        std::mem::replace(&mut sighting.is_told, only) != only || !was_heard
    }

    fn of(&self, interface: u32) -> impl Iterator<Item = &Sighting> {
        let first = self.0.range((interface, PeerId::from_public_key([0; 32]))..);
        first.take_while(move |((at, _), _)| *at == interface).map(|(_, sighting)| sighting)
    }

    fn is_heard(&self, interface: u32, now: Duration) -> bool {
        self.of(interface).any(|sighting| sighting.is_lately(now))
    }

    fn needs_link_local(&self, interface: u32, now: Duration) -> bool {
        self.of(interface).any(|sighting| sighting.is_lately(now) && sighting.has_only_link_local(now))
    }

    fn zones(&self, ip: Ipv6Addr) -> Vec<u32> {
        let heard = self.0.iter().filter(|(_, sighting)| sighting.link_local == Some(ip));
        let mut zones: Vec<(Duration, u32)> =
            heard.map(|((zone, _), sighting)| (sighting.last, *zone)).collect();
        zones.sort_unstable_by_key(|(last, zone)| (std::cmp::Reverse(*last), *zone));
        let mut different = Vec::new();
        for (_, zone) in zones {
            if different.len() < MAX_ZONES && !different.contains(&zone) {
                different.push(zone);
            }
        }
        different
    }
}

/// The peers heard on each interface. Clones share the same data.
#[derive(Clone, Debug)]
pub struct Heard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    sightings: Mutex<Sightings>,
    changes: watch::Sender<()>,
}

impl Default for Heard {
    fn default() -> Self {
        let (started, sightings) = (Instant::now(), Mutex::default());
        Self(Arc::new(Inner { started, sightings, changes: watch::Sender::new(()) }))
    }
}

impl Heard {
    /// Records that a peer itself was heard on an interface, from this address.
    pub(crate) fn note(&self, interface: u32, peer: PeerId, source: IpAddr) {
        let now = self.now();
        if self.sightings().note(interface, peer, source.to_canonical(), now) {
            self.0.changes.send_replace(());
        }
    }

    /// Returns whether any peer was heard on an interface within the last 15 minutes.
    pub fn is_heard(&self, interface: u32) -> bool {
        self.sightings().is_heard(interface, self.now())
    }

    /// Returns whether some peer on an interface seems to have only link-local addresses.
    pub fn needs_link_local(&self, interface: u32) -> bool {
        self.sightings().needs_link_local(interface, self.now())
    }

    /// Returns the interfaces on which a link-local address was heard, the latest first.
    pub fn zones(&self, ip: Ipv6Addr) -> Vec<u32> {
        self.sightings().zones(ip)
    }

    /// Returns a receiver that is notified when an answer of [`Heard::is_heard`] or [`Heard::needs_link_local`]
    /// changes. It is not notified when peers merely fall silent.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }

    fn now(&self) -> Duration {
        self.0.started.elapsed()
    }

    fn sightings(&self) -> MutexGuard<'_, Sightings> {
        // Each change is a single call that leaves the data consistent, so a poisoned lock is safe to use.
        self.0.sightings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::Keypair;

    fn peer(seed: u8) -> PeerId {
        Keypair::from_seed([seed; 32]).peer_id()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_peer_with_other_addresses_needs_no_link_local_one() {
        let mut sightings = Sightings::default();
        assert!(sightings.note(3, peer(1), ip("fe80::1"), at(0)), "the first one on its interface");
        assert!(!sightings.note(3, peer(1), ip("10.0.0.1"), at(1)));
        assert!(!sightings.note(3, peer(1), ip("fe80::1"), at(60)));
        assert!(!sightings.needs_link_local(3, at(61)));
        assert!(sightings.is_heard(3, at(61)) && !sightings.is_heard(2, at(61)));
        // The peer lost its other address.
        assert!(sightings.note(3, peer(1), ip("fe80::1"), at(182)));
        assert!(sightings.needs_link_local(3, at(182)));
        assert!(!sightings.needs_link_local(3, at(182) + LATELY));
    }

    #[test]
    fn a_peer_with_only_a_link_local_address_is_noticed_after_a_while() {
        let mut sightings = Sightings::default();
        sightings.note(3, peer(1), ip("fe80::1"), at(0));
        assert!(!sightings.note(3, peer(1), ip("fe80::1"), at(5)));
        assert!(sightings.note(3, peer(1), ip("fe80::1"), at(10)));
        assert!(sightings.needs_link_local(3, at(10)) && !sightings.needs_link_local(4, at(10)));
        assert!(!sightings.note(3, peer(1), ip("fe80::1"), at(11)), "that was reported already");
    }

    #[test]
    fn a_link_local_address_is_found_on_the_interfaces_where_it_was_heard() {
        let mut sightings = Sightings::default();
        sightings.note(3, peer(1), ip("fe80::1"), at(0));
        sightings.note(5, peer(1), ip("fe80::1"), at(1));
        sightings.note(5, peer(2), ip("fe80::1"), at(2));
        sightings.note(7, peer(3), ip("fe80::3"), at(3));
        assert_eq!(sightings.zones("fe80::1".parse().unwrap()), [5, 3]);
        assert!(sightings.zones("fe80::2".parse().unwrap()).is_empty());
    }

    #[test]
    fn the_number_of_remembered_peers_is_bounded() {
        let mut sightings = Sightings::default();
        for number in 0..MAX_PEERS as u32 + 9 {
            let source = IpAddr::V4(number.into());
            sightings.note(number, peer(1), source, Duration::from_millis(number.into()));
        }
        assert_eq!(sightings.0.len(), MAX_PEERS);
        assert!(!sightings.is_heard(0, at(1)) && sightings.is_heard(MAX_PEERS as u32 + 8, at(1)));
    }
}
