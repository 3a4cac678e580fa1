//! What a node does differently while another host uses its key, as after its SD card was copied. Both would take each
//! other's statements for outdated ones of their own: each would dismiss the other's addresses and state its own again,
//! without end. So each leaves alone what the other states, and goes on stating its presence at its own pace, so that the
//! other knows that it is there.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::claims::Claim;
use dcache::buckets::PEER;
use dcache::{Item, Time};
use std::collections::BTreeSet;

/// What a node remembers to tell its own statements from those of the other host.
#[derive(Clone, Debug, Default)]
pub(crate) struct CopiedKey {
    is_copied: bool,
    /// The claims of the last decision.
    claimed: BTreeSet<Item>,
    /// When this node last stated its presence while its key was copied.
    present: Option<Time>,
}

impl CopiedKey {
    /// Replaces whether another host uses the key of this node.
    pub(crate) fn set(&mut self, is_copied: bool) {
        self.is_copied = is_copied;
        if !is_copied {
            self.present = None;
        }
    }

    /// Returns whether a claim is to be stated though the set has it: the record in the set may be the other host's.
    pub(crate) fn is_due(&self, claim: &Claim, now: Time) -> bool {
        let is_over = |at: Time| now.since(at) >= claim.lifetime / 2;
        self.is_copied && PEER.contains(&claim.item.bucket) && self.present.is_none_or(is_over)
    }

    /// Notes that a claim is stated now.
    pub(crate) fn stated(&mut self, claim: &Claim, now: Time) {
        if self.is_copied && PEER.contains(&claim.item.bucket) {
            self.present = Some(now);
        }
    }

    /// Returns when the presence is to be stated again.
    pub(crate) fn wake(&self) -> Option<Time> {
        self.present.map(|at| at.plus(PEER.lifetime() / 2))
    }

    /// Returns whether an item that this node does not claim may be a claim of the other host.
    pub(crate) fn may_be_theirs(&self, item: &Item) -> bool {
        self.is_copied && !self.claimed.contains(item)
    }

    /// Notes the claims of a decision.
    pub(crate) fn decided(&mut self, claims: &[Claim]) {
        self.claimed = claims.iter().map(|claim| claim.item.clone()).collect();
    }
}
