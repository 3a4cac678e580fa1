//! The peers that hold a file, and the addresses that they sign.
//!
//! Many peers can claim a file, and each peer can publish many addresses, so reading all of them could cost much time.
//! Therefore at most [`service::MAX_HOLDERS`] peers are considered per file. Of each peer at most
//! [`service::MAX_ADDRESSES`] addresses are read, once per decision. The addresses are parsed only when a fetch uses
//! them.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Rules;
use crate::index::SharedFile;
use dcache::{Data, PeerId, Set};
use ipfs::node::Provider;
use service::{choose_holders, parse_provider, published_addresses};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// The addresses that one peer signs, parsed on first use.
#[derive(Debug, Default, PartialEq, Eq)]
struct Entry {
    published: Vec<Data>,
    parsed: OnceLock<Option<Provider>>,
}

/// The addresses of all peers that hold some file, as one decision read them.
#[derive(Debug, Default)]
pub(super) struct AddressBook(BTreeMap<PeerId, Arc<Entry>>);

impl AddressBook {
    /// Returns the peers, except this node, that most likely hold a file and publish an address.
    pub(super) fn holders_of(&mut self, file: &SharedFile, set: &Set, rules: &Rules) -> Holders {
        let read = |peer| {
            let published = published_addresses(set, peer, rules.now);
            Arc::new(Entry { published, parsed: OnceLock::new() })
        };
        let mut entry = |peer| self.0.entry(peer).or_insert_with(|| read(peer)).clone();
        let peers = file.likely_holders().filter(|peer| *peer != rules.me).collect();
        let chosen = choose_holders(peers, rules.me, rules.now);
        let known = chosen.into_iter().map(|peer| (peer, entry(peer)));
        Holders(known.filter(|(_, entry)| !entry.published.is_empty()).collect())
    }
}

/// The peers that most likely hold a file and publish an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders(Vec<(PeerId, Arc<Entry>)>);

impl Holders {
    /// Returns whether no such peer is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the peers with their addresses. Addresses are parsed on first use.
    pub fn providers(&self) -> Vec<Provider> {
        let parsed = |(peer, entry): &(PeerId, Arc<Entry>)| {
            entry.parsed.get_or_init(|| parse_provider(*peer, &entry.published)).clone()
        };
        let mut providers: Vec<Provider> = self.0.iter().filter_map(parsed).collect();
        providers.sort();
        providers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buckets::{LIFETIME, Station};
    use crate::index::tests::{NOW, cid, peer, say};
    use crate::replicate::{Action, Replication};
    use dcache::{Item, Kind, Limits, Moment, Policy, buckets};
    use ipfs::Cid;
    use service::Decide as _;
    use std::collections::BTreeSet;

    fn numbered(number: u64) -> Cid {
        let mut bytes = cid().to_bytes();
        let end = bytes.len() - 8;
        bytes[end..].copy_from_slice(&number.to_be_bytes());
        Cid::try_from(bytes.as_slice()).unwrap()
    }

    /// Returns a set in which one peer shares `many` files and publishes as many addresses.
    fn claims(many: u64) -> Set {
        let mut set = Set::new(Policy::default(), Limits { stranger: 10_000, ..Limits::default() });
        for number in 0..many {
            say(&mut set, 1, Kind::Propose, Station::Files.item(&numbered(number)), LIFETIME);
            let address = format!("/ip4/10.0.{}.{}/tcp/6002", number / 250, number % 250 + 1);
            let data = Data::new(&address).unwrap();
            let item = Item { bucket: buckets::IPFS_ADDRESSES.of(peer(1)), data };
            say(&mut set, 1, Kind::Propose, item, LIFETIME);
        }
        set
    }

    fn taken(actions: Vec<Action>) -> Vec<Holders> {
        let taken = actions.into_iter().filter_map(|action| match action {
            Action::Take { providers, .. } => Some(providers),
            _ => None,
        });
        taken.collect()
    }

    #[test]
    fn few_addresses_of_a_peer_are_read_and_only_once_for_all_its_files() {
        let set = claims(200);
        let decision = Replication::new(peer(2)).decide(&set, Moment::certain(NOW));
        let taken = taken(decision.actions);
        assert_eq!(taken.len(), 200);
        let entries: BTreeSet<*const Entry> =
            taken.iter().flat_map(|holders| &holders.0).map(|(_, entry)| Arc::as_ptr(entry)).collect();
        assert_eq!(entries.len(), 1, "the addresses are read once for all files");
        let (_, entry) = &taken[0].0[0];
        assert_eq!(entry.published.len(), service::MAX_ADDRESSES);
        assert!(entry.parsed.get().is_none(), "the decision parses no address");
        assert_eq!(taken[7].providers()[0].1.len(), service::MAX_ADDRESSES);
        assert!(entry.parsed.get().is_some());
    }

    #[test]
    fn peers_without_an_address_and_this_node_itself_are_not_holders() {
        let mut set = claims(1);
        say(&mut set, 3, Kind::Propose, Station::Safe.item(&numbered(0)), LIFETIME);
        let decide =
            |set: &Set, seed| taken(Replication::new(peer(seed)).decide(set, Moment::certain(NOW)).actions);
        let holders = decide(&set, 2).remove(0);
        assert_eq!(holders.providers().len(), 1);
        assert!(decide(&set, 1)[0].is_empty());
    }
}
