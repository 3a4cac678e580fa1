//! Finds the neighbours of a node: peers on the networks of this host, and recently active peers. A node that fetches
//! content connects to its neighbours, so that nodes that want the same content exchange it.

use dcache::{Moment, Pattern, PeerId, Set, Time, buckets};
use ipfs::Multiaddr;
use ipfs::node::{Networks, Node, Provider};
use service::{Decide, Decision, DecisionLoop};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;
use swarm::{Stopped, Swarm};

/// Maximum number of neighbours.
const MAX_NEIGHBOURS: usize = 48;
/// Maximum number of addresses of one neighbour. Addresses on the networks of this host come first.
const MAX_ADDRESSES: usize = 16;
/// Maximum number of addresses that are read of one peer. Honest peers publish at most [`MAX_ADDRESSES`].
const MAX_PUBLISHED: usize = 64;
/// Time in which arriving records are gathered for one decision.
const GATHER: Duration = Duration::from_millis(200);

/// Decides which peers are the neighbours. The decider is pure: the networks of this host are an input.
struct Neighbourhood {
    me: PeerId,
    networks: Networks,
    pattern: Pattern,
}

impl Decide for Neighbourhood {
    /// A neighbour with its addresses.
    type Action = Provider;

    fn decide(&mut self, set: &Set, now: Moment) -> Decision<Provider> {
        let actions = find(set, now.time, &self.pattern, self.me, &self.networks);
        let wake = set.next_edge(std::slice::from_ref(&self.pattern), now.time);
        Decision { actions, wake, ..Decision::default() }
    }
}

/// Tells the node its neighbours whenever a peer appears, or the addresses of a peer or of this host change. Returns
/// only with an error.
///
/// # Errors
/// When the daemon is stopping.
pub(crate) async fn run_neighbours(swarm: Swarm, node: Node) -> Result<Infallible, Stopped> {
    let mut own = node.listen_addresses();
    let pattern = buckets::IPFS_ADDRESSES.matcher();
    let decider = Neighbourhood { me: swarm.me(), networks: Networks::current(), pattern };
    let mut decisions =
        DecisionLoop::new(swarm, decider, |bucket| buckets::IPFS_ADDRESSES.contains(bucket), GATHER);
    loop {
        node.tell_neighbours(decisions.decide().await?);
        tokio::select! {
            () = decisions.changed() => {}
            Ok(()) = own.changed() => {}
        }
        decisions.decider().networks = Networks::current();
    }
}

/// A peer that may become a neighbour.
#[derive(Default)]
struct Peer {
    addresses: Vec<Multiaddr>,
    /// Latest end of the validity of the peer's published addresses. All peers publish addresses with the same
    /// lifetime, so a later end means a more recent statement.
    until: Time,
}

/// Returns at most [`MAX_NEIGHBOURS`] peers, sorted by ID. Peers on the networks of this host are chosen first, then
/// those that published their addresses most recently.
fn find(set: &Set, now: Time, pattern: &Pattern, me: PeerId, networks: &Networks) -> Vec<Provider> {
    let mut peers: BTreeMap<String, Peer> = BTreeMap::new();
    for view in set.matching(pattern, now) {
        let peer = view.item.bucket.as_str().trim_start_matches('/').split('/').nth(1).unwrap_or_default();
        if peers.get(peer).is_none_or(|known| known.addresses.len() < MAX_PUBLISHED) {
            let Ok(address) = view.item.data.as_str().parse() else { continue };
            peers.entry(peer.to_owned()).or_default().addresses.push(address);
        }
        let known = peers.entry(peer.to_owned()).or_default();
        let until = view.proposals.iter().map(|record| record.validity().until()).max().flatten();
        known.until = known.until.max(until.unwrap_or_default());
    }
    peers.remove(&me.to_string());
    let mut peers: Vec<(String, Peer)> = peers.into_iter().collect();
    peers.sort_by_cached_key(|(name, peer)| {
        let is_near = peer.addresses.iter().any(|address| networks.is_near(address));
        (!is_near, Reverse(peer.until), name.clone())
    });
    let chosen = peers.into_iter().take(MAX_NEIGHBOURS);
    let mut told: Vec<Provider> = chosen.filter_map(|(name, peer)| provider(&name, peer, networks)).collect();
    // Sorted, so that a new publication of the same addresses does not look like a change to the node.
    told.sort();
    told
}

fn provider(name: &str, mut peer: Peer, networks: &Networks) -> Option<Provider> {
    peer.addresses.sort_by_key(|address| (!networks.is_near(address), address.to_vec()));
    peer.addresses.truncate(MAX_ADDRESSES);
    Some((name.parse().ok()?, peer.addresses))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Data, Item, Keypair, Kind, Record, Statement, Validity};

    const NOW: Time = Time(1_800_000_000);

    fn id(seed: u8) -> PeerId {
        Keypair::from_seed([seed; 32]).peer_id()
    }

    fn say(set: &mut Set, seed: u8, host: &str, ago: u64) {
        let (key, peer) = (Keypair::from_seed([seed; 32]), id(seed));
        let data = Data::new(&format!("{host}/tcp/6002/p2p/{peer}")).unwrap();
        let item = Item { bucket: format!("pri/{peer}/ipfs_addresses").parse().unwrap(), data };
        let validity = Validity::starting(Time(NOW.0 - ago), 3600);
        let statement = Statement::new(Kind::Propose, item, validity).unwrap();
        let sequence = set.latest_sequence(peer) + 1;
        set.admit_verified(Record::sign(statement, &key, sequence, dcache::End::default()), NOW).unwrap();
    }

    fn found(set: &Set) -> Vec<(String, Vec<String>)> {
        let networks: Networks = [("10.77.0.1".parse().unwrap(), 24)].into_iter().collect();
        let told = find(set, NOW, &buckets::IPFS_ADDRESSES.matcher(), id(1), &networks);
        let text = |addresses: &[Multiaddr]| {
            addresses.iter().map(|at| at.to_string().split("/tcp").next().unwrap().to_owned()).collect()
        };
        told.iter().map(|(peer, addresses)| (peer.to_string(), text(addresses))).collect()
    }

    #[test]
    fn other_peers_are_found_with_near_addresses_first() {
        let mut set = Set::default();
        say(&mut set, 1, "/ip4/10.77.0.1", 5);
        say(&mut set, 2, "/ip4/10.1.1.1", 5);
        say(&mut set, 2, "/ip4/10.77.0.2", 5);
        let expected = vec!["/ip4/10.77.0.2".to_owned(), "/ip4/10.1.1.1".to_owned()];
        assert_eq!(found(&set), [(id(2).to_string(), expected)]);
    }

    #[test]
    fn a_near_address_is_found_although_many_others_come_before_it() {
        let mut set = Set::default();
        for bridge in 17..37 {
            say(&mut set, 2, &format!("/ip4/10.{bridge}.0.1"), 5);
        }
        say(&mut set, 2, "/ip4/10.77.0.2", 5);
        let found = found(&set);
        assert_eq!((found[0].1[0].as_str(), found[0].1.len()), ("/ip4/10.77.0.2", MAX_ADDRESSES));
    }

    #[test]
    fn near_and_recently_active_peers_are_chosen_from_many() {
        let mut set = Set::default();
        for seed in 2..60 {
            say(&mut set, seed, "/ip4/192.168.9.9", u64::from(seed));
        }
        say(&mut set, 100, "/ip4/10.77.0.9", 3000);
        let found: Vec<String> = found(&set).into_iter().map(|(peer, _)| peer).collect();
        assert_eq!(found.len(), MAX_NEIGHBOURS);
        assert!(found.contains(&id(100).to_string()) && found.contains(&id(2).to_string()));
        assert!(!found.contains(&id(59).to_string()));
        assert!(found.is_sorted_by_key(|peer| peer.parse::<ipfs::PeerId>().unwrap()));
    }
}
