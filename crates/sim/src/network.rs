//! Broadcast media: each line that a node sends may reach all other nodes on the medium.

use crate::budget::Budget;
use crate::node::NodeId;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use routing::{Capacity, ChannelId};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Number of a network.
pub(crate) type NetworkId = usize;

/// Port at which nodes take links.
const PORT: u16 = 8000;
/// Size of the headers of Ethernet, IP and UDP, in bytes.
const DATAGRAM_HEADERS: usize = 42;
/// Size of the headers of Ethernet and IP, in bytes, for each fragment except the first.
const FRAGMENT_HEADERS: usize = 34;
/// Maximum number of bytes of a datagram in one frame.
const FRAGMENT: usize = 1472;

/// The kind of a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Datagrams on a local network. Each fragment may get lost. The sender is known, and hears itself.
    Lan,
    /// A mesh over the internet. Receivers do not know the sender of a line.
    Mesh,
    /// A channel of a chat server. No line gets lost. Receivers do not know the sender of a line.
    Line,
}

/// Losses and delays of a medium.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    /// Fraction of the lines that each receiver misses.
    pub(crate) loss: f64,
    /// Fraction of the lines that arrive twice.
    pub(crate) duplication: f64,
    /// Minimum delay of a line.
    pub(crate) delay: Duration,
    /// Maximum additional delay of a line. Because of it, lines may overtake each other.
    pub(crate) jitter: Duration,
    /// Rate of a link between two of its hosts, in bytes per second.
    pub(crate) link_rate: u32,
}

/// A node on a network.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) channel: ChannelId,
    pub(crate) budget: Budget,
    /// Whether it exceeded its budget before. Only the first time is reported.
    pub(crate) is_over: bool,
}

/// A medium and the nodes on it.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) name: String,
    pub(crate) sort: Sort,
    pub(crate) capacity: Capacity,
    pub(crate) conditions: Conditions,
    /// Whether its nodes can open links to each other.
    pub(crate) is_dialable: bool,
    pub(crate) members: BTreeMap<NodeId, Member>,
    /// The part that each node is in, while the network is split. Nodes that are not listed are in part 0.
    pub(crate) parts: BTreeMap<NodeId, usize>,
}

impl Network {
    /// Returns whether lines of one of two nodes can reach the other.
    pub(crate) fn connects(&self, one: NodeId, other: NodeId) -> bool {
        let part = |node| self.parts.get(node).copied().unwrap_or(0);
        self.members.contains_key(&one) && self.members.contains_key(&other) && part(&one) == part(&other)
    }

    /// Returns the size of a line on the wire.
    pub(crate) fn wire_bytes(&self, line: usize) -> u64 {
        let bytes = match self.sort {
            Sort::Lan => line + DATAGRAM_HEADERS + (fragments(line) - 1) * FRAGMENT_HEADERS,
            Sort::Mesh => line + DATAGRAM_HEADERS,
            // A server adds the sender and the channel.
            Sort::Line => line + self.capacity.pieces(line) as usize * DATAGRAM_HEADERS,
        };
        bytes as u64
    }

    /// Returns the delays after which a line of this many bytes arrives at one receiver that could hear it: none, one,
    /// or two.
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

    /// Returns the random delay of a line.
    pub(crate) fn delay(&self, random: &mut ChaCha8Rng) -> Duration {
        let Conditions { delay, jitter, .. } = self.conditions;
        if jitter.is_zero() { delay } else { delay + jitter.mul_f64(random.random::<f64>()) }
    }
}

fn fragments(bytes: usize) -> usize {
    bytes.div_ceil(FRAGMENT).max(1)
}

/// Returns the address at which a node takes links on a network.
pub(crate) fn address(network: NetworkId, node: NodeId) -> SocketAddr {
    let [.., network] = (network as u32 + 1).to_be_bytes();
    let [.., high, low] = (node as u32).to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, network, high, low)), PORT)
}

/// Returns the network and the node that an address belongs to; `None` for an address of another form.
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
    fn a_network_loses_and_duplicates_as_configured() {
        let all = arrivals(&lan(0.2, 0.05), 500);
        let heard = all.iter().filter(|both| both[0].is_some()).count();
        let twice = all.iter().filter(|both| both[1].is_some()).count();
        assert!((7800..8200).contains(&heard), "{heard}");
        assert!((320..480).contains(&twice), "{twice}");
        let large = arrivals(&lan(0.2, 0.0), 3000).iter().filter(|both| both[0].is_some()).count();
        assert!((4900..5350).contains(&large), "no fragment of a datagram of three may be lost: {large}");
    }

    #[test]
    fn delays_are_within_their_bounds() {
        let times: Vec<_> = arrivals(&lan(0.0, 0.0), 500).into_iter().flatten().flatten().collect();
        assert_eq!(times.len(), 10_000);
        let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        assert!(*least >= Duration::from_millis(2) && *least < Duration::from_micros(2100));
        assert!(*most <= Duration::from_millis(8) && *most > Duration::from_micros(7900));
        assert!(!times.is_sorted(), "later lines may overtake earlier ones");
    }

    #[test]
    fn nodes_in_different_parts_do_not_hear_each_other() {
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
    fn addresses_are_the_same_after_writing_and_reading() {
        for (network, node) in [(0, 0), (200, 10_000), (3, 255), (253, 65_535)] {
            assert_eq!(whose(address(network, node)), Some((network, node)));
        }
        assert_eq!(whose("192.0.2.1:8000".parse().unwrap()), None);
    }
}
