//! One interface as a channel to all hosts on it.

use super::cast::{CastMode, CastModes, CastSelector};
use super::send_failure::SendStreak;
use super::socket::{Departure, GROUP4, GROUP6, Sockets};
use super::sweep::Sweep;
use crate::interfaces::Interface;
use routing::{Address, Capacity, ChannelId, Envelope, Medium};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// Time for which a host is remembered whose address is outside the networks of the interface on which it was heard.
const STRANGER: Duration = Duration::from_secs(300);
/// Maximum number of such hosts that are remembered.
const MAX_STRANGERS: usize = 64;

/// Age below which a beacon is sent in a sweep. Other nodes ignore old beacons.
const RECENT_BEACON: Duration = Duration::from_secs(20);
/// Text that each beacon contains.
const BEACON_KEY: &str = "\"beacon\"";

/// An interface in use, which is one channel.
#[derive(Debug)]
pub(crate) struct Lan {
    pub(crate) channel: ChannelId,
    pub(crate) interface: Interface,
    pub(crate) cast: CastSelector,
    /// Modes by which this node can receive: broadcast, and the multicast groups that it has joined.
    joined: CastModes,
    /// Results of sending by any mode.
    pub(crate) sending: SendStreak,
    /// Results of sending broadcasts.
    pub(crate) broadcasting: SendStreak,
    /// Hosts on the same link whose addresses are outside its networks, with the time at which each was last heard.
    strangers: BTreeMap<Ipv4Addr, Duration>,
    /// Latest host on the same link that sent a line for all hosts by unicast.
    pub(crate) unicast_heard: Option<UnicastHeard>,
    pub(crate) sweep: Sweep,
    /// Latest beacon of this node, and when it was sent. Kept only while a sweep needs it.
    beacon: Option<(String, Duration)>,
}

/// A host that was heard by unicast, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnicastHeard {
    pub(crate) host: IpAddr,
    /// When the first such line arrived, from any host.
    pub(crate) since: Duration,
    pub(crate) last: Duration,
}

impl Lan {
    pub(crate) fn new(channel: ChannelId, interface: Interface, now: Duration) -> Self {
        Self {
            channel,
            interface,
            cast: CastSelector::default(),
            joined: CastModes::default(),
            sending: SendStreak::default(),
            broadcasting: SendStreak::default(),
            strangers: BTreeMap::new(),
            unicast_heard: None,
            sweep: Sweep::new(now),
            beacon: None,
        }
    }

    /// Keeps a line for all hosts for the next sweep, if it is a beacon and a sweep needs it.
    pub(crate) fn keep_beacon(&mut self, line: &str, now: Duration) {
        if self.sweep.is_near(now) && line.contains(BEACON_KEY) && is_beacon(line) {
            self.beacon = Some((line.to_owned(), now));
        }
    }

    /// Returns the latest beacon, if it is recent.
    pub(crate) fn recent_beacon(&self, now: Duration) -> Option<&str> {
        let (line, sent) = self.beacon.as_ref()?;
        (now.saturating_sub(*sent) < RECENT_BEACON).then_some(line.as_str())
    }

    /// Returns the description of an interface for the brain.
    pub(crate) fn medium(interface: &Interface, port: u16, line_port: u16) -> Medium {
        let broadcast = interface.networks.first().map(|network| IpAddr::V4(network.broadcast));
        let line = interface.hosts().first().map(|host| Address::tcp_line((*host, line_port).into()));
        Medium::Broadcast {
            name: interface.name.clone(),
            at: udp_line((broadcast.unwrap_or(GROUP6.into()), port).into()),
            line,
            capacity: Capacity::LAN,
        }
    }

    /// Applies changes that do not make the interface a different channel, and joins the multicast groups.
    pub(crate) fn refresh(&mut self, interface: Interface, sockets: &Sockets) {
        self.interface = interface;
        let index = self.interface.index;
        for mode in self.available(sockets).without(self.joined).iter() {
            let joined = match mode {
                CastMode::Broadcast => Ok(()),
                CastMode::Multicast4 => sockets.join4(index),
                CastMode::Multicast6 => sockets.join6(index),
            };
            match joined {
                Ok(()) => self.joined = self.joined.with(mode),
                Err(error) => {
                    tracing::debug!(interface = self.interface.name, ?mode, %error, "cannot join a multicast group")
                }
            }
        }
    }

    fn available(&self, sockets: &Sockets) -> CastModes {
        let ipv4 = || CastModes::default().with(CastMode::Broadcast).with(CastMode::Multicast4);
        let modes = if self.interface.networks.is_empty() { CastModes::default() } else { ipv4() };
        let has_ipv6 = sockets.has_ipv6() && self.interface.link_local.is_some();
        if has_ipv6 { modes.with(CastMode::Multicast6) } else { modes }
    }

    /// Sends a datagram to all hosts. If the chosen cast modes fail, tries the other ones.
    pub(crate) async fn send_to_all(&mut self, sockets: &Sockets, port: u16, bytes: &[u8], now: Duration) {
        let available = self.available(sockets);
        let chosen = self.cast.choose(available, now);
        let mut result = self.send_by(chosen, sockets, port, bytes, now).await;
        if result.is_err() && chosen != available {
            result = self.send_by(available.without(chosen), sockets, port, bytes, now).await;
        }
        self.sending.note(&result, now);
    }

    /// Sends by several cast modes. Succeeds if at least one of them does.
    async fn send_by(
        &mut self,
        modes: CastModes,
        sockets: &Sockets,
        port: u16,
        bytes: &[u8],
        now: Duration,
    ) -> std::io::Result<()> {
        let mut result = Err(std::io::ErrorKind::NetworkUnreachable.into());
        for mode in modes.iter() {
            let sent = self.send_by_one(mode, sockets, port, bytes).await;
            if mode == CastMode::Broadcast {
                self.broadcasting.note(&sent, now);
            }
            result = if result.is_ok() { result } else { sent };
        }
        result
    }

    async fn send_by_one(
        &self,
        mode: CastMode,
        sockets: &Sockets,
        port: u16,
        bytes: &[u8],
    ) -> std::io::Result<()> {
        let mut result = Ok(());
        for departure in self.departures(mode, port) {
            result = result.and(sockets.send(departure, bytes).await);
        }
        result
    }

    fn departures(&self, mode: CastMode, port: u16) -> Vec<Departure> {
        let Interface { networks, index, link_local, .. } = &self.interface;
        let departure = |to: SocketAddr, from: IpAddr| Departure { to, from: Some(from), interface: *index };
        match mode {
            CastMode::Broadcast => {
                let all = networks.iter();
                all.map(|network| departure((network.broadcast, port).into(), network.address.into()))
                    .collect()
            }
            CastMode::Multicast4 => {
                let first = networks.iter().take(1);
                first.map(|network| departure((GROUP4, port).into(), network.address.into())).collect()
            }
            CastMode::Multicast6 => {
                let to = SocketAddrV6::new(GROUP6, port, 0, *index).into();
                link_local.iter().map(|from| departure(to, (*from).into())).collect()
            }
        }
    }

    /// Returns the cast mode of a datagram with this destination; `None` if it is for a single host.
    pub(crate) fn cast_mode(&self, destination: IpAddr) -> Option<CastMode> {
        match destination {
            IpAddr::V4(GROUP4) => Some(CastMode::Multicast4),
            IpAddr::V6(GROUP6) => Some(CastMode::Multicast6),
            IpAddr::V4(host) => {
                let mut networks = self.interface.networks.iter();
                let is_for_all = host.is_broadcast() || networks.any(|network| network.broadcast == host);
                is_for_all.then_some(CastMode::Broadcast)
            }
            IpAddr::V6(_) => None,
        }
    }

    /// Records the sender of a datagram to all hosts, if its address is outside the interface's networks.
    pub(crate) fn meet(&mut self, host: IpAddr, now: Duration) {
        let IpAddr::V4(host) = host else { return };
        if !self.interface.networks.iter().any(|network| network.contains(host)) {
            self.strangers.retain(|_, heard| now.saturating_sub(*heard) < STRANGER);
            if self.strangers.len() < MAX_STRANGERS || self.strangers.contains_key(&host) {
                self.strangers.insert(host, now);
            }
        }
    }

    /// Records a host on the same link that sent a line for all hosts by unicast.
    pub(crate) fn note_unicast(&mut self, source: SocketAddr, now: Duration) {
        if self.is_neighbour(source) {
            let since = self.unicast_heard.map_or(now, |heard| heard.since);
            self.unicast_heard = Some(UnicastHeard { host: source.ip(), since, last: now });
        }
    }

    /// Returns a host on the same link whose address is outside the interface's networks.
    pub(crate) fn stranger(&self, now: Duration) -> Option<Ipv4Addr> {
        let mut lately = self.strangers.iter().filter(|(_, heard)| now.saturating_sub(**heard) < STRANGER);
        // If the interface has no IPv4 address, every host is outside, and that is no fault.
        lately.next().map(|(host, _)| *host).filter(|_| !self.interface.networks.is_empty())
    }

    /// Returns whether a host is on the same link, as far as its address or its datagrams show.
    pub(crate) fn is_neighbour(&self, host: SocketAddr) -> bool {
        match host {
            SocketAddr::V4(host) => {
                let mut networks = self.interface.networks.iter();
                networks.any(|network| network.contains(*host.ip())) || self.strangers.contains_key(host.ip())
            }
            SocketAddr::V6(host) => {
                host.ip().is_unicast_link_local() && host.scope_id() == self.interface.index
            }
        }
    }
}

/// Returns whether a line is a beacon of this node for all hosts.
fn is_beacon(line: &str) -> bool {
    let envelope = Envelope::decode(line.as_bytes());
    envelope.is_ok_and(|envelope| {
        envelope.beacon.is_some() && envelope.hops == 0 && envelope.to == Address::every_brain()
    })
}

/// Returns the address of the line protocol over UDP at a host and port.
pub(crate) fn udp_line(at: SocketAddr) -> Option<Address> {
    let family = if at.is_ipv4() { "ip4" } else { "ip6" };
    format!("/{family}/{}/udp/{}/dswarm-line", at.ip(), at.port()).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interfaces::Network;

    fn lan() -> Lan {
        let [address, netmask, broadcast] =
            [[10, 77, 0, 5], [255, 255, 255, 128], [10, 77, 0, 127]].map(Ipv4Addr::from);
        let networks = vec![Network { address, netmask, broadcast }];
        let link_local = "fe80::5".parse().ok();
        let interface = Interface { name: "eth0".to_owned(), index: 7, networks, link_local, global: None };
        Lan::new(ChannelId(1), interface, Duration::ZERO)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_destination_determines_the_cast_mode() {
        let mode = |destination| lan().cast_mode(ip(destination));
        assert_eq!(mode("10.77.0.127"), Some(CastMode::Broadcast));
        assert_eq!(mode("255.255.255.255"), Some(CastMode::Broadcast));
        assert_eq!(mode("239.192.4.216"), Some(CastMode::Multicast4));
        assert_eq!(mode("ff12::8000:4d8"), Some(CastMode::Multicast6));
        assert_eq!([mode("10.77.0.5"), mode("10.77.0.255"), mode("fe80::5")], [None; 3]);
    }

    #[test]
    fn every_cast_mode_leaves_by_the_interface() {
        let departures = |mode| lan().departures(mode, 1240);
        let to =
            |text: &str, from| Departure { to: text.parse().unwrap(), from: Some(ip(from)), interface: 7 };
        assert_eq!(departures(CastMode::Broadcast), [to("10.77.0.127:1240", "10.77.0.5")]);
        assert_eq!(departures(CastMode::Multicast4), [to("239.192.4.216:1240", "10.77.0.5")]);
        assert_eq!(departures(CastMode::Multicast6), [to("[ff12::8000:4d8%7]:1240", "fe80::5")]);
    }

    #[test]
    fn the_description_prefers_ipv4() {
        let mut interface = lan().interface;
        let described = |interface: &Interface| match Lan::medium(interface, 1240, 8000) {
            Medium::Broadcast { at, line, .. } => {
                [at, line].map(|address| address.map(|address| address.to_string()))
            }
            Medium::Link { .. } => panic!(),
        };
        let text = |text: &str| Some(text.to_owned());
        let at_ipv4 = "/ip4/10.77.0.127/udp/1240/dswarm-line";
        assert_eq!(described(&interface), [text(at_ipv4), text("/ip4/10.77.0.5/tcp/8000/dswarm-line")]);
        interface.networks.clear();
        assert_eq!(described(&interface), [text("/ip6/ff12::8000:4d8/udp/1240/dswarm-line"), None]);
    }

    #[test]
    fn hosts_outside_the_netmask_are_noticed_and_forgotten() {
        let (mut lan, at) = (lan(), Duration::from_secs);
        lan.meet(ip("10.77.0.9"), at(0));
        assert_eq!(lan.stranger(at(1)), None);
        lan.meet(ip("10.77.0.200"), at(2));
        assert_eq!(lan.stranger(at(3)).map(IpAddr::V4), Some(ip("10.77.0.200")));
        assert!(lan.is_neighbour("10.77.0.200:1240".parse().unwrap()));
        assert!(!lan.is_neighbour("10.77.0.201:1240".parse().unwrap()));
        assert!(lan.is_neighbour("[fe80::9%7]:1240".parse().unwrap()));
        assert!(!lan.is_neighbour("[fe80::9%8]:1240".parse().unwrap()));
        assert_eq!(lan.stranger(at(303)), None);
    }
}
