//! Which peers hold some content, and at which addresses they are reached.

use crate::{Decide, Decision};
use dcache::{BucketPath, Data, Digest, Item, Moment, Pattern, PeerId, Set, Time, buckets};
use ipfs::node::Provider;
use ipfs::{Cid, Multiaddr};
use std::collections::{BTreeMap, BTreeSet};
use swarm::{Stopped, Swarm};

/// Maximum number of addresses of one peer that are read. Honest peers publish no more.
pub const MAX_ADDRESSES: usize = 16;
/// Maximum number of peers that are asked for some content. All others that are connected are asked as well.
pub const MAX_HOLDERS: usize = 64;
/// Time, in seconds, after which others are chosen among more holders than that.
const TURN: u64 = 600;

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
    let others = peers.into_iter().filter(|peer| *peer != me).collect();
    let chosen = choose_holders(others, me, now).into_iter();
    let mut providers: Vec<Provider> = chosen.filter_map(|peer| provider(set, peer, now)).collect();
    providers.sort();
    providers
}

/// Returns at most [`MAX_HOLDERS`] of the peers that claim to hold some content. Of more, each node chooses others, and after
/// a while others again: whoever claims it with many keys does not hide for ever those that do hold it.
pub fn choose_holders(mut peers: Vec<PeerId>, me: PeerId, now: Time) -> Vec<PeerId> {
    peers.sort_unstable();
    peers.dedup();
    if peers.len() > MAX_HOLDERS {
        let turn = now.0 / TURN;
        peers.sort_by_cached_key(|peer| Digest::of(format!("{turn} {me} {peer}").as_bytes()));
        peers.truncate(MAX_HOLDERS);
        peers.sort_unstable();
    }
    peers
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
    parse_provider(peer, &published_addresses(set, peer, now))
}

/// Returns what a peer publishes as its addresses for IPFS connections, not parsed, at most [`MAX_ADDRESSES`]. The cost does
/// not depend on how many it publishes.
pub fn published_addresses(set: &Set, peer: PeerId, now: Time) -> Vec<Data> {
    let bucket = buckets::IPFS_ADDRESSES.of(peer);
    set.bucket(&bucket, now).take(MAX_ADDRESSES).map(|view| view.item.data.clone()).collect()
}

/// Parses the addresses that a peer publishes; `None` when none of them is one.
pub fn parse_provider(peer: PeerId, published: &[Data]) -> Option<Provider> {
    let addresses = published.iter().filter_map(|data| data.as_str().parse().ok());
    let addresses: Vec<Multiaddr> = addresses.collect();
    Some((peer.to_string().parse().ok()?, addresses)).filter(|(_, addresses)| !addresses.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{End, Keypair, Kind, Record, Statement, Validity};

    const NOW: Time = Time(1_800_000_000);

    fn say(set: &mut Set, key: &Keypair, item: Item) {
        let sequence = set.latest_sequence(key.peer_id()) + 1;
        let statement = Statement::new(Kind::Propose, item, Validity::starting(NOW, 3600)).unwrap();
        set.admit_verified(Record::sign(statement, key, sequence, End::default()), NOW).unwrap();
    }

    #[test]
    fn few_peers_and_few_addresses_of_each_are_named_however_many_claim_to_hold_it() {
        let mut set = Set::default();
        let root: Cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku".parse().unwrap();
        for seed in 0..70 {
            let key = Keypair::from_seed([seed; 32]);
            say(
                &mut set,
                &key,
                Item { bucket: buckets::SHARE_SAFE.path(), data: Data::new(&root.to_string()).unwrap() },
            );
            for port in 0..18 {
                let data = Data::new(&format!("/ip4/10.0.0.{seed}/tcp/{}", 6000 + port)).unwrap();
                say(&mut set, &key, Item { bucket: buckets::IPFS_ADDRESSES.of(key.peer_id()), data });
            }
        }
        let me = Keypair::from_seed([200; 32]).peer_id();
        let found = holders_of(&set, &root, me, NOW);
        assert_eq!(found.len(), MAX_HOLDERS);
        assert!(found.iter().all(|(_, addresses)| addresses.len() == MAX_ADDRESSES));
    }

    #[test]
    fn of_a_crowd_of_holders_each_node_asks_others_and_after_a_while_others_again() {
        let id = |seed| Keypair::from_seed([seed; 32]).peer_id();
        let crowd: Vec<PeerId> = (1..=200).map(id).collect();
        let ask = |me, after| choose_holders(crowd.clone(), id(me), NOW.plus(after));
        assert_eq!(ask(201, 0).len(), MAX_HOLDERS);
        assert_ne!(ask(201, 0), ask(202, 0));
        let all: BTreeSet<PeerId> = (0..40).flat_map(|turn| ask(201, turn * TURN)).collect();
        assert_eq!(all.len(), 200, "nobody is hidden for ever");
    }
}
