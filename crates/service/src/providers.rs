//! Finds the peers that hold some content, and the addresses of these peers.

use crate::{Decide, Decision, ListedBy};
use dcache::{BucketPath, Data, Digest, Item, Moment, PeerId, Set, Time, buckets};
use ipfs::node::Provider;
use ipfs::{Cid, Multiaddr};
use std::collections::{BTreeMap, BTreeSet};
use swarm::{Stopped, Swarm};

/// Maximum number of addresses that are read of one peer. Honest peers do not publish more.
pub const MAX_ADDRESSES: usize = 16;
/// Maximum number of peers that are contacted for some content. Other connected peers are asked as well.
pub const MAX_HOLDERS: usize = 64;
/// Interval, in seconds, at which a node chooses other holders if there are more than [`MAX_HOLDERS`].
const TURN: u64 = 600;

/// Providers of content, by its root.
pub type ProviderTable = BTreeMap<Cid, Vec<Provider>>;

/// Returns whether a record in `bucket` can change the providers of some content.
pub fn concerns_providers(bucket: &BucketPath) -> bool {
    buckets::SHARE.contains(bucket) || buckets::IPFS_ADDRESSES.contains(bucket)
}

/// Returns the peers, except `me`, that state that they share, verified or keep `root`, in records or in `listed_by`.
/// They come with the addresses at which they accept IPFS connections. Each peer signs its own addresses.
pub fn holders_of(set: &Set, (root, listed_by): (&Cid, &ListedBy), me: PeerId, now: Time) -> Vec<Provider> {
    let items = items_of(root);
    let views = items.iter().filter_map(|item| set.item(item, now));
    let mut peers: BTreeSet<PeerId> = views
        .flat_map(|view| view.proposals.iter().map(|record| record.signer()).collect::<Vec<_>>())
        .collect();
    // A catalogue counts as long as a record names it.
    let is_named = |robot: &PeerId| set.bucket(&buckets::CATALOG.of(*robot), now).next().is_some();
    peers.extend(listed_by.robots(root).into_iter().filter(is_named));
    let others = peers.into_iter().filter(|peer| *peer != me).collect();
    let chosen = choose_holders(others, me, now).into_iter();
    let mut providers: Vec<Provider> = chosen.filter_map(|peer| provider(set, peer, now)).collect();
    providers.sort();
    providers
}

/// Returns the items by which peers state that they share, verified or keep `root`.
fn items_of(root: &Cid) -> Vec<Item> {
    let Ok(data) = Data::new(&root.to_string()) else { return Vec::new() };
    let rows = [buckets::SHARE_SAFE, buckets::SHARE_VERIFIED, buckets::SHARE_FILES];
    rows.map(|row| Item { bucket: row.path(), data: data.clone() }).into()
}

/// Returns the next time at which a statement of a peer that it has `root` begins or ceases to hold. The addresses of
/// the peers are not read for this: the owner of the decider decides again within a minute.
fn edge(set: &Set, root: &Cid, now: Time) -> Option<Time> {
    let items = items_of(root);
    let records = items.iter().flat_map(|item| set.records_about(item));
    let edges = records.flat_map(|record| [record.validity().from(), record.validity().until()]);
    edges.flatten().filter(|edge| *edge > now).min()
}

/// Returns at most [`MAX_HOLDERS`] of the peers that claim to hold some content. If there are more, each node makes a
/// different choice, which changes every ten minutes. Therefore an attacker that makes false claims with many keys
/// cannot hide the true holders permanently.
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

/// A decider that finds the peers that hold a set of roots.
#[derive(Clone, Debug)]
pub struct ProviderSearch {
    me: PeerId,
    roots: BTreeSet<Cid>,
    listed_by: ListedBy,
}

impl ProviderSearch {
    /// Creates the decider of the node `me`, without any roots to search for.
    pub fn new(me: PeerId) -> Self {
        Self { me, roots: BTreeSet::new(), listed_by: ListedBy::default() }
    }

    /// Returns this decider with the catalogues of robots.
    #[must_use]
    pub fn with_catalogs(self, listed_by: ListedBy) -> Self {
        Self { listed_by, ..self }
    }

    /// Replaces the roots to search for.
    pub fn set_roots(&mut self, roots: BTreeSet<Cid>) {
        self.roots = roots;
    }
}

impl Decide for ProviderSearch {
    /// A root and its providers.
    type Action = (Cid, Vec<Provider>);

    fn decide(&mut self, set: &Set, now: Moment) -> Decision<Self::Action> {
        // Only the records about the roots are read: other peers can list thousands of files.
        if self.roots.is_empty() {
            return Decision::default();
        }
        let found = self
            .roots
            .iter()
            .map(|root| (*root, holders_of(set, (root, &self.listed_by), self.me, now.time)));
        let edges = self.roots.iter().filter_map(|root| edge(set, root, now.time));
        let wake = edges.chain(set.next_edge(&[], now.time)).min();
        Decision { actions: found.collect(), wake, ..Decision::default() }
    }
}

/// Returns the providers of the roots that have any.
///
/// # Errors
/// When the daemon is stopping.
pub async fn providers_of(
    swarm: &Swarm,
    listed_by: &ListedBy,
    roots: Vec<Cid>,
) -> Result<ProviderTable, Stopped> {
    if roots.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (me, listed_by) = (swarm.me(), listed_by.clone());
    let read = move |set: &Set, now| {
        let known = roots.iter().map(|root| (*root, holders_of(set, (root, &listed_by), me, now)));
        known.filter(|(_, providers)| !providers.is_empty()).collect()
    };
    swarm.read(read).await
}

/// Returns a peer with the addresses at which it accepts IPFS connections; `None` when it publishes none.
pub fn provider(set: &Set, peer: PeerId, now: Time) -> Option<Provider> {
    parse_provider(peer, &published_addresses(set, peer, now))
}

/// Returns at most [`MAX_ADDRESSES`] of the addresses that a peer publishes for IPFS connections, without parsing them.
/// The cost does not depend on the number of published addresses.
pub fn published_addresses(set: &Set, peer: PeerId, now: Time) -> Vec<Data> {
    let bucket = buckets::IPFS_ADDRESSES.of(peer);
    set.bucket(&bucket, now).take(MAX_ADDRESSES).map(|view| view.item.data.clone()).collect()
}

/// Parses the addresses that a peer publishes; `None` when none of them is valid.
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
    fn the_numbers_of_holders_and_of_their_addresses_are_bounded() {
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
        let found = holders_of(&set, (&root, &ListedBy::default()), me, NOW);
        assert_eq!(found.len(), MAX_HOLDERS);
        assert!(found.iter().all(|(_, addresses)| addresses.len() == MAX_ADDRESSES));
    }

    #[test]
    fn a_search_reads_only_the_records_about_its_roots() {
        let mut set = Set::default();
        let root: Cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku".parse().unwrap();
        let other = "bafkreiaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        let key = Keypair::from_seed([1; 32]);
        say(&mut set, &key, Item { bucket: buckets::SHARE_SAFE.path(), data: Data::new(other).unwrap() });
        let mut search = ProviderSearch::new(Keypair::from_seed([200; 32]).peer_id());
        assert_eq!(search.decide(&set, Moment::certain(NOW)), Decision::default());
        search.set_roots([root].into());
        let decision = search.decide(&set, Moment::certain(NOW));
        assert_eq!((decision.actions, decision.wake), (vec![(root, Vec::new())], None));
        say(&mut set, &key, items_of(&root).remove(0));
        assert_eq!(search.decide(&set, Moment::certain(NOW)).wake, Some(NOW.plus(3600)));
    }

    #[test]
    fn each_node_chooses_different_holders_and_changes_its_choice_over_time() {
        let id = |seed| Keypair::from_seed([seed; 32]).peer_id();
        let crowd: Vec<PeerId> = (1..=200).map(id).collect();
        let ask = |me, after| choose_holders(crowd.clone(), id(me), NOW.plus(after));
        assert_eq!(ask(201, 0).len(), MAX_HOLDERS);
        assert_ne!(ask(201, 0), ask(202, 0));
        let all: BTreeSet<PeerId> = (0..40).flat_map(|turn| ask(201, turn * TURN)).collect();
        assert_eq!(all.len(), 200, "no holder is hidden permanently");
    }
}
