//! Who has a shared file, and where he can be reached.

use crate::index::SharedFile;
use dcache::{PeerId, Set, Time};
use ipfs::Multiaddr;
use ipfs::node::Provider;

/// Those who most likely have the file, but `me`, with the addresses at which they take IPFS connections, as they sign
/// these themselves.
pub fn providers(set: &Set, file: &SharedFile, me: PeerId, now: Time) -> Vec<Provider> {
    let others = file.providers().filter(|peer| *peer != me);
    let mut providers: Vec<Provider> = others.filter_map(|peer| provider(set, peer, now)).collect();
    providers.sort();
    providers.dedup();
    providers
}

fn provider(set: &Set, peer: PeerId, now: Time) -> Option<Provider> {
    let bucket = format!("pri/{peer}/ipfs_addresses").parse().ok()?;
    let addresses = set.bucket(&bucket, now).filter_map(|view| view.item.data.as_str().parse().ok());
    let addresses: Vec<Multiaddr> = addresses.collect();
    Some((peer.to_string().parse().ok()?, addresses)).filter(|(_, addresses)| !addresses.is_empty())
}
