//! The places for accepted links: how many there are, for which hosts, and which link is evicted for a new one.
//!
//! No host can take all places for long: a new link evicts the link that is of least use. Programs on this computer
//! have places of their own.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Time after its last use during which a link keeps its place, unless its host has more links than the host of the new
/// link. It is longer than the time for which a comparison waits for its next step.
const SPARED: Duration = Duration::from_secs(5);

/// Time of a link's last use: when it last received a meaningful line.
#[derive(Debug, Default)]
pub(crate) struct LinkUse(AtomicU64);

impl LinkUse {
    /// Records a use. `elapsed` is the time since a fixed moment.
    pub(crate) fn note(&self, elapsed: Duration) {
        self.0.store(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn last(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// Number of a place; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlaceId(u64);

/// Limits of the number of accepted links.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlaceLimits {
    /// Maximum for all hosts together, except this computer.
    pub(crate) all: usize,
    /// Maximum for one address. This computer counts as one address, with places of its own.
    pub(crate) of_address: usize,
    /// Maximum for one IPv6 network of 64 bits, in which one host can have any number of addresses.
    pub(crate) of_network: usize,
}

/// Whether one more link can be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The link can be accepted.
    Free,
    /// The link can be accepted after this one is closed.
    InsteadOf(PlaceId),
    /// The link cannot be accepted: all others are in use.
    Full,
}

#[derive(Debug)]
struct Place {
    host: IpAddr,
    link_use: Arc<LinkUse>,
}

/// The accepted links and their places.
#[derive(Debug)]
pub(crate) struct LinkPlaces {
    limits: PlaceLimits,
    taken: BTreeMap<PlaceId, Place>,
    last: u64,
}

impl LinkPlaces {
    pub(crate) fn new(limits: PlaceLimits) -> Self {
        Self { limits, taken: BTreeMap::new(), last: 0 }
    }

    /// Takes a place for a link with a host. The caller must have asked for [`Self::admission`] first.
    pub(crate) fn take(&mut self, host: IpAddr, now: Duration) -> (PlaceId, Arc<LinkUse>) {
        self.last += 1;
        let (id, link_use) = (PlaceId(self.last), Arc::<LinkUse>::default());
        link_use.note(now);
        self.taken.insert(id, Place { host: of_host(host), link_use: Arc::clone(&link_use) });
        (id, link_use)
    }

    pub(crate) fn free(&mut self, id: PlaceId) {
        self.taken.remove(&id);
    }

    /// Returns whether a link with a host can be accepted.
    pub(crate) fn admission(&self, host: IpAddr, now: Duration) -> Admission {
        let host = of_host(host);
        let is_of_address = |place: &Place| place.host == host;
        if self.count(is_of_address) >= self.limits.of_address {
            return self.instead_of(is_of_address, host, now);
        }
        if host.is_loopback() {
            return Admission::Free;
        }
        let is_of_network = |place: &Place| is_same_network(place.host, host);
        if self.count(is_of_network) >= self.limits.of_network {
            return self.instead_of(is_of_network, host, now);
        }
        let is_of_others = |place: &Place| !place.host.is_loopback();
        match self.count(is_of_others) >= self.limits.all {
            true => self.instead_of(is_of_others, host, now),
            false => Admission::Free,
        }
    }

    fn count(&self, is_meant: impl Fn(&Place) -> bool) -> usize {
        self.taken.values().filter(|place| is_meant(place)).count()
    }

    /// Chooses the link of least use among those that `is_meant` selects. It belongs to the host with the most links,
    /// and of these links it has been idle for longest.
    fn instead_of(&self, is_meant: impl Fn(&Place) -> bool, new: IpAddr, now: Duration) -> Admission {
        let of_address = |host: IpAddr| self.count(|place| place.host == host);
        let idle = |place: &Place| now.saturating_sub(place.link_use.last());
        let meant = self.taken.iter().filter(|(_, place)| is_meant(place));
        let ranked = meant.map(|(id, place)| (of_address(place.host), idle(place), *id));
        match ranked.max_by_key(|(links, idle, id)| (*links, *idle, std::cmp::Reverse(*id))) {
            Some((links, idle, id)) if links > of_address(new) || idle >= SPARED => Admission::InsteadOf(id),
            _ => Admission::Full,
        }
    }
}

/// Returns the canonical form of an address. All loopback addresses count as one.
fn of_host(host: IpAddr) -> IpAddr {
    match host.to_canonical() {
        host if host.is_loopback() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    }
}

fn is_same_network(one: IpAddr, other: IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() >> 64 == other.to_bits() >> 64,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PlaceLimits = PlaceLimits { all: 64, of_address: 16, of_network: 48 };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Takes a place if possible, and evicts another link if necessary.
    fn comes(places: &mut LinkPlaces, host: IpAddr, now: Duration) -> Option<(PlaceId, Arc<LinkUse>)> {
        match places.admission(host, now) {
            Admission::Full => return None,
            Admission::InsteadOf(id) => places.free(id),
            Admission::Free => {}
        }
        Some(places.take(host, now))
    }

    /// Lets four hosts take all places. If `active`, they use each link once a second.
    fn crowded(places: &mut LinkPlaces, active: bool, until: u64) {
        let mut uses = Vec::new();
        for host in 1..=4u8 {
            for _ in 0..16 {
                uses.push(comes(places, IpAddr::from([10, 0, 0, host]), at(0)).unwrap().1);
            }
        }
        for second in 0..=until {
            uses.iter().filter(|_| active).for_each(|link_use| link_use.note(at(second)));
        }
    }

    #[test]
    fn a_new_host_gets_a_place_although_four_hosts_have_taken_all() {
        for active in [false, true] {
            let mut places = LinkPlaces::new(LIMITS);
            crowded(&mut places, active, 60);
            for host in 10..20 {
                assert!(comes(&mut places, IpAddr::from([10, 0, 1, host]), at(60)).is_some(), "{active}");
            }
            assert_eq!(places.taken.len(), 64);
        }
    }

    #[test]
    fn programs_on_this_computer_have_places_of_their_own() {
        let mut places = LinkPlaces::new(LIMITS);
        crowded(&mut places, true, 60);
        for host in ["127.0.0.1", "::1", "127.0.0.2", "::ffff:127.0.0.1"] {
            assert_eq!(places.admission(ip(host), at(60)), Admission::Free);
            places.take(ip(host), at(60));
        }
        (4..16).for_each(|_| drop(places.take(ip("127.0.0.1"), at(60))));
        assert_eq!(places.admission(ip("127.0.0.1"), at(60)), Admission::Full, "all of them were just taken");
        let oldest = places.admission(ip("::1"), at(66));
        assert!(matches!(oldest, Admission::InsteadOf(id) if places.taken[&id].host.is_loopback()));
    }

    #[test]
    fn the_least_used_link_of_a_host_is_evicted_and_no_link_in_use() {
        let mut places = LinkPlaces::new(LIMITS);
        let host = ip("10.0.0.1");
        let links: Vec<_> = (0..16).map(|_| places.take(host, at(0))).collect();
        links
            .iter()
            .enumerate()
            .filter(|(n, _)| *n != 7)
            .for_each(|(_, (_, link_use))| link_use.note(at(10)));
        assert_eq!(places.admission(host, at(10)), Admission::InsteadOf(links[7].0));
        links[7].1.note(at(10));
        assert_eq!(places.admission(host, at(10)), Admission::Full);
    }

    #[test]
    fn a_host_with_any_number_of_addresses_leaves_places_for_others() {
        let mut places = LinkPlaces::new(LIMITS);
        let many = (1..2000u16).map(|n| ip(&format!("2001:db8::{n:x}")));
        many.for_each(|host| drop(comes(&mut places, host, at(u64::MAX / 2000))));
        assert_eq!(places.taken.len(), 48);
        assert_eq!(places.admission(ip("10.0.0.1"), at(1)), Admission::Free);
    }

    #[test]
    fn each_robot_of_a_class_on_one_network_gets_a_link() {
        let mut places = LinkPlaces::new(LIMITS);
        for n in 1..=40u16 {
            assert_eq!(places.admission(ip(&format!("fe80::{n:x}")), at(0)), Admission::Free);
            places.take(ip(&format!("fe80::{n:x}")), at(0));
        }
    }
}
