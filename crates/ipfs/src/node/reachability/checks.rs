//! Decides which address of this node is checked by which server, and when, and keeps the results.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use libp2p::{Multiaddr, PeerId};

/// Time after which a result is checked again. Results seldom change, and an idle robot stays idle.
const RECHECK: Duration = Duration::from_secs(6 * 3600);
/// Shortest and longest pause after a check without a result. The pause doubles with each such check in a row.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3600));
/// Maximum number of addresses that are checked.
const MAX_CANDIDATES: usize = 8;

/// The result of the checks of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Result {
    /// Whether the address leads to this node.
    is_reached: bool,
    /// Time of the check.
    at: Duration,
}

/// The addresses to check, the servers that check them, and the results. All times are since the start of the node.
#[derive(Debug, Default)]
pub(super) struct Checks {
    servers: BTreeSet<PeerId>,
    candidates: Vec<Multiaddr>,
    results: BTreeMap<Multiaddr, Result>,
    /// Time of the last check of each address. Addresses take turns, so one that no server checks holds up no other.
    tried: BTreeMap<Multiaddr, Duration>,
    running: Option<Multiaddr>,
    /// The server that was asked last. The next check asks another one, if there is one.
    last: Option<PeerId>,
    failures: u32,
    /// Earliest time of the next check, after one without a result.
    rest: Duration,
}

impl Checks {
    /// Records whether a connected peer checks addresses for this node. There are at most as many as persistent peers.
    pub(super) fn offered(&mut self, server: PeerId, is_server: bool) {
        if !is_server {
            self.servers.remove(&server);
        } else if self.servers.insert(server) {
            (self.failures, self.rest) = (0, Duration::ZERO);
        }
    }

    /// Sets the addresses to check. Results for other addresses are forgotten.
    pub(super) fn set_candidates(&mut self, mut candidates: Vec<Multiaddr>) {
        candidates.truncate(MAX_CANDIDATES);
        self.results.retain(|address, _| candidates.contains(address));
        self.tried.retain(|address, _| candidates.contains(address));
        self.candidates = candidates;
    }

    /// Returns the next check to make now, if there is one, and records that it has begun.
    pub(super) fn begin(&mut self, elapsed: Duration) -> Option<(PeerId, Multiaddr)> {
        if self.next_due()? > elapsed {
            return None;
        }
        let turn = |address: &&Multiaddr| (self.due(address), self.tried.get(*address).copied());
        let address = self.candidates.iter().min_by_key(turn)?.clone();
        let is_other = |server: &&PeerId| Some(**server) > self.last;
        let server = *self.servers.iter().find(is_other).or(self.servers.first())?;
        (self.running, self.last) = (Some(address.clone()), Some(server));
        self.tried.insert(address.clone(), elapsed);
        Some((server, address))
    }

    /// Records the end of a check. `result` tells whether the address leads to this node; `None` if the server did not
    /// tell.
    pub(super) fn ended(&mut self, address: &Multiaddr, result: Option<bool>, elapsed: Duration) {
        self.running = None;
        if let Some(is_reached) = result {
            (self.failures, self.rest) = (0, Duration::ZERO);
            if self.candidates.contains(address) {
                self.results.insert(address.clone(), Result { is_reached, at: elapsed });
            }
            return;
        }
        let pause = BACK_OFF.0.saturating_mul(2u32.saturating_pow(self.failures)).min(BACK_OFF.1);
        self.failures = self.failures.saturating_add(1);
        self.rest = elapsed + pause;
    }

    /// Returns the time of the next check, if there are addresses to check and a server.
    pub(super) fn next_due(&self) -> Option<Duration> {
        if self.running.is_some() || self.servers.is_empty() {
            return None;
        }
        let first = self.candidates.iter().map(|address| self.due(address)).min();
        first.map(|due| due.max(self.rest))
    }

    fn due(&self, address: &Multiaddr) -> Duration {
        self.results.get(address).map_or(Duration::ZERO, |result| result.at + RECHECK)
    }

    /// Returns the addresses that lead to this node, or those that do not.
    pub(super) fn addresses(&self, are_reached: bool) -> Vec<Multiaddr> {
        let is_it = |address: &&Multiaddr| {
            self.results.get(address).is_some_and(|result| result.is_reached == are_reached)
        };
        self.candidates.iter().filter(is_it).cloned().collect()
    }

    /// Returns whether a result for this address can be expected soon.
    pub(super) fn is_coming(&self, address: &Multiaddr) -> bool {
        !self.servers.is_empty()
            && self.failures == 0
            && self.candidates.contains(address)
            && !self.results.contains_key(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::ZERO;

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/203.0.113.7/tcp/{port}").parse().unwrap()
    }

    fn checks(servers: usize, ports: &[u16]) -> Checks {
        let mut checks = Checks::default();
        (0..servers).for_each(|_| checks.offered(PeerId::random(), true));
        checks.set_candidates(ports.iter().map(|port| address(*port)).collect());
        checks
    }

    #[test]
    fn each_address_is_checked_once_and_again_after_hours() {
        let mut checks = checks(1, &[1, 2]);
        let (_, first) = checks.begin(START).unwrap();
        assert_eq!(checks.begin(START), None, "one check at a time");
        assert!(checks.is_coming(&first));
        checks.ended(&first, Some(true), START);
        let (_, second) = checks.begin(START).unwrap();
        checks.ended(&second, Some(false), START);
        assert_eq!((first, second), (address(1), address(2)));
        assert_eq!(checks.addresses(true), [address(1)]);
        assert_eq!(checks.addresses(false), [address(2)]);
        assert_eq!(checks.next_due(), Some(RECHECK));
        assert!(checks.begin(RECHECK - Duration::from_secs(1)).is_none());
        assert!(checks.begin(RECHECK).is_some());
    }

    #[test]
    fn servers_take_turns() {
        let mut checks = checks(2, &[1, 2]);
        let (first, at) = checks.begin(START).unwrap();
        checks.ended(&at, Some(true), START);
        let (second, _) = checks.begin(START).unwrap();
        assert_ne!(first, second);
    }

    #[test]
    fn pauses_after_checks_without_a_result_grow_until_a_new_server_comes() {
        let (mut checks, mut now) = (checks(1, &[1]), START);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let (_, at) = checks.begin(now).unwrap();
            checks.ended(&at, None, now);
            assert!(!checks.is_coming(&at));
            let due = checks.next_due().unwrap();
            pauses.push((due - now).as_secs());
            now = due;
        }
        assert_eq!((pauses[0], pauses[1], pauses[11]), (5, 10, 3600));
        checks.offered(PeerId::random(), true);
        assert_eq!(checks.next_due(), Some(START));
    }

    #[test]
    fn an_address_that_no_server_checks_holds_up_no_other() {
        let mut checks = checks(1, &[1, 2]);
        let (_, first) = checks.begin(START).unwrap();
        checks.ended(&first, None, START);
        let later = checks.next_due().unwrap();
        let (_, second) = checks.begin(later).unwrap();
        assert_eq!((first, second.clone()), (address(1), address(2)));
        checks.ended(&second, Some(true), later);
        assert_eq!(checks.begin(later).unwrap().1, address(1));
    }

    #[test]
    fn nothing_is_due_without_a_server_or_an_address() {
        assert_eq!(checks(0, &[1]).next_due(), None);
        assert_eq!(checks(1, &[]).next_due(), None);
        let mut checks = checks(1, &[1]);
        let (server, at) = checks.begin(START).unwrap();
        checks.offered(server, false);
        checks.ended(&at, Some(true), START);
        assert_eq!((checks.next_due(), checks.addresses(true).len()), (None, 1));
        checks.set_candidates(vec![address(9)]);
        assert!(checks.addresses(true).is_empty(), "the address belongs to another network");
    }
}
