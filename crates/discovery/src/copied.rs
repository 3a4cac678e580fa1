//! The behaviour of a node while another host uses its key, as after its SD card was copied.
//!
//! Without this module, each host would take the statements of the other host for outdated statements of its own. Each
//! host would dismiss the other's addresses and propose its own again, without end. Therefore each host does not dismiss
//! the statements of the other. It also states its presence at regular intervals of its own, so that the other host
//! knows that it exists.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::claims::Claim;
use dcache::buckets::PEER;
use dcache::{Item, Time};
use std::collections::BTreeSet;

/// State that distinguishes the statements of this node from those of the other host.
#[derive(Clone, Debug, Default)]
pub(crate) struct CopiedKey {
    is_copied: bool,
    /// The claims of the last decision.
    claimed: BTreeSet<Item>,
    /// Time at which this node last stated its presence while its key was copied.
    present: Option<Time>,
}

impl CopiedKey {
    /// Sets whether another host uses the key of this node.
    pub(crate) fn set(&mut self, is_copied: bool) {
        self.is_copied = is_copied;
        if !is_copied {
            self.present = None;
        }
    }

    /// Returns whether another host uses the key of this node.
    pub(crate) fn is_copied(&self) -> bool {
        self.is_copied
    }

    /// Returns whether a claim must be stated although the set has it. The record in the set may be from the other
    /// host.
    pub(crate) fn is_due(&self, claim: &Claim, now: Time) -> bool {
        let is_over = |at: Time| now.since(at) >= claim.lifetime / 2;
        self.is_copied && PEER.contains(&claim.item.bucket) && self.present.is_none_or(is_over)
    }

    /// Notes that this node states a claim now.
    pub(crate) fn stated(&mut self, claim: &Claim, now: Time) {
        if self.is_copied && PEER.contains(&claim.item.bucket) {
            self.present = Some(now);
        }
    }

    /// Returns the time of the next statement of the presence.
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
