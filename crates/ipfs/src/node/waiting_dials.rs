#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Dials that wait until this node listens.
//!
//! A connection that is dialled after the node listens has the port of the listener as its source. Behind NAT, this port
//! is then open at the router, so others can use it for hole punching. A connection that was dialled earlier has a port
//! of its own, at which nobody listens.
use std::time::Duration;

use libp2p::{Multiaddr, PeerId};

use super::addresses::{host_of, is_quic};

/// Time since the start of the node until which dials wait. A host without a network address, without one of the
/// versions of IP, or without a free port does not listen by then.
const WAIT: Duration = Duration::from_secs(2);
/// Maximum number of dials that wait: more than there are persistent peers.
const MAX_WAITING: usize = 128;

/// The dials that wait.
#[derive(Debug, Default)]
pub(super) struct WaitingDials(Vec<(PeerId, Vec<Multiaddr>)>);

impl WaitingDials {
    /// Keeps a dial if it has to wait. Otherwise returns its addresses. `elapsed` is the time since the node started.
    pub(super) fn keep(
        &mut self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        listening: &[Multiaddr],
        elapsed: Duration,
    ) -> Option<Vec<Multiaddr>> {
        if self.0.len() >= MAX_WAITING || elapsed >= WAIT || !has_to_wait(&addresses, listening) {
            return Some(addresses);
        }
        self.0.push((peer, addresses));
        None
    }

    /// Returns the dials that do not have to wait any more.
    pub(super) fn ready(
        &mut self,
        listening: &[Multiaddr],
        elapsed: Duration,
    ) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let is_ready = |(_, addresses): &mut (PeerId, Vec<Multiaddr>)| {
            elapsed >= WAIT || !has_to_wait(addresses, listening)
        };
        self.0.extract_if(.., is_ready).collect()
    }

    /// Returns the time since the start of the node at which no dial waits any more, if one waits now.
    pub(super) fn next_due(&self) -> Option<Duration> {
        (!self.0.is_empty()).then_some(WAIT)
    }
}

/// Returns whether this node does not yet listen with the transport and the version of IP of one of the addresses.
fn has_to_wait(addresses: &[Multiaddr], listening: &[Multiaddr]) -> bool {
    let listens = |kind: Kind| listening.iter().any(|own| kind_of(own) == Some(kind));
    addresses.iter().filter_map(kind_of).any(|kind| !listens(kind))
}

/// The facts by which a transport chooses the source port.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    is_quic: bool,
    is_ipv4: bool,
    is_loopback: bool,
}

/// Returns the kind of an address. For an address through a relay, this is the kind of the relay's address.
fn kind_of(address: &Multiaddr) -> Option<Kind> {
    let ip = host_of(address)?;
    Some(Kind { is_quic: is_quic(address), is_ipv4: ip.is_ipv4(), is_loopback: ip.is_loopback() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::ZERO;

    fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_dial_waits_until_the_node_listens_with_the_same_transport_and_version_of_ip() {
        let (mut dials, peer) = (WaitingDials::default(), PeerId::random());
        let target = addresses(&["/ip4/203.0.113.7/tcp/6002"]);
        let others = ["/ip4/127.0.0.1/tcp/6002", "/ip6/fd00::1/tcp/6002", "/ip4/10.0.0.1/udp/6002/quic-v1"];
        let mut listening = addresses(&others);
        assert_eq!(dials.keep(peer, target.clone(), &listening, START), None);
        assert_eq!(dials.ready(&listening, START), []);
        listening.extend(addresses(&["/ip4/10.0.0.1/tcp/6002"]));
        assert_eq!(dials.ready(&listening, START), [(peer, target.clone())]);
        assert_eq!(dials.ready(&listening, START), [], "it was returned once");
        assert_eq!(dials.keep(peer, target.clone(), &listening, START), Some(target));
    }

    #[test]
    fn no_dial_waits_two_seconds_after_the_start() {
        let (mut dials, peer) = (WaitingDials::default(), PeerId::random());
        let target = addresses(&["/ip4/203.0.113.7/udp/6002/quic-v1"]);
        assert_eq!(dials.keep(peer, target.clone(), &[], Duration::from_secs(1)), None);
        assert_eq!(dials.next_due(), Some(WAIT));
        assert_eq!(dials.ready(&[], WAIT), [(peer, target.clone())]);
        assert_eq!(dials.next_due(), None);
        assert_eq!(dials.keep(peer, target.clone(), &[], WAIT), Some(target));
    }

    #[test]
    fn no_more_dials_than_the_limit_wait() {
        let mut dials = WaitingDials::default();
        let target = addresses(&["/ip4/203.0.113.7/tcp/6002"]);
        let mut keep = || dials.keep(PeerId::random(), target.clone(), &[], START);
        assert!((0..MAX_WAITING).all(|_| keep().is_none()));
        assert!(keep().is_some());
    }
}
