//! From facts about this node to what it claims, bucket by bucket (IPSD).

use dcache::{BucketPath, Data, Item, PeerId};
use routing::Address;
use std::net::SocketAddr;

/// Seconds for which a node is there.
const PRESENCE: u64 = 10 * 60;
/// Seconds for which an address holds.
const ADDRESSES: u64 = 3600;
/// Seconds for which its name and version hold.
const INFO: u64 = 5 * 24 * 3600;
/// The most addresses of one kind that are told.
const MAX_ADDRESSES: usize = 16;

/// What is known about this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What people call it.
    pub hostname: String,
    /// The version of this program.
    pub version: String,
    /// Where it speaks the line protocol over TCP.
    pub lines: Vec<SocketAddr>,
    /// Where it takes IPFS connections, as multiaddresses with its peer ID; `None` until that is known. What was said
    /// before a restart holds until then.
    pub ipfs: Option<Vec<String>>,
}

/// Something that this node says of itself, and for how many seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What.
    pub item: Item,
    /// For how long; it is said again when half of it is over.
    pub lifetime: u64,
}

/// Everything that `me` claims. What does not fit into an item (a monstrous host name) is left out.
pub fn claims(me: PeerId, facts: &Facts) -> Vec<Claim> {
    let mut claims = Vec::new();
    let mut claim = |names: &[&str], data: &str, lifetime| {
        if let (Ok(bucket), Ok(data)) = (BucketPath::new(names), Data::new(data)) {
            claims.push(Claim { item: Item { bucket, data }, lifetime });
        }
    };
    let id = me.to_string();
    claim(&["peer"], &id, PRESENCE);
    claim(&["pri", &id, "info", "hostname"], &facts.hostname, INFO);
    claim(&["pri", &id, "info", "version", "dswarm"], &facts.version, INFO);
    for line in facts.lines.iter().take(MAX_ADDRESSES) {
        if let Ok(address) = Address::tcp_line(*line).then(&Address::brain(me)) {
            claim(&["pri", &id, "addresses"], address.as_str(), ADDRESSES);
        }
    }
    for address in facts.ipfs.iter().flatten().take(MAX_ADDRESSES) {
        claim(&["pri", &id, "ipfs_addresses"], address, ADDRESSES);
    }
    claims
}

/// The buckets in which only claims of this node may stand; what else it said there is not true any more.
pub(crate) fn own_buckets(me: PeerId, facts: &Facts) -> Vec<BucketPath> {
    let id = me.to_string();
    let mut names: Vec<&[&str]> = Vec::new();
    let [hostname, version, addresses, ipfs]: [&[&str]; 4] = [
        &["pri", &id, "info", "hostname"],
        &["pri", &id, "info", "version", "dswarm"],
        &["pri", &id, "addresses"],
        &["pri", &id, "ipfs_addresses"],
    ];
    names.extend([hostname, version, addresses]);
    names.extend(facts.ipfs.is_some().then_some(ipfs));
    names.iter().filter_map(|names| BucketPath::new(names).ok()).collect()
}
