//! The peers that discarded a file, with their reasons.

use crate::output::fields::PeerRef;
use crate::output::names::Names;
use crate::text::clean;
use dcache::{Set, Time};
use logs::{MAX_REASON_BYTES, SharedFile, reasons};
use serde::Serialize;

/// A peer that discarded a file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Discarder {
    #[serde(flatten)]
    pub(crate) peer: PeerRef,
    /// The reason that the peer states; `null` if it states none.
    pub(crate) reason: Option<String>,
}

impl Discarder {
    /// Returns the peers that discarded a file.
    pub(crate) fn of(file: &SharedFile, set: &Set, now: Time, names: &Names) -> Vec<Self> {
        if file.discarders.is_empty() {
            return Vec::new();
        }
        let mut reasons = reasons(set, &file.cid, now);
        let discarder = |peer| Self { peer: names.of(peer), reason: reasons.remove(&peer) };
        file.discarders.keys().copied().map(discarder).collect()
    }

    /// Shows the peer, and its reason if there is one.
    pub(crate) fn show(&self) -> String {
        match &self.reason {
            Some(reason) => format!("{}: {}", self.peer.show(), clean(reason, MAX_REASON_BYTES)),
            None => self.peer.show(),
        }
    }
}
