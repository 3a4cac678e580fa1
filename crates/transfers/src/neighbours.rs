//! Who is near. Whoever fetches something meets them: those who want the same then give it to each other.

use dcache::{Pattern, PatternError, PeerId, Set, Time};
use ipfs::Multiaddr;
use ipfs::node::{Networks, Node, Provider};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;
use swarm::{Stopped, Swarm};
use tokio::sync::broadcast;
use tokio::time::{sleep, timeout};

/// Where peers say at which addresses they take IPFS connections: `pri/ID/ipfs_addresses`.
const ADDRESSES: &str = "/pri/*/ipfs_addresses";
/// The most that are told.
const MAX_NEIGHBOURS: usize = 48;
/// The most addresses of one.
const MAX_ADDRESSES: usize = 16;
/// How often to look though nothing seems to have changed.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Changes in this time are looked at together.
const GATHER: Duration = Duration::from_millis(200);

/// Why neighbours are not told any more.
#[derive(Debug, thiserror::Error)]
pub enum NeighboursError {
    /// The daemon is stopping.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// A constant of this file is no pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

/// Tells the node who is near, whenever somebody comes or moves, or this host does; ends only with an error.
///
/// # Errors
/// When the daemon is stopping.
pub async fn run_neighbours(swarm: Swarm, node: Node) -> Result<(), NeighboursError> {
    let (mut changes, mut own) = (swarm.changes(), node.listen_addresses());
    let pattern = Pattern::new(ADDRESSES)?;
    let me = swarm.me();
    loop {
        let (networks, wanted) = (Networks::current(), pattern.clone());
        node.tell_neighbours(swarm.read(move |set, now| find(set, now, &wanted, me, &networks)).await?);
        tokio::select! {
            () = somebody_moved(&mut changes, &pattern) => {}
            Ok(()) = own.changed() => {}
            () = sleep(LOOK_AGAIN) => {}
        }
    }
}

async fn somebody_moved(changes: &mut broadcast::Receiver<dcache::Record>, pattern: &Pattern) {
    loop {
        match changes.recv().await {
            Ok(record) if !pattern.matches(&record.item().bucket) => {}
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => break,
            // The sender lives in the handle that we hold.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
    let more = async { while changes.recv().await.is_ok() {} };
    let _ = timeout(GATHER, more).await;
}

/// What is known of one peer.
#[derive(Default)]
struct Peer {
    addresses: Vec<Multiaddr>,
    /// When it last said where it is.
    said: Time,
}

/// Those on this host's networks, then those who were heard of last.
fn find(set: &Set, now: Time, pattern: &Pattern, me: PeerId, networks: &Networks) -> Vec<Provider> {
    let mut peers: BTreeMap<String, Peer> = BTreeMap::new();
    for view in set.matching(pattern, now) {
        let peer = view.item.bucket.as_str().trim_start_matches('/').split('/').nth(1).unwrap_or_default();
        let Ok(address) = view.item.data.as_str().parse() else { continue };
        let known = peers.entry(peer.to_owned()).or_default();
        if known.addresses.len() < MAX_ADDRESSES {
            known.addresses.push(address);
        }
        let said = view.proposals.iter().map(|record| record.validity().from()).max().flatten();
        known.said = known.said.max(said.unwrap_or_default());
    }
    peers.remove(&me.to_string());
    let mut peers: Vec<(String, Peer)> = peers.into_iter().collect();
    peers.sort_by_cached_key(|(name, peer)| {
        let is_near = peer.addresses.iter().any(|address| networks.is_near(address));
        (!is_near, Reverse(peer.said), name.clone())
    });
    let chosen = peers.into_iter().take(MAX_NEIGHBOURS);
    let mut told: Vec<Provider> = chosen.filter_map(|(name, peer)| provider(&name, peer, networks)).collect();
    // The same ones are the same, whoever spoke last.
    told.sort();
    told
}

fn provider(name: &str, mut peer: Peer, networks: &Networks) -> Option<Provider> {
    peer.addresses.sort_by_key(|address| (!networks.is_near(address), address.to_vec()));
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
        let told = find(set, NOW, &Pattern::new(ADDRESSES).unwrap(), id(1), &networks);
        let text = |addresses: &[Multiaddr]| {
            addresses.iter().map(|at| at.to_string().split("/tcp").next().unwrap().to_owned()).collect()
        };
        told.iter().map(|(peer, addresses)| (peer.to_string(), text(addresses))).collect()
    }

    #[test]
    fn others_are_told_with_what_is_near_first() {
        let mut set = Set::default();
        say(&mut set, 1, "/ip4/10.77.0.1", 5);
        say(&mut set, 2, "/ip4/10.1.1.1", 5);
        say(&mut set, 2, "/ip4/10.77.0.2", 5);
        let expected = vec!["/ip4/10.77.0.2".to_owned(), "/ip4/10.1.1.1".to_owned()];
        assert_eq!(found(&set), [(id(2).to_string(), expected)]);
    }

    #[test]
    fn of_many_those_near_and_those_heard_of_last() {
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
