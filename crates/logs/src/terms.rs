//! The terms of a robot about its logs, in `pri/ID/uploads`: whether they may leave its own networks.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::{PeerId, Set, Time, buckets};
use serde::{Deserialize, Serialize};

/// Number of terms of one peer that are read. An honest peer states one, and a second one for a moment when it changes.
const MAX_READ: usize = 8;

/// Terms of a peer: whether its logs may be uploaded, and where it uploads logs to. A robot whose permission file denies
/// uploads states this too; then its logs do not even leave its own networks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Whether the logs of this peer may be uploaded.
    #[serde(rename = "allow")]
    pub is_allowed: bool,
    /// Place to which the peer uploads logs, such as `s3://bucket/prefix`; absent if it uploads none.
    #[serde(rename = "to", default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
}

impl Terms {
    /// Returns the terms that a peer states at `now`. If it states several, one that denies uploads counts.
    pub fn of(set: &Set, peer: PeerId, now: Time) -> Option<Self> {
        let bucket = buckets::UPLOAD_TERMS.of(peer);
        let stated = set.bucket(&bucket, now).take(MAX_READ);
        let terms = stated.filter_map(|view| serde_json::from_str::<Self>(view.item.data.as_str()).ok());
        terms.min_by_key(|terms| terms.is_allowed)
    }

    /// Returns whether a peer states at `now` that its logs may not leave its networks.
    pub fn deny(set: &Set, peer: PeerId, now: Time) -> bool {
        Self::of(set, peer, now).is_some_and(|terms| !terms.is_allowed)
    }
}
