//! The relay that this node offers to others, if its configuration says so, and its limits.
//!
//! A *slot* lets a node behind NAT be reached through the relay (libp2p calls it a reservation). A *circuit* is one
//! connection through the relay.
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use libp2p::relay;
use libp2p::{Multiaddr, PeerId};
use targets::{Allowance, Tokens};

use crate::node::addresses::host_of;
use crate::node::sources::source_of;

/// Maximum number of slots.
const MAX_SLOTS: usize = 256;
/// Maximum number of slots of one peer. A peer needs one for each of its connections with the relay.
const MAX_SLOTS_PER_PEER: usize = 2;
/// Validity of a slot. Its owner renews it in time.
const SLOT_LIFETIME: Duration = Duration::from_secs(1800);
/// Maximum number of circuits.
const MAX_CIRCUITS: usize = 128;
/// Maximum number of circuits of one peer, at either end.
const MAX_CIRCUITS_PER_PEER: usize = 16;
/// Maximum duration of one circuit. The peers then make another one, or are connected directly by then.
const CIRCUIT_DURATION: Duration = Duration::from_secs(3600);
/// Maximum number of bytes of one circuit, in both directions together. The log files of a few hours fit.
const CIRCUIT_BYTES: u64 = 1 << 30;
/// Rate limit, in requests for a slot or a circuit, for all peers at one address. A class of robots behind one router
/// comes back at once after the relay was restarted.
const PER_SOURCE: Allowance = Allowance { burst: 96, per_minute: 30 };
/// Rate limit, in requests, for one peer.
const PER_PEER: Allowance = Allowance { burst: 32, per_minute: 12 };
/// Maximum number of addresses, and of peers, whose requests are counted. Only those that made no request lately are
/// forgotten.
const MAX_COUNTED: usize = 4096;

/// Decides which peers may use this node as a relay.
#[derive(Clone)]
pub struct Admission(Arc<dyn Fn(&PeerId) -> bool + Send + Sync>);

impl Admission {
    /// Asks `is_admitted` at each request of a peer.
    pub fn new(is_admitted: impl Fn(&PeerId) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_admitted))
    }

    /// Returns whether a peer is admitted now.
    pub(in crate::node) fn admits(&self, peer: &PeerId) -> bool {
        (self.0)(peer)
    }

    /// Admits all peers.
    pub fn everyone() -> Self {
        Self::new(|_| true)
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Admission")
    }
}

/// Returns the relay that serves the admitted peers.
pub(in crate::node) fn behaviour(me: PeerId, admission: &Admission) -> relay::Behaviour {
    let config = relay::Config {
        max_reservations: MAX_SLOTS,
        // The library allows one more than this number.
        max_reservations_per_peer: MAX_SLOTS_PER_PEER - 1,
        reservation_duration: SLOT_LIFETIME,
        reservation_rate_limiters: vec![limiter(admission.clone())],
        max_circuits: MAX_CIRCUITS,
        max_circuits_per_peer: MAX_CIRCUITS_PER_PEER - 1,
        max_circuit_duration: CIRCUIT_DURATION,
        max_circuit_bytes: CIRCUIT_BYTES,
        circuit_src_rate_limiters: vec![limiter(admission.clone())],
    };
    let mut behaviour = relay::Behaviour::new(me, config);
    // The configuration says that this host is reachable; the addresses at which it listens are passed on.
    behaviour.set_status(Some(relay::Status::Enable));
    behaviour
}

fn limiter(admission: Admission) -> Box<dyn relay::RateLimiter> {
    let mut requests = Requests::default();
    let start = Instant::now();
    Box::new(move |peer: PeerId, at: &Multiaddr, _: _| {
        admission.admits(&peer) && requests.admit(peer, host_of(at), start.elapsed())
    })
}

/// Counts the requests of each peer and of each address.
#[derive(Debug, Default)]
pub(in crate::node) struct Requests {
    sources: BTreeMap<IpAddr, Tokens>,
    peers: BTreeMap<PeerId, Tokens>,
}

impl Requests {
    /// Counts a request of a peer at this address. Returns whether it is within the limits.
    pub(in crate::node) fn admit(&mut self, peer: PeerId, at: Option<IpAddr>, elapsed: Duration) -> bool {
        // A request without an IP address came through another relay, which is never served.
        let Some(source) = at.map(source_of) else { return false };
        let of_source = entry(&mut self.sources, source, PER_SOURCE, elapsed);
        let of_peer = entry(&mut self.peers, peer, PER_PEER, elapsed);
        let (Some(of_source), Some(of_peer)) = (of_source, of_peer) else { return false };
        let has = of_source.has(1, PER_SOURCE, elapsed) && of_peer.has(1, PER_PEER, elapsed);
        [of_source, of_peer].into_iter().for_each(|tokens| tokens.take(u32::from(has)));
        has
    }
}

/// Returns the budget of `who`, or `None` when too many others made requests lately.
fn entry<Who: Ord>(
    known: &mut BTreeMap<Who, Tokens>,
    who: Who,
    allowance: Allowance,
    elapsed: Duration,
) -> Option<&mut Tokens> {
    if known.len() >= MAX_COUNTED && !known.contains_key(&who) {
        known.retain(|_, tokens| !tokens.is_full(allowance, elapsed));
    }
    if known.len() >= MAX_COUNTED && !known.contains_key(&who) {
        return None;
    }
    Some(known.entry(who).or_insert_with(|| Tokens::full(allowance, elapsed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn one_address_cannot_use_up_the_slots_with_many_peers() {
        let mut requests = Requests::default();
        let mut admitted = |at: &dyn Fn(usize) -> Option<IpAddr>| {
            (0..1000).filter(|number| requests.admit(PeerId::random(), at(*number), Duration::ZERO)).count()
        };
        assert_eq!(admitted(&|_| ip("203.0.113.7")), 96);
        assert_eq!(admitted(&|number| ip(&format!("2001:db8::{number:x}"))), 96, "one IPv6 network");
        assert_eq!(admitted(&|_| ip("203.0.113.8")), 96, "others are still served");
        const { assert!(96 < MAX_SLOTS) };
    }

    #[test]
    fn one_peer_makes_a_few_requests_a_minute() {
        let (mut requests, peer) = (Requests::default(), PeerId::random());
        let mut admitted = |seconds| {
            let at = Duration::from_secs(seconds);
            (0..100).filter(|_| requests.admit(peer, ip("203.0.113.7"), at)).count()
        };
        assert_eq!((admitted(0), admitted(60)), (32, 12));
    }

    #[test]
    fn the_number_of_counted_peers_is_bounded() {
        let mut requests = Requests::default();
        for number in 0..2 * MAX_COUNTED as u32 {
            requests.admit(PeerId::random(), Some(IpAddr::V4(number.into())), Duration::ZERO);
        }
        assert_eq!((requests.peers.len(), requests.sources.len()), (MAX_COUNTED, MAX_COUNTED));
        let later = Duration::from_secs(3600);
        assert!(requests.admit(PeerId::random(), ip("203.0.113.7"), later), "the others are forgotten");
    }

    #[test]
    fn peers_that_are_not_admitted_get_nothing() {
        let friend = PeerId::random();
        let mut limiter = limiter(Admission::new(move |peer| *peer == friend));
        let at: Multiaddr = "/ip4/203.0.113.7/tcp/6002".parse().unwrap();
        assert!(limiter.try_next(friend, &at, Instant::now()));
        assert!(!limiter.try_next(PeerId::random(), &at, Instant::now()));
    }
}
