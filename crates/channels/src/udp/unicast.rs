//! Hosts with a unicast channel of their own, because broadcasts do not reach them. These are configured hosts, and
//! hosts that send to this node by unicast (learned hosts).

use routing::ChannelId;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Maximum number of learned hosts.
const MAX_LEARNED: usize = 64;
/// Maximum number of learned hosts with one IP address, such as programs behind one router.
const MAX_OF_HOST: usize = 4;
/// Silence after which a learned host is forgotten.
const SILENCE: Duration = Duration::from_secs(300);
/// Minimum interval between two challenges of one host.
const CHALLENGE: Duration = Duration::from_secs(1);

/// A host with a unicast channel.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Channel to this host.
    pub(crate) channel: ChannelId,
    /// Whether the host is configured. A configured host is not forgotten, and needs no proof of its address.
    pub(crate) is_configured: bool,
    /// Local address to which the host sends. Answers have to come from it.
    pub(crate) local: Option<IpAddr>,
    /// When the host was last heard, or was added.
    pub(crate) heard: Duration,
    challenged: Option<Duration>,
    /// Whether the host has repeated a challenge. Until then its address may be forged.
    is_proven: bool,
    received: u64,
    sent: u64,
}

/// Whether one more learned host can be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The host can be added.
    Free,
    /// The host can be added after this one is removed.
    InsteadOf(SocketAddr),
    /// The host cannot be added.
    Full,
}

/// All hosts with a unicast channel, by address.
#[derive(Debug, Default)]
pub(crate) struct Unicast {
    peers: BTreeMap<SocketAddr, Peer>,
}

impl Unicast {
    pub(crate) fn add(
        &mut self,
        address: SocketAddr,
        channel: ChannelId,
        is_configured: bool,
        now: Duration,
    ) {
        let peer = Peer {
            channel,
            is_configured,
            local: None,
            heard: now,
            challenged: None,
            is_proven: false,
            received: 0,
            sent: 0,
        };
        self.peers.insert(address, peer);
    }

    /// Marks a host as configured. Returns whether the host is known.
    pub(crate) fn configure(&mut self, address: SocketAddr) -> bool {
        self.peers.get_mut(&address).map(|peer| peer.is_configured = true).is_some()
    }

    /// Forgets a host. Returns its channel.
    pub(crate) fn remove(&mut self, address: SocketAddr) -> Option<ChannelId> {
        self.peers.remove(&address).map(|peer| peer.channel)
    }

    pub(crate) fn get(&self, address: SocketAddr) -> Option<&Peer> {
        self.peers.get(&address)
    }

    /// Returns the host of a channel.
    pub(crate) fn of(&self, channel: ChannelId) -> Option<SocketAddr> {
        self.peers.iter().find(|(_, peer)| peer.channel == channel).map(|(address, _)| *address)
    }

    /// Returns the configured hosts.
    pub(crate) fn configured(&self) -> Vec<SocketAddr> {
        self.peers.iter().filter(|(_, peer)| peer.is_configured).map(|(address, _)| *address).collect()
    }

    /// Returns whether a learned host can be added. Hosts that have not proven their address may be evicted.
    pub(crate) fn admission(&self, address: SocketAddr) -> Admission {
        let learned = || self.peers.iter().filter(|(_, peer)| !peer.is_configured);
        let of_host = learned().filter(|(other, _)| other.ip() == address.ip());
        if of_host.clone().count() >= MAX_OF_HOST {
            return instead_of(of_host);
        }
        if learned().count() >= MAX_LEARNED { instead_of(learned()) } else { Admission::Free }
    }

    /// Records bytes that arrived from a host, and the local address to which they were sent. Returns the host's
    /// channel, and whether the host should now be challenged to prove its address.
    pub(crate) fn note(
        &mut self,
        source: SocketAddr,
        local: IpAddr,
        bytes: usize,
        now: Duration,
    ) -> Option<(ChannelId, bool)> {
        let peer = self.peers.get_mut(&source)?;
        peer.local = Some(local);
        peer.heard = now;
        peer.received = peer.received.saturating_add(bytes as u64);
        let is_free = peer.is_configured || peer.is_proven;
        let is_due = peer.challenged.is_none_or(|last| now.saturating_sub(last) >= CHALLENGE);
        if !is_free && is_due {
            peer.challenged = Some(now);
        }
        Some((peer.channel, !is_free && is_due))
    }

    /// Allows this number of bytes to a host that has not proven its address, although it has sent fewer.
    pub(crate) fn credit(&mut self, address: SocketAddr, bytes: usize) {
        if let Some(peer) = self.peers.get_mut(&address) {
            peer.received = peer.received.saturating_add(bytes as u64);
        }
    }

    /// Records that a host has proven its address.
    pub(crate) fn prove(&mut self, address: SocketAddr) {
        if let Some(peer) = self.peers.get_mut(&address) {
            peer.is_proven = true;
        }
    }

    /// Returns whether this number of bytes may be sent to a host, and counts them if so. A host that has not proven
    /// its address gets no more bytes than it has sent. Otherwise an attacker could make this node flood a victim by
    /// forging the victim's address.
    pub(crate) fn may_send(&mut self, address: SocketAddr, bytes: usize) -> bool {
        let Some(peer) = self.peers.get_mut(&address) else { return false };
        let sent = peer.sent.saturating_add(bytes as u64);
        let may = peer.is_configured || peer.is_proven || sent <= peer.received;
        if may {
            peer.sent = sent;
        }
        may
    }

    /// Returns the learned hosts that have been silent for too long.
    pub(crate) fn silent(&self, now: Duration) -> Vec<SocketAddr> {
        let is_silent = |peer: &Peer| !peer.is_configured && now.saturating_sub(peer.heard) >= SILENCE;
        self.peers.iter().filter(|(_, peer)| is_silent(peer)).map(|(address, _)| *address).collect()
    }
}

/// Chooses the host that has been silent for longest, among those that have not proven their address.
fn instead_of<'a>(peers: impl Iterator<Item = (&'a SocketAddr, &'a Peer)>) -> Admission {
    let longest = peers.filter(|(_, peer)| !peer.is_proven).min_by_key(|(_, peer)| peer.heard);
    longest.map_or(Admission::Full, |(address, _)| Admission::InsteadOf(*address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u16) -> SocketAddr {
        let [high, low] = number.to_be_bytes();
        SocketAddr::from(([10, 0, high, low], 1240))
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn an_address_that_may_be_forged_gets_no_more_bytes_than_it_sent() {
        let mut unicast = Unicast::default();
        unicast.add(host(1), ChannelId(1), false, at(0));
        assert!(!unicast.may_send(host(1), 1));
        assert_eq!(unicast.note(host(1), LOCAL, 100, at(1)), Some((ChannelId(1), true)));
        assert!(
            unicast.may_send(host(1), 60) && !unicast.may_send(host(1), 60) && unicast.may_send(host(1), 40)
        );
        // The host is not challenged for every line.
        assert_eq!(unicast.note(host(1), LOCAL, 100, at(1)), Some((ChannelId(1), false)));
        unicast.prove(host(1));
        assert!(unicast.may_send(host(1), 1_000_000));
        assert_eq!(unicast.note(host(1), LOCAL, 1, at(9)), Some((ChannelId(1), false)));
    }

    #[test]
    fn a_host_that_was_asked_gets_a_few_bytes_before_it_proves_its_address() {
        let mut unicast = Unicast::default();
        unicast.add(host(1), ChannelId(1), false, at(0));
        unicast.credit(host(1), 100);
        assert!(unicast.may_send(host(1), 60) && !unicast.may_send(host(1), 60));
    }

    #[test]
    fn a_configured_host_stays_and_needs_no_proof() {
        let mut unicast = Unicast::default();
        unicast.add(host(1), ChannelId(1), true, at(0));
        unicast.add(host(2), ChannelId(2), false, at(0));
        assert!(unicast.may_send(host(1), 1000));
        assert_eq!((unicast.silent(at(299)), unicast.silent(at(300))), (vec![], vec![host(2)]));
        assert!(unicast.configure(host(1)) && !unicast.configure(host(3)));
        assert_eq!(unicast.configured(), [host(1)]);
        assert_eq!((unicast.of(ChannelId(2)), unicast.remove(host(2))), (Some(host(2)), Some(ChannelId(2))));
    }

    #[test]
    fn forged_hosts_cannot_evict_proven_ones() {
        let mut unicast = Unicast::default();
        for number in 0..MAX_LEARNED as u16 {
            assert_eq!(unicast.admission(host(number)), Admission::Free);
            unicast.add(host(number), ChannelId(number.into()), false, at(number.into()));
        }
        assert_eq!(unicast.admission(host(1000)), Admission::InsteadOf(host(0)));
        unicast.prove(host(0));
        assert_eq!(unicast.admission(host(1000)), Admission::InsteadOf(host(1)));
        (0..MAX_LEARNED as u16).for_each(|number| unicast.prove(host(number)));
        assert_eq!(unicast.admission(host(1000)), Admission::Full);
    }

    #[test]
    fn hosts_behind_one_router_get_few_places() {
        let mut unicast = Unicast::default();
        let behind = |port| SocketAddr::new(host(1).ip(), port);
        for port in 1..=MAX_OF_HOST as u16 {
            unicast.add(behind(port), ChannelId(port.into()), false, at(port.into()));
        }
        assert_eq!(unicast.admission(behind(99)), Admission::InsteadOf(behind(1)));
        assert_eq!(unicast.admission(host(2)), Admission::Free);
    }
}
