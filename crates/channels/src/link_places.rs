//! The places for links that others open: how many there are, for whom, and which link gives its place to another.
//!
//! Nobody can take all of them: whoever comes gets the place of a link that is of less use, and programs on this computer have
//! places of their own.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Time for which a link that was of use keeps its place, unless its host has more links than the one that comes. Longer than
/// a comparison waits for its next step.
const SPARED: Duration = Duration::from_secs(5);

/// When a link was last of use: when a line came by it that means something.
#[derive(Debug, Default)]
pub(crate) struct LinkUse(AtomicU64);

impl LinkUse {
    /// Notes a use, at a time since some fixed moment.
    pub(crate) fn note(&self, elapsed: Duration) {
        self.0.store(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn last(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// The number of a place. It is never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlaceId(u64);

/// Maximum numbers of links that others open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlaceLimits {
    /// Of all hosts together, except this computer.
    pub(crate) all: usize,
    /// Of one address. This computer counts as one, with places of its own.
    pub(crate) of_address: usize,
    /// Of one IPv6 network of 64 bits, in which one host can have any number of addresses.
    pub(crate) of_network: usize,
}

/// Whether one more link can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It can.
    Free,
    /// It can once this one is closed.
    InsteadOf(PlaceId),
    /// It cannot: all others are in use.
    Full,
}

#[derive(Debug)]
struct Place {
    host: IpAddr,
    link_use: Arc<LinkUse>,
}

/// The links that others opened.
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

    /// Takes a place for a link with a host. The caller has asked for [`Self::admission`].
    pub(crate) fn take(&mut self, host: IpAddr, now: Duration) -> (PlaceId, Arc<LinkUse>) {
        self.last += 1;
        let (id, link_use) = (PlaceId(self.last), Arc::<LinkUse>::default());
        link_use.note(now);
        self.taken.insert(id, Place { host: of_host(host), link_use: Arc::clone(&link_use) });
        (id, link_use)
    }

    /// Frees a place.
    pub(crate) fn free(&mut self, id: PlaceId) {
        self.taken.remove(&id);
    }

    /// Returns whether a link with a host can be taken.
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

    /// Chooses among these the link of least use: one of the host that has most, and of these the one that was of no use for
    /// longest.
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

/// All addresses of this computer are one.
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

    /// Takes a place if there is one, closing another link if need be.
    fn comes(places: &mut LinkPlaces, host: IpAddr, now: Duration) -> Option<(PlaceId, Arc<LinkUse>)> {
        match places.admission(host, now) {
            Admission::Full => return None,
            Admission::InsteadOf(id) => places.free(id),
            Admission::Free => {}
        }
        Some(places.take(host, now))
    }

    /// Four hosts take all places, and use each link once a second if they are `active`.
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
    fn whoever_comes_gets_a_place_though_four_hosts_have_taken_all() {
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
    fn of_one_host_the_link_of_least_use_goes_and_none_that_is_in_use() {
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
    fn a_class_on_one_network_has_a_link_each() {
        let mut places = LinkPlaces::new(LIMITS);
        for n in 1..=40u16 {
            assert_eq!(places.admission(ip(&format!("fe80::{n:x}")), at(0)), Admission::Free);
            places.take(ip(&format!("fe80::{n:x}")), at(0));
        }
    }
}
