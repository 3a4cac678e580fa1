//! The rights to propose and dismiss items in the buckets of a swarm, from the table of buckets.

use crate::tables::table;
use crate::text::duration;
use dcache::Who;
use dcache::buckets::{FAMILIES, Family, Lifetime};
use serde::Serialize;

/// Explains the entries of the table that are not roles.
const WORDS: &str =
    "owner: the peer whose ID is in the path of the bucket; subject: the peer whose ID is the item.\n";

/// The rights in one kind of bucket. Peers are given as a role, `anybody`, `nobody`, `owner` or `subject`. A role
/// includes all stronger roles. `owner` is the peer whose ID is in the path, and `subject` the peer whose ID is the
/// item.
#[derive(Debug, Serialize)]
pub(super) struct BucketRights {
    /// The path of the buckets. A part in capital letters stands for any name.
    bucket: &'static str,
    /// The meaning of an item, as a sentence.
    meaning: &'static str,
    /// The peers whose proposals count.
    proposers: &'static str,
    /// The peers whose dismissals count.
    dismissers: &'static str,
    /// Validity in seconds of the proposals that services make; `null` if the signer chooses it.
    lifetime_seconds: Option<u64>,
}

/// Returns the rights in a swarm with roots or in the open swarm, in the order of the table of buckets.
pub(super) fn all(has_roots: bool) -> Vec<BucketRights> {
    FAMILIES.iter().map(|family| BucketRights::new(family, has_roots)).collect()
}

/// Returns a text table of the rights.
pub(super) fn show(all: &[BucketRights]) -> String {
    let mut rows = table(&["bucket", "propose", "dismiss", "lifetime", "meaning of an item"]);
    for one in all {
        let lifetime = one.lifetime_seconds.map_or_else(String::new, duration);
        rows.add_row([one.bucket, one.proposers, one.dismissers, &lifetime, one.meaning]);
    }
    format!("{}\n{WORDS}", rows.trim_fmt())
}

impl BucketRights {
    fn new(family: &Family, has_roots: bool) -> Self {
        let rights = if has_roots { family.rooted } else { family.open };
        Self {
            bucket: family.path,
            meaning: family.holds,
            proposers: word(rights.propose),
            dismissers: word(rights.dismiss),
            lifetime_seconds: match family.lifetime {
                Lifetime::For(seconds) => Some(seconds),
                Lifetime::Chosen => None,
            },
        }
    }
}

const fn word(who: Who) -> &'static str {
    match who {
        Who::Anybody => "anybody",
        Who::Owner => "owner",
        Who::Subject => "subject",
        Who::Role(role) => role.name(),
        Who::Nobody => "nobody",
    }
}
