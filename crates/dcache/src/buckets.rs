//! The table of bucket families: every bucket of dt-swarm, with all its properties.
//!
//! A family is all buckets whose path begins with the same names. The policy, the brain, the services, the
//! documentation and the tests read this table; no other code spells the name of a bucket. The buckets are those of the
//! [Inter-Planetary Swarm of Duckiebots (IPSD)](https://pypi.org/project/duckietown-swarm/) of 2018.
//!
//! To add a bucket, add a row above the broader family that contains it.

mod family;

use crate::who::{Role, Who};
use crate::{BucketPath, MAX_DATA_BYTES};
use Form::{Cid, Peer, Text};
use Lifetime::{Chosen, For};
use Priority::{Leading, Ordinary};
use Quota::{Broader, Own};
use Scope::{Network, Swarm};
pub use family::{
    Bucket, Family, Fixed, Form, LONGEST_LIFETIME, Lifetime, OfName, OfPeer, Priority, Quota, Rights, Scope,
};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Maximum size, in bytes, of a peer ID or a CID.
const ID: usize = 64;
/// Maximum size, in bytes, of a name or a version.
const NAME: usize = 64;
/// Maximum size, in bytes, of an address of a channel or of IPFS.
const ADDRESS: usize = 512;
/// Maximum size, in bytes, of the properties of a robot.
const PROFILE: usize = 640;
/// Maximum size, in bytes, of the health of a robot.
const HEALTH_DATA: usize = 640;
/// Maximum size, in bytes, of the announcement of a batch: four numbers and a CID.
const BATCH: usize = 160;
/// Maximum size, in bytes, of all other data. This is the limit for every item.
const ANY: usize = MAX_DATA_BYTES;

const fn rights(propose: Who, dismiss: Who) -> Rights {
    Rights { propose, dismiss }
}

const EVERYBODY: Rights = rights(Who::Anybody, Who::Anybody);
const DECLARED: Rights = rights(Who::Anybody, Who::Role(Role::Trusted));
const PRESENT: Rights = rights(Who::Subject, Who::Role(Role::Admin));
const OWNER: Rights = rights(Who::Owner, Who::Owner);
const TRUSTED_ONES: Rights = rights(Who::Role(Role::Trusted), Who::Role(Role::Trusted));
const ADMINS: Rights = rights(Who::Role(Role::Admin), Who::Role(Role::Admin));
const ROOTS: Rights = rights(Who::Role(Role::Root), Who::Role(Role::Root));
const NOBODY: Rights = rights(Who::Nobody, Who::Nobody);

/// Expands to the part of a pattern that stands for a variable name.
macro_rules! any {
    ($variable:ident) => {
        "/*"
    };
}

/// Makes a constant of each row, and [`FAMILIES`] of all rows.
macro_rules! families {
    ($(
        #[doc = $holds:literal]
        $name:ident: $place:ident ($head:literal $(/ $variable:ident $(/ $tail:literal)?)?)
            $quota:expr, $open:expr, $rooted:expr, $lifetime:expr, $priority:expr, $scope:expr, $form:expr,
            $max_data:expr;
    )+) => {
        $(
            #[doc = $holds]
            pub const $name: Bucket<$place> = Bucket::new(&Family {
                path: concat!($head $(, "/", stringify!($variable) $(, "/", $tail)?)?),
                pattern: concat!("/", $head $(, any!($variable) $(, "/", $tail)?)?),
                holds: $holds.trim_ascii(),
                quota: $quota,
                open: $open,
                rooted: $rooted,
                lifetime: $lifetime,
                priority: $priority,
                scope: $scope,
                form: $form,
                max_data: $max_data,
                head: $head,
                tail: concat!($($($tail)?)?),
            });
        )+

        /// All rows. The first row that contains a bucket applies to it.
        pub const FAMILIES: &[&Family] = &[$($name.family()),+];
    };
}

// The doc comment of a row is the fact that an item states. The next line has the constant, the variable part of its
// paths, and the path. The last line has these columns: quota; rights in the open swarm; rights in a swarm with roots;
// lifetime; priority; scope; form of the data; maximum size, in bytes, of an honest item's data.
families! {
    /// The peer with this ID is present.
    PEER: Fixed ("peer")
        Own, PRESENT, PRESENT, For(10 * MINUTE), Leading, Network, Peer, ID;
    /// The peer's host has this name.
    HOSTNAME: OfPeer ("pri" / ID / "info/hostname")
        Broader, OWNER, OWNER, For(5 * DAY), Leading, Swarm, Text, NAME;
    /// The peer runs this version of dt-swarm.
    VERSION: OfPeer ("pri" / ID / "info/version/dswarm")
        Broader, OWNER, OWNER, For(5 * DAY), Leading, Swarm, Text, NAME;
    /// The peer's host has this network interface.
    INTERFACES: OfPeer ("pri" / ID / "info/interfaces")
        Broader, OWNER, OWNER, For(5 * DAY), Leading, Network, Text, ANY;
    /// The peer's robot has this type, configuration, hardware, distribution, device ID and boot ID.
    ROBOT: OfPeer ("pri" / ID / "info/robot")
        Broader, OWNER, OWNER, For(5 * DAY), Leading, Swarm, Text, PROFILE;
    /// The peer's host has this other property.
    INFO: OfPeer ("pri" / ID / "info")
        Broader, OWNER, OWNER, For(5 * DAY), Leading, Swarm, Text, ANY;
    /// The peer accepts lines at this address.
    ADDRESSES: OfPeer ("pri" / ID / "addresses")
        Broader, OWNER, OWNER, For(HOUR), Leading, Network, Text, ADDRESS;
    /// The peer accepts IPFS connections at this multiaddress.
    IPFS_ADDRESSES: OfPeer ("pri" / ID / "ipfs_addresses")
        Broader, OWNER, OWNER, For(HOUR), Leading, Network, Text, ADDRESS;
    /// The peer has an IPFS connection to this peer.
    IPFS_PEERS: OfPeer ("pri" / ID / "ipfs_peers")
        Broader, OWNER, OWNER, For(HOUR), Leading, Network, Peer, ID;
    /// The peer has put a summary of its state into IPFS under this CID.
    SUMMARIES: OfPeer ("pri" / ID / "summaries")
        Broader, OWNER, OWNER, For(10 * MINUTE), Leading, Network, Cid, ID;
    /// The peer's robot got a new identity: it now has this other peer ID.
    RENEWED: OfPeer ("pri" / ID / "renewed")
        Broader, OWNER, OWNER, For(5 * DAY), Leading, Swarm, Peer, ID;
    /// The peer keeps files of other peers up to this size, and wants this number of copies of each file.
    KEEPS: OfPeer ("pri" / ID / "keeps")
        Broader, OWNER, OWNER, For(5 * DAY), Leading, Swarm, Text, NAME;
    /// The peer permits or denies that its logs are uploaded, and uploads logs to this place.
    UPLOAD_TERMS: OfPeer ("pri" / ID / "uploads")
        Broader, OWNER, OWNER, For(7 * DAY), Leading, Swarm, Text, ADDRESS;
    /// The peer has put the list of all files that it shares and keeps into IPFS under this CID.
    CATALOG: OfPeer ("pri" / ID / "catalog")
        Broader, OWNER, OWNER, For(4 * DAY), Leading, Swarm, Text, ADDRESS;
    /// The peer's robot has this health.
    HEALTH: OfPeer ("pri" / ID / "health")
        Broader, OWNER, OWNER, For(10 * MINUTE), Leading, Network, Text, HEALTH_DATA;
    /// The peer collects the histories of robots, and opens batches that are sealed for this key.
    SEALING_KEY: OfPeer ("pri" / ID / "collector")
        Broader, OWNER, OWNER, For(5 * DAY), Leading, Swarm, Text, NAME;
    /// The peer's robot has put these rows of its history into IPFS under this CID, sealed for the collectors.
    BATCHES: OfPeer ("pri" / ID / "batches")
        Broader, OWNER, OWNER, For(7 * DAY), Ordinary, Swarm, Text, BATCH;
    /// The peer is a collector. It has stored the history of the robot in the path up to this row.
    RECEIPTS: OfPeer ("pri" / ID / "receipts")
        Broader, OWNER, OWNER, For(7 * DAY), Ordinary, Swarm, Text, NAME;
    /// The peer carries batches of the robot with this ID to the collectors.
    CARRIES: OfPeer ("pri" / ID / "carries")
        Broader, OWNER, OWNER, For(DAY), Ordinary, Swarm, Peer, ID;
    /// The peer states this about itself.
    PRIVATE: OfPeer ("pri" / ID)
        Own, OWNER, OWNER, Chosen, Ordinary, Network, Text, ANY;
    /// The peer with this ID has the role trusted.
    TRUSTED: Fixed ("trusted")
        Own, ADMINS, ADMINS, Chosen, Ordinary, Swarm, Peer, ID;
    /// The peer with this ID has the role admin.
    ADMIN: Fixed ("admin")
        Own, ROOTS, ROOTS, Chosen, Ordinary, Swarm, Peer, ID;
    /// The swarm communicates on the channel with this address.
    NETWORKS: Fixed ("networks")
        Own, ADMINS, ADMINS, Chosen, Leading, Swarm, Text, ADDRESS;
    /// The peer with this ID collects the histories of the swarm's robots.
    COLLECTORS: Fixed ("collectors")
        Own, ADMINS, ADMINS, Chosen, Ordinary, Swarm, Peer, ID;
    /// The file with this CID was fetched and found good.
    SHARE_VERIFIED: Fixed ("share/verified")
        Own, EVERYBODY, TRUSTED_ONES, For(7 * DAY), Leading, Swarm, Cid, ID;
    /// The signer keeps the file with this CID.
    SHARE_SAFE: Fixed ("share/safe")
        Own, EVERYBODY, TRUSTED_ONES, For(7 * DAY), Leading, Swarm, Cid, ID;
    /// The file with this CID was fetched and found bad.
    SHARE_DISCARD: Fixed ("share/discard")
        Own, EVERYBODY, TRUSTED_ONES, For(7 * DAY), Leading, Swarm, Cid, ID;
    /// The file with this CID is declared to be a log.
    SHARE_FILES: Fixed ("share/files")
        Broader, EVERYBODY, DECLARED, For(7 * DAY), Leading, Swarm, Cid, ID;
    /// The file with this CID has this name, size, time of change and uploader.
    SHARE_INFO: OfName ("share/info" / CID)
        Broader, EVERYBODY, DECLARED, For(7 * DAY), Leading, Swarm, Text, ANY;
    /// The signer discarded the file with the CID in the path for this reason.
    SHARE_REASONS: OfName ("share/reasons" / CID)
        Own, EVERYBODY, TRUSTED_ONES, For(7 * DAY), Ordinary, Swarm, Text, ADDRESS;
    /// Something else is shared with everybody.
    SHARE: OfName ("share" / NAME)
        Own, EVERYBODY, DECLARED, Chosen, Leading, Swarm, Text, ANY;
    /// The file with the CID in the path was uploaded to this place, at this time and with this size.
    UPLOADS: OfName ("uploads" / CID)
        Own, TRUSTED_ONES, TRUSTED_ONES, For(7 * DAY), Ordinary, Swarm, Text, ANY;
}

/// The family of all buckets that no row of the table contains.
pub(crate) const OTHER: &Family = &Family {
    path: "*",
    pattern: "*",
    holds: "Nobody may state anything in a bucket that the table does not name.",
    quota: Own,
    open: NOBODY,
    rooted: NOBODY,
    lifetime: Chosen,
    priority: Ordinary,
    scope: Network,
    form: Text,
    max_data: ANY,
    head: "other",
    tail: "",
};

/// Returns the family of a bucket: the first row of the table that contains it.
pub fn family(bucket: &BucketPath) -> &'static Family {
    FAMILIES.iter().find(|family| family.contains(bucket)).copied().unwrap_or(OTHER)
}

/// Returns the name of the subject of the records in a bucket. Below `pri/ID`, where a peer makes statements about
/// itself, this is the name after the ID. Elsewhere it is the first name of the path.
pub fn subject(bucket: &BucketPath) -> &str {
    let mut names = bucket.names();
    match names.next() {
        Some(first) if first == PRIVATE.family().head => names.nth(1).unwrap_or_default(),
        first => first.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
