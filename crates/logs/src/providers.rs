//! Who has a shared file, and where he can be reached.

use crate::index::{SharedFile, index};
use dcache::{PeerId, Set, Time};
use ipfs::node::Provider;
use ipfs::{Cid, Multiaddr};
use std::collections::BTreeMap;
use swarm::{Stopped, Swarm};

/// Those who most likely have the file, but `me`, with the addresses at which they take IPFS connections, as they sign
/// these themselves.
pub fn providers(set: &Set, file: &SharedFile, me: PeerId, now: Time) -> Vec<Provider> {
    let others = file.providers().filter(|peer| *peer != me);
    let mut providers: Vec<Provider> = others.filter_map(|peer| provider(set, peer, now)).collect();
    providers.sort();
    providers.dedup();
    providers
}

/// As [`providers`], of each root that is a shared file.
///
/// # Errors
/// When the daemon is stopping.
pub async fn providers_of(swarm: &Swarm, roots: Vec<Cid>) -> Result<BTreeMap<Cid, Vec<Provider>>, Stopped> {
    if roots.is_empty() {
        return Ok(BTreeMap::new());
    }
    let me = swarm.me();
    let read = move |set: &Set, now| {
        let files = index(set, now);
        let known = |root: &Cid| Some((*root, providers(set, files.get(root)?, me, now)));
        roots.iter().filter_map(known).collect()
    };
    swarm.read(read).await
}

fn provider(set: &Set, peer: PeerId, now: Time) -> Option<Provider> {
    let bucket = format!("pri/{peer}/ipfs_addresses").parse().ok()?;
    let addresses = set.bucket(&bucket, now).filter_map(|view| view.item.data.as_str().parse().ok());
    let addresses: Vec<Multiaddr> = addresses.collect();
    Some((peer.to_string().parse().ok()?, addresses)).filter(|(_, addresses)| !addresses.is_empty())
}
