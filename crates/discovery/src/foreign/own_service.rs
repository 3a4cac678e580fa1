//! The service type of dt-swarm in DNS-SD, `_dt-swarm._tcp`. By it, a robot is found where broadcasts get lost but
//! multicast DNS passes.
//!
//! An instance is called like the robot, with the end of its peer ID, such as `duckie7~JnuCcN`. So two robots of one name
//! have different instances. Its port is that of the line protocol. The strings of its TXT record are `txtvers=1`,
//! `peer=ID`, and the properties that the robot tells strangers, such as `type=duckiebot`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::dns::{Data, Message, Name, strings};
use crate::Profile;
use dcache::PeerId;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Type of the service, as Avahi names it.
pub(super) const SERVICE_TYPE: &str = "_dt-swarm._tcp";
/// Labels of the service type.
const SERVICE: [&str; 3] = ["_dt-swarm", "_tcp", "local"];
/// Version of the form of the TXT record (RFC 6763, section 6.7).
const VERSION: &str = "txtvers=1";
/// Text before the peer ID in the TXT record.
const KEY: &str = "peer=";
/// Number of characters of the peer ID in the name of the instance, as in the names that the command line accepts.
const END: usize = 6;
/// Number of characters of the peer ID in the name of the host. They distinguish all robots of the world.
const HOST_END: usize = 16;
/// Maximum size of a host name in the name of an instance. With the end of the peer ID, it has to fit into a label of 63
/// bytes.
const MAX_NAME_BYTES: usize = 63 - 1 - END;
/// Maximum number of hosts that are remembered. A class room has fewer robots.
const MAX_HOSTS: usize = 256;
/// Time after its last answer for which a host is remembered: two answers to questions that are five minutes apart.
const KEPT: Duration = Duration::from_secs(11 * 60);

/// The instance of a robot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnService {
    /// Peer ID of the robot.
    pub peer: PeerId,
    /// TCP port of the line protocol.
    pub port: u16,
    /// The properties that strangers may know.
    pub shared: Profile,
}

impl OwnService {
    /// Returns the label that distinguishes the instance of a robot with this name from all others. Returns `None` for a
    /// name that does not fit into a label.
    pub(super) fn label(&self, name: &str) -> Option<String> {
        let is_fit = (1..=MAX_NAME_BYTES).contains(&name.len());
        is_fit.then(|| format!("{name}~{}", end(self.peer, END)))
    }

    /// Returns the name of the instance of a robot with this name.
    pub(super) fn instance(&self, name: &str) -> Option<Name> {
        Name::new(std::iter::once(self.label(name)?.as_str()).chain(SERVICE))
    }

    /// Returns the name of the host in these records. It differs from that of the robot, which another robot or Avahi may
    /// use.
    pub(super) fn host(&self) -> Option<Name> {
        Name::new([format!("dt-swarm-{}", end(self.peer, HOST_END)).as_str(), "local"])
    }

    /// Returns the strings of the TXT record.
    pub(super) fn strings(&self) -> Vec<String> {
        let Profile { configuration, device, distro, hardware, robot_type, .. } = self.shared.checked();
        let shared = [
            ("type", robot_type),
            ("configuration", configuration),
            ("hardware", hardware),
            ("distro", distro),
            ("device", device),
        ];
        let shared = shared.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", value?)));
        [VERSION.to_owned(), format!("{KEY}{}", self.peer)].into_iter().chain(shared).collect()
    }

    /// Returns the content of the TXT record.
    pub(super) fn text(&self) -> Vec<u8> {
        // Each string has fewer than 80 bytes.
        let one = |text: &String| Some([&[u8::try_from(text.len()).ok()?], text.as_bytes()].concat());
        self.strings().iter().filter_map(one).flatten().collect()
    }
}

/// Returns the last characters of a peer ID.
fn end(peer: PeerId, count: usize) -> String {
    let text = peer.to_string();
    text[text.len().saturating_sub(count)..].to_owned()
}

/// Returns the name of the service type.
pub(super) fn own_service_name() -> Name {
    Name::new(SERVICE).unwrap_or_default()
}

/// Returns the peer that a response announces as a robot with dt-swarm. A host has one daemon, so the first peer counts.
pub fn announced_peer(message: &Message) -> Option<PeerId> {
    let service = own_service_name();
    let records = message.records.iter().filter(|record| message.is_response && record.ttl > 0);
    let mut texts = records.filter_map(|record| match &record.data {
        Data::Txt(text) if record.name.before(&service).is_some_and(|name| name.len() == 1) => Some(text),
        _ => None,
    });
    texts.find_map(|text| {
        let value = strings(text).into_iter().find_map(|string| string.strip_prefix(KEY.as_bytes()))?;
        std::str::from_utf8(value).ok()?.parse().ok()
    })
}

/// The hosts that announced a robot with dt-swarm. Each host can only enter its own address.
#[derive(Debug, Default)]
pub(super) struct NearbyHosts {
    /// Time of the last answer of each host.
    hosts: BTreeMap<Ipv4Addr, Duration>,
}

impl NearbyHosts {
    /// Notes the answer of a host. When the table is full, further hosts are ignored until some are silent for long.
    pub(super) fn note(&mut self, host: Ipv4Addr, now: Duration) {
        self.hosts.retain(|_, at| *at + KEPT > now);
        if self.hosts.len() < MAX_HOSTS || self.hosts.contains_key(&host) {
            self.hosts.insert(host, now);
        }
    }

    /// Returns all hosts.
    pub(super) fn list(&self) -> Vec<Ipv4Addr> {
        self.hosts.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::dns::{Record, read, write};
    use super::*;
    use dcache::Keypair;

    fn peer() -> PeerId {
        Keypair::from_seed([1; 32]).peer_id()
    }

    fn service() -> OwnService {
        let text = |text: &str| Some(text.to_owned());
        let shared =
            Profile { robot_type: text("duckiebot"), hardware: text("virtual"), ..Profile::default() };
        OwnService { peer: peer(), port: 8000, shared }
    }

    fn response(name: Name, text: Vec<u8>, ttl: u32) -> Message {
        let records = vec![Record { name, ttl, replaces: true, data: Data::Txt(text) }];
        Message { is_response: true, records, ..Message::default() }
    }

    #[test]
    fn an_announced_peer_is_read_again() {
        let service = service();
        let name = service.instance("duckie7").unwrap();
        let message = response(name.clone(), service.text(), 120);
        assert_eq!(announced_peer(&read(&write(&message)).unwrap()), Some(peer()));
        assert_eq!(announced_peer(&response(name.clone(), service.text(), 0)), None, "it is withdrawn");
        assert_eq!(announced_peer(&Message { is_response: false, ..message }), None);
        let other = Name::new(["duckie7", "_http", "_tcp", "local"]).unwrap();
        assert_eq!(announced_peer(&response(other, service.text(), 120)), None);
        for wrong in [&b"\x05peer="[..], b"\x06peer=x", b"", b"\xffpeer=", b"\x07peer=\xff\xff"] {
            assert_eq!(announced_peer(&response(name.clone(), wrong.to_vec(), 120)), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_record_tells_what_strangers_may_know_and_the_names_are_unique() {
        let (service, id) = (service(), peer().to_string());
        let expected = ["txtvers=1".to_owned(), format!("peer={id}")];
        let shared = ["type=duckiebot", "hardware=virtual"].map(str::to_owned);
        assert_eq!(service.strings(), [expected.as_slice(), &shared].concat());
        assert_eq!(service.label("entebot208"), Some(format!("entebot208~{}", &id[id.len() - 6..])));
        let other = OwnService { peer: Keypair::from_seed([2; 32]).peer_id(), ..service.clone() };
        assert_ne!(other.instance("entebot208"), service.instance("entebot208"));
        assert_ne!(other.host(), service.host());
        assert!(service.instance(&"a".repeat(56)).is_some());
        assert_eq!((service.instance(&"a".repeat(57)), service.instance("")), (None, None));
        let nothing = OwnService { shared: Profile::default(), ..service };
        assert_eq!(nothing.strings(), expected);
    }

    #[test]
    fn the_number_of_hosts_is_bounded_and_silent_ones_leave() {
        let mut hosts = NearbyHosts::default();
        for number in 0..2 * MAX_HOSTS as u32 {
            hosts.note(Ipv4Addr::from_bits(0x0a00_0000 + number), Duration::ZERO);
        }
        assert_eq!(hosts.list().len(), MAX_HOSTS);
        hosts.note(Ipv4Addr::new(10, 9, 9, 9), KEPT);
        assert_eq!(hosts.list(), [Ipv4Addr::new(10, 9, 9, 9)]);
    }
}
