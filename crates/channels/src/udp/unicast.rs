//! Hosts with a unicast channel of their own, because broadcasts do not reach them: configured ones, and those that speak to
//! us in this way.

use routing::ChannelId;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The most hosts that are not configured.
const MAX_LEARNED: usize = 64;
/// The most of them with one IP address: programs behind one router.
const MAX_OF_HOST: usize = 4;
/// The silence after which a host that is not configured is forgotten.
const SILENCE: Duration = Duration::from_secs(300);
/// How often a host is asked to prove its address.
const CHALLENGE: Duration = Duration::from_secs(1);

/// A host with a unicast channel.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Its channel.
    pub(crate) channel: ChannelId,
    /// Whether it stays, whatever comes from it.
    pub(crate) is_configured: bool,
    /// The address of ours that it speaks to, from which the answers have to come.
    pub(crate) local: Option<IpAddr>,
    /// When it was heard, or began.
    pub(crate) heard: Duration,
    challenged: Option<Duration>,
    /// Whether it has repeated what was sent to it. Its address may be forged until then.
    is_proven: bool,
    received: u64,
    sent: u64,
}

/// Whether one more host can be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It can.
    Free,
    /// It can once this one is removed.
    InsteadOf(SocketAddr),
    /// It cannot.
    Full,
}

/// All of them, by address.
#[derive(Debug, Default)]
pub(crate) struct Unicast {
    peers: BTreeMap<SocketAddr, Peer>,
}

impl Unicast {
    /// Adds a host.
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

    /// Makes a host a configured one. Returns whether it is known.
    pub(crate) fn configure(&mut self, address: SocketAddr) -> bool {
        self.peers.get_mut(&address).map(|peer| peer.is_configured = true).is_some()
    }

    /// Forgets a host. Returns its channel.
    pub(crate) fn remove(&mut self, address: SocketAddr) -> Option<ChannelId> {
        self.peers.remove(&address).map(|peer| peer.channel)
    }

    /// A host.
    pub(crate) fn get(&self, address: SocketAddr) -> Option<&Peer> {
        self.peers.get(&address)
    }

    /// The host of a channel.
    pub(crate) fn of(&self, channel: ChannelId) -> Option<SocketAddr> {
        self.peers.iter().find(|(_, peer)| peer.channel == channel).map(|(address, _)| *address)
    }

    /// The configured hosts.
    pub(crate) fn configured(&self) -> Vec<SocketAddr> {
        self.peers.iter().filter(|(_, peer)| peer.is_configured).map(|(address, _)| *address).collect()
    }

    /// Returns whether a host that is not configured can be added. Hosts that have proven nothing give place to others.
    pub(crate) fn admission(&self, address: SocketAddr) -> Admission {
        let learned = || self.peers.iter().filter(|(_, peer)| !peer.is_configured);
        let of_host = learned().filter(|(other, _)| other.ip() == address.ip());
        if of_host.clone().count() >= MAX_OF_HOST {
            return instead_of(of_host);
        }
        if learned().count() >= MAX_LEARNED { instead_of(learned()) } else { Admission::Free }
    }

    /// Notes that bytes came from a host, to this address of ours. Returns its channel, and whether it should be asked to
    /// prove that it is there.
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

    /// Notes that a host has proven its address.
    pub(crate) fn prove(&mut self, address: SocketAddr) {
        if let Some(peer) = self.peers.get_mut(&address) {
            peer.is_proven = true;
        }
    }

    /// Whether this number of bytes may be sent to a host, and counts them if so. A host that has proven nothing gets no more
    /// than came from it, or else anybody could make us flood a victim by forging its address.
    pub(crate) fn may_send(&mut self, address: SocketAddr, bytes: usize) -> bool {
        let Some(peer) = self.peers.get_mut(&address) else { return false };
        let sent = peer.sent.saturating_add(bytes as u64);
        let may = peer.is_configured || peer.is_proven || sent <= peer.received;
        if may {
            peer.sent = sent;
        }
        may
    }

    /// Returns the hosts that are not configured and were silent for too long.
    pub(crate) fn silent(&self, now: Duration) -> Vec<SocketAddr> {
        let is_silent = |peer: &Peer| !peer.is_configured && now.saturating_sub(peer.heard) >= SILENCE;
        self.peers.iter().filter(|(_, peer)| is_silent(peer)).map(|(address, _)| *address).collect()
    }
}

/// Of the hosts that have proven nothing, the one that was silent longest.
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
    fn an_address_that_may_be_forged_gets_no_more_than_came_from_it() {
        let mut unicast = Unicast::default();
        unicast.add(host(1), ChannelId(1), false, at(0));
        assert!(!unicast.may_send(host(1), 1));
        assert_eq!(unicast.note(host(1), LOCAL, 100, at(1)), Some((ChannelId(1), true)));
        assert!(
            unicast.may_send(host(1), 60) && !unicast.may_send(host(1), 60) && unicast.may_send(host(1), 40)
        );
        // It is not asked with every line.
        assert_eq!(unicast.note(host(1), LOCAL, 100, at(1)), Some((ChannelId(1), false)));
        unicast.prove(host(1));
        assert!(unicast.may_send(host(1), 1_000_000));
        assert_eq!(unicast.note(host(1), LOCAL, 1, at(9)), Some((ChannelId(1), false)));
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
    fn forged_hosts_cannot_drive_out_proven_ones() {
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
    fn one_router_has_few_places() {
        let mut unicast = Unicast::default();
        let behind = |port| SocketAddr::new(host(1).ip(), port);
        for port in 1..=MAX_OF_HOST as u16 {
            unicast.add(behind(port), ChannelId(port.into()), false, at(port.into()));
        }
        assert_eq!(unicast.admission(behind(99)), Admission::InsteadOf(behind(1)));
        assert_eq!(unicast.admission(host(2)), Admission::Free);
    }
}
