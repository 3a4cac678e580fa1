//! Broadcast media: what one says there, whoever else is on it hears, or not.

use crate::budget::Budget;
use crate::node::NodeId;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use routing::{Capacity, ChannelId};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Which network.
pub(crate) type NetworkId = usize;

/// Where line links are taken.
const PORT: u16 = 8000;
/// Of Ethernet, IP and UDP.
const DATAGRAM_HEADERS: usize = 42;
/// Of Ethernet and IP, for each fragment but the first.
const FRAGMENT_HEADERS: usize = 34;
/// What one frame holds of a datagram.
const FRAGMENT: usize = 1472;

/// What sort of medium it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Datagrams on a local network: each fragment may get lost, the sender is known and hears itself.
    Lan,
    /// A mesh over the internet: nobody knows from whom a line comes.
    Mesh,
    /// A channel of a server: nothing is lost, nobody knows from whom a line comes.
    Line,
}

/// How a medium treats what is said on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    /// Which part of what is sent each receiver misses.
    pub(crate) loss: f64,
    /// How often something comes twice.
    pub(crate) duplication: f64,
    /// How long it takes at least.
    pub(crate) delay: Duration,
    /// How much longer it may take: what is said later may so come earlier.
    pub(crate) jitter: Duration,
    /// Bytes a second on a link between two of its hosts.
    pub(crate) link_rate: u32,
}

/// A node on a network.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) channel: ChannelId,
    pub(crate) budget: Budget,
    /// Whether it went beyond it before: that is told once.
    pub(crate) is_over: bool,
}

/// A medium and who is on it.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) name: String,
    pub(crate) sort: Sort,
    pub(crate) capacity: Capacity,
    pub(crate) conditions: Conditions,
    /// Whether its hosts can call each other.
    pub(crate) is_dialable: bool,
    pub(crate) members: BTreeMap<NodeId, Member>,
    /// While it is cut into parts: in which part a node is. Who is not named is in part 0.
    pub(crate) parts: BTreeMap<NodeId, usize>,
}

impl Network {
    /// Whether what one of two hosts says can come to the other.
    pub(crate) fn connects(&self, one: NodeId, other: NodeId) -> bool {
        let part = |node| self.parts.get(node).copied().unwrap_or(0);
        self.members.contains_key(&one) && self.members.contains_key(&other) && part(&one) == part(&other)
    }

    /// What a line takes on the wire.
    pub(crate) fn wire_bytes(&self, line: usize) -> u64 {
        let bytes = match self.sort {
            Sort::Lan => line + DATAGRAM_HEADERS + (fragments(line) - 1) * FRAGMENT_HEADERS,
            Sort::Mesh => line + DATAGRAM_HEADERS,
            // A server adds who says it and where.
            Sort::Line => line + self.capacity.pieces(line) as usize * DATAGRAM_HEADERS,
        };
        bytes as u64
    }

    /// When a line of so many bytes arrives at one receiver that could hear it: never, once, or twice.
    pub(crate) fn arrivals(&self, bytes: usize, random: &mut ChaCha8Rng) -> [Option<Duration>; 2] {
        let Conditions { loss, duplication, .. } = self.conditions;
        let chances = if self.sort == Sort::Lan { fragments(bytes) } else { 1 };
        let is_lost = loss > 0.0 && (0..chances).any(|_| random.random_bool(loss));
        if is_lost {
            return [None, None];
        }
        let twice = duplication > 0.0 && random.random_bool(duplication);
        [Some(self.delay(random)), twice.then(|| self.delay(random))]
    }

    /// How long something is on its way.
    pub(crate) fn delay(&self, random: &mut ChaCha8Rng) -> Duration {
        let Conditions { delay, jitter, .. } = self.conditions;
        if jitter.is_zero() { delay } else { delay + jitter.mul_f64(random.random::<f64>()) }
    }
}

fn fragments(bytes: usize) -> usize {
    bytes.div_ceil(FRAGMENT).max(1)
}

/// Where a node takes links on a network.
pub(crate) fn address(network: NetworkId, node: NodeId) -> SocketAddr {
    let [.., network] = (network as u32 + 1).to_be_bytes();
    let [.., high, low] = (node as u32).to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, network, high, low)), PORT)
}

/// Whose address that is, and on which network; `None` for an address that nobody was given.
pub(crate) fn whose(address: SocketAddr) -> Option<(NetworkId, NodeId)> {
    let IpAddr::V4(ip) = address.ip() else { return None };
    let [ten, network, high, low] = ip.octets();
    let network = usize::from(network).checked_sub(1)?;
    (ten == 10).then(|| (network, usize::from(u16::from_be_bytes([high, low]))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    fn lan(loss: f64, duplication: f64) -> Network {
        let conditions = Conditions {
            loss,
            duplication,
            delay: Duration::from_millis(2),
            jitter: Duration::from_millis(6),
            link_rate: 1_000_000,
        };
        let capacity = Capacity::LAN;
        let (members, parts) = (BTreeMap::new(), BTreeMap::new());
        Network {
            name: "lan".to_owned(),
            sort: Sort::Lan,
            capacity,
            conditions,
            is_dialable: true,
            members,
            parts,
        }
    }

    fn arrivals(network: &Network, bytes: usize) -> Vec<[Option<Duration>; 2]> {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        (0..10_000).map(|_| network.arrivals(bytes, &mut random)).collect()
    }

    #[test]
    fn loses_and_doubles_as_much_as_it_is_told() {
        let all = arrivals(&lan(0.2, 0.05), 500);
        let heard = all.iter().filter(|both| both[0].is_some()).count();
        let twice = all.iter().filter(|both| both[1].is_some()).count();
        assert!((7800..8200).contains(&heard), "{heard}");
        assert!((320..480).contains(&twice), "{twice}");
        let large = arrivals(&lan(0.2, 0.0), 3000).iter().filter(|both| both[0].is_some()).count();
        assert!((4900..5350).contains(&large), "of a datagram of three fragments none may be lost: {large}");
    }

    #[test]
    fn takes_its_time_but_no_more() {
        let times: Vec<_> = arrivals(&lan(0.0, 0.0), 500).into_iter().flatten().flatten().collect();
        assert_eq!(times.len(), 10_000);
        let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        assert!(*least >= Duration::from_millis(2) && *least < Duration::from_micros(2100));
        assert!(*most <= Duration::from_millis(8) && *most > Duration::from_micros(7900));
        assert!(!times.is_sorted(), "what is said later may come earlier");
    }

    #[test]
    fn parts_do_not_hear_each_other() {
        let mut network = lan(0.0, 0.0);
        for node in 0..3 {
            let budget = Budget::new(&network.capacity, Duration::ZERO);
            network.members.insert(node, Member { channel: ChannelId(node as u64), budget, is_over: false });
        }
        assert!(network.connects(0, 1) && !network.connects(0, 3));
        network.parts.insert(1, 1);
        assert!(!network.connects(0, 1) && network.connects(0, 2));
        network.parts.clear();
        assert!(network.connects(0, 1));
    }

    #[test]
    fn addresses_read_back() {
        for (network, node) in [(0, 0), (200, 10_000), (3, 255), (253, 65_535)] {
            assert_eq!(whose(address(network, node)), Some((network, node)));
        }
        assert_eq!(whose("192.0.2.1:8000".parse().unwrap()), None);
    }
}
