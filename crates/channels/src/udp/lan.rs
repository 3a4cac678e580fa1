//! One interface, on which this node speaks to all.

use super::socket::{Departure, GROUP4, GROUP6, Sockets};
use super::trouble::Failing;
use super::ways::{Way, WaySet, Ways};
use crate::Interface;
use routing::{Address, Capacity, ChannelId, Medium};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// How long a host is remembered that was heard though its address is outside the interface's networks.
const STRANGER: Duration = Duration::from_secs(300);
/// The most of them.
const MAX_STRANGERS: usize = 64;

/// An interface that is in use: a channel.
#[derive(Debug)]
pub(crate) struct Lan {
    pub(crate) channel: ChannelId,
    pub(crate) interface: Interface,
    pub(crate) ways: Ways,
    /// The groups that are listened to.
    joined: WaySet,
    /// Whether anything at all can be sent.
    pub(crate) sending: Failing,
    /// Whether broadcasts can be sent.
    pub(crate) broadcasting: Failing,
    /// Hosts on the wire whose addresses are outside its networks, and when they were heard.
    strangers: BTreeMap<Ipv4Addr, Duration>,
    /// Since when somebody here is heard who speaks to this host alone, and when he last was.
    pub(crate) alone: Option<(IpAddr, Duration, Duration)>,
}

impl Lan {
    pub(crate) fn new(channel: ChannelId, interface: Interface) -> Self {
        Self {
            channel,
            interface,
            ways: Ways::default(),
            joined: WaySet::default(),
            sending: Failing::default(),
            broadcasting: Failing::default(),
            strangers: BTreeMap::new(),
            alone: None,
        }
    }

    /// What the brain is told of an interface.
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

    /// Takes over what changed without making it another channel, and listens to the groups.
    pub(crate) fn refresh(&mut self, interface: Interface, sockets: &Sockets) {
        self.interface = interface;
        let index = self.interface.index;
        for way in self.available(sockets).without(self.joined).iter() {
            let joined = match way {
                Way::Broadcast => Ok(()),
                Way::Multicast4 => sockets.join4(index),
                Way::Multicast6 => sockets.join6(index),
            };
            match joined {
                Ok(()) => self.joined = self.joined.with(way),
                Err(error) => tracing::debug!(interface = self.interface.name, ?way, %error, "cannot listen"),
            }
        }
    }

    fn available(&self, sockets: &Sockets) -> WaySet {
        let ipv4 = || WaySet::default().with(Way::Broadcast).with(Way::Multicast4);
        let ways = if self.interface.networks.is_empty() { WaySet::default() } else { ipv4() };
        let has_ipv6 = sockets.has_ipv6() && self.interface.link_local.is_some();
        if has_ipv6 { ways.with(Way::Multicast6) } else { ways }
    }

    /// Says something to all. Where the chosen ways fail, the others are tried.
    pub(crate) async fn speak(&mut self, sockets: &Sockets, port: u16, bytes: &[u8], now: Duration) {
        let available = self.available(sockets);
        let chosen = self.ways.choose(available, now);
        let mut result = self.speak_by(chosen, sockets, port, bytes, now).await;
        if result.is_err() && chosen != available {
            result = self.speak_by(available.without(chosen), sockets, port, bytes, now).await;
        }
        self.sending.note(&result, now);
    }

    /// Succeeds when one of the ways did.
    async fn speak_by(
        &mut self,
        ways: WaySet,
        sockets: &Sockets,
        port: u16,
        bytes: &[u8],
        now: Duration,
    ) -> std::io::Result<()> {
        let mut result = Err(std::io::ErrorKind::NetworkUnreachable.into());
        for way in ways.iter() {
            let sent = self.speak_by_one(way, sockets, port, bytes).await;
            if way == Way::Broadcast {
                self.broadcasting.note(&sent, now);
            }
            result = if result.is_ok() { result } else { sent };
        }
        result
    }

    async fn speak_by_one(
        &self,
        way: Way,
        sockets: &Sockets,
        port: u16,
        bytes: &[u8],
    ) -> std::io::Result<()> {
        let mut result = Ok(());
        for departure in self.departures(way, port) {
            result = result.and(sockets.send(departure, bytes).await);
        }
        result
    }

    fn departures(&self, way: Way, port: u16) -> Vec<Departure> {
        let Interface { networks, index, link_local, .. } = &self.interface;
        let departure = |to: SocketAddr, from: IpAddr| Departure { to, from: Some(from), interface: *index };
        match way {
            Way::Broadcast => {
                let all = networks.iter();
                all.map(|network| departure((network.broadcast, port).into(), network.address.into()))
                    .collect()
            }
            Way::Multicast4 => {
                let first = networks.iter().take(1);
                first.map(|network| departure((GROUP4, port).into(), network.address.into())).collect()
            }
            Way::Multicast6 => {
                let to = SocketAddrV6::new(GROUP6, port, 0, *index).into();
                link_local.iter().map(|from| departure(to, (*from).into())).collect()
            }
        }
    }

    /// By which way a datagram for this address is one for all; `None` when it is for one host.
    pub(crate) fn way_to(&self, destination: IpAddr) -> Option<Way> {
        match destination {
            IpAddr::V4(GROUP4) => Some(Way::Multicast4),
            IpAddr::V6(GROUP6) => Some(Way::Multicast6),
            IpAddr::V4(host) => {
                let mut networks = self.interface.networks.iter();
                let is_for_all = host.is_broadcast() || networks.any(|network| network.broadcast == host);
                is_for_all.then_some(Way::Broadcast)
            }
            IpAddr::V6(_) => None,
        }
    }

    /// Notes a host that spoke to all on the wire.
    pub(crate) fn meet(&mut self, host: IpAddr, now: Duration) {
        let IpAddr::V4(host) = host else { return };
        if !self.interface.networks.iter().any(|network| network.contains(host)) {
            self.strangers.retain(|_, heard| now.saturating_sub(*heard) < STRANGER);
            if self.strangers.len() < MAX_STRANGERS || self.strangers.contains_key(&host) {
                self.strangers.insert(host, now);
            }
        }
    }

    /// A host on the wire whose address is outside of the interface's networks.
    pub(crate) fn stranger(&self, now: Duration) -> Option<Ipv4Addr> {
        let mut lately = self.strangers.iter().filter(|(_, heard)| now.saturating_sub(**heard) < STRANGER);
        // Without an IPv4 address of our own every host is outside, and none is wrong.
        lately.next().map(|(host, _)| *host).filter(|_| !self.interface.networks.is_empty())
    }

    /// Whether a host is on the wire, as far as its address or what was heard from it shows.
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

/// The line protocol over UDP at a host and port.
pub(crate) fn udp_line(at: SocketAddr) -> Option<Address> {
    let family = if at.is_ipv4() { "ip4" } else { "ip6" };
    format!("/{family}/{}/udp/{}/dswarm-line", at.ip(), at.port()).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;

    fn lan() -> Lan {
        let [address, netmask, broadcast] =
            [[10, 77, 0, 5], [255, 255, 255, 128], [10, 77, 0, 127]].map(Ipv4Addr::from);
        let networks = vec![Network { address, netmask, broadcast }];
        let link_local = "fe80::5".parse().ok();
        let interface = Interface { name: "eth0".to_owned(), index: 7, networks, link_local, global: None };
        Lan::new(ChannelId(1), interface)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_destination_tells_the_way() {
        let way = |destination| lan().way_to(ip(destination));
        assert_eq!(way("10.77.0.127"), Some(Way::Broadcast));
        assert_eq!(way("255.255.255.255"), Some(Way::Broadcast));
        assert_eq!(way("239.192.4.216"), Some(Way::Multicast4));
        assert_eq!(way("ff12::8000:4d8"), Some(Way::Multicast6));
        assert_eq!([way("10.77.0.5"), way("10.77.0.255"), way("fe80::5")], [None; 3]);
    }

    #[test]
    fn every_way_leaves_by_the_interface() {
        let departures = |way| lan().departures(way, 1240);
        let to =
            |text: &str, from| Departure { to: text.parse().unwrap(), from: Some(ip(from)), interface: 7 };
        assert_eq!(departures(Way::Broadcast), [to("10.77.0.127:1240", "10.77.0.5")]);
        assert_eq!(departures(Way::Multicast4), [to("239.192.4.216:1240", "10.77.0.5")]);
        assert_eq!(departures(Way::Multicast6), [to("[ff12::8000:4d8%7]:1240", "fe80::5")]);
    }

    #[test]
    fn what_is_told_of_it_prefers_ipv4() {
        let mut interface = lan().interface;
        let told = |interface: &Interface| match Lan::medium(interface, 1240, 8000) {
            Medium::Broadcast { at, line, .. } => {
                [at, line].map(|address| address.map(|address| address.to_string()))
            }
            Medium::Link { .. } => panic!(),
        };
        let text = |text: &str| Some(text.to_owned());
        let at_ipv4 = "/ip4/10.77.0.127/udp/1240/dswarm-line";
        assert_eq!(told(&interface), [text(at_ipv4), text("/ip4/10.77.0.5/tcp/8000/dswarm-line")]);
        interface.networks.clear();
        assert_eq!(told(&interface), [text("/ip6/ff12::8000:4d8/udp/1240/dswarm-line"), None]);
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
