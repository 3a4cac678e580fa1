//! The claims of a node about itself, by bucket, derived from the facts about it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::profile::Profile;
use dcache::buckets::{ADDRESSES, HOSTNAME, IPFS_ADDRESSES, PEER, ROBOT, VERSION};
use dcache::{BucketPath, Data, Item, PeerId};
use routing::Address;
use service::LocalFacts;

/// Maximum number of published addresses of one kind. It bounds the records of a host with many interfaces.
const MAX_ADDRESSES: usize = 16;

/// An item that this node states about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The claimed item.
    pub item: Item,
    /// Validity in seconds. The claim is renewed after half of this time.
    pub lifetime: u64,
}

/// Returns all claims of `me`. Data that does not fit into an item, such as a very long host name, is left out. A name,
/// a version or a profile that is not known is left out too.
pub fn claims(me: PeerId, facts: &LocalFacts, profile: &Profile) -> Vec<Claim> {
    let mut claims = Vec::new();
    let mut claim = |bucket: BucketPath, lifetime: u64, data: &str| {
        if let (Ok(data), false) = (Data::new(data), data.is_empty()) {
            claims.push(Claim { item: Item { bucket, data }, lifetime });
        }
    };
    claim(PEER.path(), PEER.lifetime(), presence(me).data.as_str());
    claim(HOSTNAME.of(me), HOSTNAME.lifetime(), &facts.hostname);
    claim(VERSION.of(me), VERSION.lifetime(), &facts.version);
    if let (Ok(profile), false) = (profile.to_data(), profile.is_empty()) {
        claim(ROBOT.of(me), ROBOT.lifetime(), profile.as_str());
    }
    for line in facts.lines.iter().take(MAX_ADDRESSES) {
        if let Ok(address) = Address::tcp_line(*line).then(&Address::brain(me)) {
            claim(ADDRESSES.of(me), ADDRESSES.lifetime(), address.as_str());
        }
    }
    for address in facts.ipfs.iter().flatten().take(MAX_ADDRESSES) {
        claim(IPFS_ADDRESSES.of(me), IPFS_ADDRESSES.lifetime(), address);
    }
    claims
}

/// Returns the item by which a peer states that it is present.
pub(crate) fn presence(peer: PeerId) -> Item {
    Item { bucket: PEER.path(), data: peer.into() }
}

/// Returns the buckets that hold only claims of this node. Any other statement of the node in them is out of date.
pub(crate) fn own_buckets(me: PeerId, facts: &LocalFacts) -> Vec<BucketPath> {
    let mut rows = vec![HOSTNAME, VERSION, ROBOT, ADDRESSES];
    rows.extend(facts.ipfs.is_some().then_some(IPFS_ADDRESSES));
    rows.into_iter().map(|row| row.of(me)).collect()
}
