//! Plans the sweep of a small network on which broadcasts and multicasts get lost: one datagram to each of its
//! addresses, so that a robot there answers.
//!
//! A sweep begins when nobody was heard on an interface for a while. Known hosts come first, then the addresses next to
//! this host's own. The pauses between sweeps grow. A neighbour that is heard by broadcast or multicast ends the sweep. A
//! neighbour that is heard by unicast does not, because there may be more neighbours, but no other sweep begins.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::interfaces::Network;
use std::collections::{BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Silence of all neighbours after which a sweep begins. On a network that works, a neighbour sends a beacon every two
/// seconds.
const SILENCE: Duration = Duration::from_secs(10);
/// Time before a datagram is sent at which the latest beacon is kept for it. Longer than the interval of beacons.
const NEAR: Duration = Duration::from_secs(5);
/// Silence of the neighbours that are heard by unicast after which another sweep may begin. They send a beacon every
/// twenty seconds.
const UNICAST_SILENCE: Duration = Duration::from_secs(90);
/// Time between two datagrams of a sweep.
const PACE: Duration = Duration::from_millis(20);
/// First and maximum pause between two sweeps. Each sweep doubles it.
const PAUSE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));
/// Maximum number of addresses in a sweep, which is the size of a /24 network.
const MAX_HOSTS: usize = 256;
/// Maximum number of known hosts in a sweep.
const MAX_KNOWN: usize = 64;

/// Sweeps of one interface.
#[derive(Debug)]
pub(crate) struct Sweep {
    /// Time of the next datagram of the sweep, or of the next sweep.
    next: Duration,
    /// Addresses that remain in the current sweep.
    left: VecDeque<Ipv4Addr>,
    /// Addresses to which the current or the last sweep sent a datagram, and that did not answer yet.
    asked: BTreeSet<Ipv4Addr>,
    /// Number of sweeps since a neighbour was last heard.
    rounds: u32,
}

/// The next step of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Begin a sweep; see [`Sweep::begin`].
    Begin,
    /// Send a datagram to this address.
    Ask(Ipv4Addr),
}

impl Sweep {
    /// Returns the sweeps of an interface that came up at `now`.
    pub(crate) fn new(now: Duration) -> Self {
        Self { next: now + SILENCE, left: VecDeque::new(), asked: BTreeSet::new(), rounds: 0 }
    }

    /// Returns the time of the next step.
    pub(crate) fn next(&self) -> Duration {
        self.next
    }

    /// Returns whether datagrams are sent now or soon, so that the latest beacon is needed.
    pub(crate) fn is_near(&self, now: Duration) -> bool {
        !self.left.is_empty() || self.next <= now + NEAR
    }

    /// Notes a neighbour that was heard by broadcast or multicast. Such a network needs no sweep.
    pub(crate) fn heard_by_cast(&mut self, now: Duration) {
        self.left.clear();
        (self.rounds, self.next) = (0, now + SILENCE);
    }

    /// Notes a neighbour that was heard by unicast. The current sweep goes on, but the next one waits.
    pub(crate) fn heard_by_unicast(&mut self, now: Duration) {
        if self.left.is_empty() {
            self.next = self.next.max(now + UNICAST_SILENCE);
        }
    }

    /// Returns whether a host was asked and has not answered before. Notes that it has answered.
    pub(crate) fn take_answer(&mut self, host: Ipv4Addr) -> bool {
        self.asked.remove(&host)
    }

    /// Returns the step that is due at `now`.
    pub(crate) fn take_due(&mut self, now: Duration) -> Option<Step> {
        if now < self.next {
            return None;
        }
        let Some(host) = self.left.pop_front() else { return Some(Step::Begin) };
        self.asked.insert(host);
        self.next = if self.left.is_empty() { now + self.pause() } else { now + PACE };
        Some(Step::Ask(host))
    }

    /// Begins a sweep of the networks of the interface, with these known hosts first.
    pub(crate) fn begin(&mut self, networks: &[Network], known: &[Ipv4Addr], now: Duration) {
        self.left = hosts(networks, known);
        self.asked.clear();
        self.rounds = self.rounds.saturating_add(1);
        self.next = if self.left.is_empty() { now + self.pause() } else { now };
    }

    /// Takes hosts at which a robot was found. Between two sweeps of a silent network, those that were not asked yet are
    /// asked now. Otherwise the next sweep begins soon, or the network needs none.
    pub(crate) fn found(&mut self, networks: &[Network], found: &[Ipv4Addr], now: Duration) {
        if self.rounds == 0 || !self.left.is_empty() {
            return;
        }
        let new = found.iter().copied().filter(|host| !self.asked.contains(host));
        let new: Vec<Ipv4Addr> = new.collect();
        self.left = hosts_among(networks, &new);
        if !self.left.is_empty() {
            self.next = now;
        }
    }

    /// Delays the next step, for example because there is no datagram to send yet.
    pub(crate) fn wait(&mut self, now: Duration, time: Duration) {
        self.next = now + time;
    }

    fn pause(&self) -> Duration {
        (PAUSE.0 * (1 << self.rounds.saturating_sub(1).min(16))).min(PAUSE.1)
    }
}

/// Number of datagrams that the sweeps of all interfaces have sent lately.
#[derive(Debug, Default)]
pub(crate) struct SweepBudget {
    /// Start of the current minute.
    since: Duration,
    sent: usize,
}

impl SweepBudget {
    /// Checks that fewer than [`MAX_HOSTS`] datagrams were sent in this minute. If not, returns the time until it ends.
    pub(crate) fn has_room(&mut self, now: Duration) -> Result<(), Duration> {
        let end = self.since + PAUSE.0;
        if now >= end {
            (self.since, self.sent) = (now, 0);
        }
        if self.sent < MAX_HOSTS { Ok(()) } else { Err(end.saturating_sub(now)) }
    }

    /// Counts a datagram.
    pub(crate) fn take(&mut self) {
        self.sent += 1;
    }
}

/// Returns the addresses to ask, the most promising ones first.
fn hosts(networks: &[Network], known: &[Ipv4Addr]) -> VecDeque<Ipv4Addr> {
    let mut chosen = BTreeSet::new();
    let is_swept = |network: &&Network| is_private(network.address) && is_small(network);
    let around = networks.iter().filter(is_swept).flat_map(around);
    let known = hosts_among(networks, known);
    known.into_iter().chain(around).filter(|host| chosen.insert(*host)).take(MAX_HOSTS).collect()
}

/// Returns those of some hosts that are on private networks of the interface.
fn hosts_among(networks: &[Network], known: &[Ipv4Addr]) -> VecDeque<Ipv4Addr> {
    let is_on = |network: &Network, host: Ipv4Addr| is_private(network.address) && is_host(network, host);
    let is_here = |host: &Ipv4Addr| networks.iter().any(|network| is_on(network, *host));
    known.iter().copied().filter(is_here).take(MAX_KNOWN).collect()
}

/// Returns whether all addresses of a network fit into one sweep.
fn is_small(network: &Network) -> bool {
    network.netmask.to_bits().count_zeros() <= MAX_HOSTS.ilog2()
}

/// Returns whether an address is in a range that is never routed on the internet.
fn is_private(address: Ipv4Addr) -> bool {
    address.is_private() || address.is_link_local()
}

/// Returns whether an address can belong to another host on a network.
fn is_host(network: &Network, host: Ipv4Addr) -> bool {
    let is_first = host == network.address & network.netmask;
    network.contains(host) && host != network.address && host != network.broadcast && !is_first
}

/// Returns the other hosts of a small network, beginning with the address after this host's own. So the sweeps of
/// different hosts begin at different addresses.
fn around(network: &Network) -> impl Iterator<Item = Ipv4Addr> + use<'_> {
    let (own, mask) = (network.address.to_bits(), network.netmask.to_bits());
    let size = u64::from(!mask) + 1;
    let other = move |step: u64| {
        let place = (u64::from(own & !mask) + step) % size;
        Ipv4Addr::from_bits((own & mask) | u32::try_from(place).unwrap_or_default())
    };
    (1..size).map(other).filter(|host| is_host(network, *host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str, bits: u32) -> Network {
        let address: Ipv4Addr = address.parse().unwrap();
        let netmask = Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - bits).unwrap_or_default());
        Network { address, netmask, broadcast: address | !netmask }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Runs sweeps until `end`, and returns each datagram with its time.
    fn run(
        sweep: &mut Sweep,
        networks: &[Network],
        known: &[Ipv4Addr],
        end: Duration,
    ) -> Vec<(Duration, Ipv4Addr)> {
        let mut sent = Vec::new();
        while sweep.next() <= end {
            let now = sweep.next();
            match sweep.take_due(now) {
                Some(Step::Begin) => sweep.begin(networks, known, now),
                Some(Step::Ask(host)) => sent.push((now, host)),
                None => {}
            }
        }
        sent
    }

    #[test]
    fn a_silent_network_is_swept_within_fifteen_seconds_and_each_host_is_asked_once() {
        let networks = [network("192.168.1.200", 24)];
        let sent = run(&mut Sweep::new(at(0)), &networks, &[], at(30));
        assert_eq!(sent.len(), 253);
        let hosts: BTreeSet<Ipv4Addr> = sent.iter().map(|(_, host)| *host).collect();
        assert_eq!(hosts.len(), 253);
        let [own, first, last] = [200, 0, 255].map(|host| Ipv4Addr::new(192, 168, 1, host));
        assert!(![own, first, last].iter().any(|host| hosts.contains(host)));
        assert_eq!(sent[0], (at(10), Ipv4Addr::new(192, 168, 1, 201)));
        assert!(sent.last().unwrap().0 < at(16));
        assert!(sent.windows(2).all(|two| two[1].0 - two[0].0 >= PACE));
    }

    #[test]
    fn pauses_grow_to_an_hour() {
        let sent = run(&mut Sweep::new(at(0)), &[network("10.0.0.1", 30)], &[], at(24 * 3600));
        let times: Vec<u64> = sent.iter().map(|(time, _)| time.as_secs()).collect();
        let pauses: Vec<u64> = times.windows(2).map(|two| two[1] - two[0]).collect();
        assert_eq!(pauses[..7], [60, 120, 240, 480, 960, 1920, 3600]);
        assert!(pauses[7..].iter().all(|pause| *pause == 3600));
    }

    #[test]
    fn a_neighbour_that_is_heard_by_broadcast_ends_the_sweep() {
        let networks = [network("10.0.0.1", 24)];
        let mut sweep = Sweep::new(at(0));
        assert_eq!(run(&mut sweep, &networks, &[], at(11)).len(), 51);
        for second in 11..100 {
            sweep.heard_by_cast(at(second));
            assert_eq!(run(&mut sweep, &networks, &[], at(second + 1)), []);
        }
        assert_eq!(sweep.next(), at(109), "it begins again when nobody is heard any more");
    }

    #[test]
    fn a_neighbour_that_answers_by_unicast_does_not_hide_the_others() {
        let networks = [network("10.0.0.1", 24)];
        let mut sweep = Sweep::new(at(0));
        run(&mut sweep, &networks, &[], at(11));
        assert!(sweep.take_answer("10.0.0.2".parse().unwrap()), "it was asked");
        assert!(!sweep.take_answer("10.0.0.2".parse().unwrap()), "it has answered already");
        assert!(!sweep.take_answer("10.0.0.250".parse().unwrap()), "it was not asked yet");
        sweep.heard_by_unicast(at(11));
        assert_eq!(run(&mut sweep, &networks, &[], at(20)).len(), 253 - 51);
        sweep.heard_by_unicast(at(1000));
        assert_eq!(sweep.next(), at(1090));
    }

    #[test]
    fn only_small_private_networks_are_swept_and_known_hosts_come_first() {
        let none: Vec<Ipv4Addr> = Vec::new();
        let swept = |network: Network, known: &[&str]| {
            let known: Vec<Ipv4Addr> = known.iter().map(|host| host.parse().unwrap()).collect();
            Vec::from(hosts(&[network], &known))
        };
        assert_eq!(swept(network("8.8.8.8", 24), &["8.8.8.9"]), none);
        assert_eq!(swept(network("10.0.0.1", 23), &[]), none);
        let known = swept(network("10.1.0.1", 16), &["10.1.9.9", "10.2.0.1", "10.1.0.1", "10.1.255.255"]);
        assert_eq!(known, [Ipv4Addr::new(10, 1, 9, 9)]);
        let known = swept(network("192.168.7.1", 24), &["192.168.7.77"]);
        assert_eq!((known[0], known.len()), (Ipv4Addr::new(192, 168, 7, 77), 253));
        assert_eq!(swept(network("169.254.3.1", 30), &[]), [Ipv4Addr::new(169, 254, 3, 2)]);
    }

    #[test]
    fn the_sweeps_of_all_interfaces_send_256_datagrams_a_minute() {
        let mut budget = SweepBudget::default();
        for _ in 0..MAX_HOSTS {
            assert_eq!(budget.has_room(at(1)), Ok(()));
            budget.take();
        }
        assert_eq!(budget.has_room(at(20)), Err(at(40)));
        assert_eq!(budget.has_room(at(60)), Ok(()));
    }

    #[test]
    fn a_sweep_has_at_most_256_addresses() {
        let networks: Vec<Network> = (0..4).map(|number| network(&format!("10.0.{number}.1"), 24)).collect();
        assert_eq!(hosts(&networks, &[]).len(), MAX_HOSTS);
    }

    #[test]
    fn a_host_that_is_found_on_a_silent_network_is_asked_at_once_and_only_once() {
        let (networks, host) = ([network("10.1.0.1", 16)], Ipv4Addr::new(10, 1, 9, 9));
        let mut sweep = Sweep::new(at(0));
        sweep.found(&networks, &[host], at(1));
        assert_eq!(run(&mut sweep, &networks, &[], at(9)), [], "neighbours may still be heard");
        assert_eq!(run(&mut sweep, &networks, &[], at(20)), [], "the network is too large for a sweep");
        sweep.found(&networks, &[host, Ipv4Addr::new(10, 2, 0, 1), Ipv4Addr::new(192, 168, 0, 1)], at(21));
        assert_eq!(run(&mut sweep, &networks, &[], at(21)), [(at(21), host)]);
        sweep.found(&networks, &[host], at(22));
        assert_eq!(run(&mut sweep, &networks, &[], at(30)), []);
        sweep.heard_by_cast(at(31));
        sweep.found(&networks, &[Ipv4Addr::new(10, 1, 9, 8)], at(32));
        assert_eq!(run(&mut sweep, &networks, &[], at(33)), [], "a network that works needs no sweep");
    }
}
