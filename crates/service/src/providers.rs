//! Which peers hold some content, and at which addresses they are reached.

use crate::{Decide, Decision};
use dcache::{BucketPath, Data, Item, Moment, Pattern, PeerId, Set, Time, buckets};
use ipfs::node::Provider;
use ipfs::{Cid, Multiaddr};
use std::collections::{BTreeMap, BTreeSet};
use swarm::{Stopped, Swarm};

/// Providers by the root of their content.
pub type ProviderTable = BTreeMap<Cid, Vec<Provider>>;

/// Returns whether a record in `bucket` can change the providers of some content.
pub fn concerns_providers(bucket: &BucketPath) -> bool {
    buckets::SHARE.contains(bucket) || buckets::IPFS_ADDRESSES.contains(bucket)
}

/// Returns the patterns of the buckets that [`holders_of`] reads, for [`Set::next_edge`].
pub fn provider_patterns() -> [Pattern; 2] {
    [buckets::SHARE.matcher(), buckets::IPFS_ADDRESSES.matcher()]
}

/// Returns the peers who state that they shared, verified or keep `root`, except `me`, with the addresses at which they
/// accept IPFS connections. Each peer signs its addresses itself.
pub fn holders_of(set: &Set, root: &Cid, me: PeerId, now: Time) -> Vec<Provider> {
    let Ok(data) = Data::new(&root.to_string()) else { return Vec::new() };
    let rows = [buckets::SHARE_SAFE, buckets::SHARE_VERIFIED, buckets::SHARE_FILES];
    let items = rows.map(|row| Item { bucket: row.path(), data: data.clone() });
    let views = items.iter().filter_map(|item| set.item(item, now));
    let peers: BTreeSet<PeerId> = views
        .flat_map(|view| view.proposals.iter().map(|record| record.signer()).collect::<Vec<_>>())
        .collect();
    let mut providers: Vec<Provider> =
        peers.into_iter().filter(|peer| *peer != me).filter_map(|peer| provider(set, peer, now)).collect();
    providers.sort();
    providers
}

/// Decides which peers hold some roots.
#[derive(Clone, Debug)]
pub struct ProviderSearch {
    me: PeerId,
    roots: BTreeSet<Cid>,
    reads: [Pattern; 2],
}

impl ProviderSearch {
    /// Makes the decider of the node `me`, which searches for no root yet.
    pub fn new(me: PeerId) -> Self {
        Self { me, roots: BTreeSet::new(), reads: provider_patterns() }
    }

    /// Replaces the roots to search for.
    pub fn set_roots(&mut self, roots: BTreeSet<Cid>) {
        self.roots = roots;
    }
}

impl Decide for ProviderSearch {
    /// The providers of each root.
    type Action = (Cid, Vec<Provider>);

    fn decide(&mut self, set: &Set, now: Moment) -> Decision<Self::Action> {
        let found = self.roots.iter().map(|root| (*root, holders_of(set, root, self.me, now.time)));
        let wake = set.next_edge(&self.reads, now.time);
        Decision { actions: found.collect(), wake, ..Decision::default() }
    }
}

/// Returns the providers of each root that some peer holds.
///
/// # Errors
/// When the daemon is stopping.
pub async fn providers_of(swarm: &Swarm, roots: Vec<Cid>) -> Result<ProviderTable, Stopped> {
    if roots.is_empty() {
        return Ok(BTreeMap::new());
    }
    let me = swarm.me();
    let read = move |set: &Set, now| {
        let known = roots.iter().map(|root| (*root, holders_of(set, root, me, now)));
        known.filter(|(_, providers)| !providers.is_empty()).collect()
    };
    swarm.read(read).await
}

/// Returns the addresses at which a peer accepts IPFS connections; `None` when it states none.
pub fn provider(set: &Set, peer: PeerId, now: Time) -> Option<Provider> {
    let bucket = buckets::IPFS_ADDRESSES.of(peer);
    let addresses = set.bucket(&bucket, now).filter_map(|view| view.item.data.as_str().parse().ok());
    let addresses: Vec<Multiaddr> = addresses.collect();
    Some((peer.to_string().parse().ok()?, addresses)).filter(|(_, addresses)| !addresses.is_empty())
}
