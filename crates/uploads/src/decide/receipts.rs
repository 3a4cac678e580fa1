//! The part of the decider about the receipts of this node.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{Action, Uploading};
use crate::stated::{is_fresh, renew};
use dcache::{Item, Set, Time, buckets};
use ipfs::Cid;
use logs::buckets::Station;
use service::Decision;

/// Maximum fraction of the record quota of this node that its receipts use.
const PART: (usize, usize) = (3, 4);
/// Maximum number of receipts that are remembered. The storage itself shows older uploads.
const MAX_DONE: usize = 4096;

impl Uploading {
    /// States the receipts of this node, and renews them while their files are listed. Forgets a receipt when no peer lists
    /// its file any more, and the oldest ones when there are too many.
    pub(super) fn state_receipts(&self, set: &Set, now: Time, decision: &mut Decision<Action>) {
        let lifetime = buckets::UPLOADS.lifetime();
        let most = (set.capacity(self.me) * PART.0 / PART.1).min(MAX_DONE);
        let mut newest: Vec<_> = self.done.iter().collect();
        newest.sort_by_key(|(cid, receipt)| (std::cmp::Reverse(receipt.time), **cid));
        for (number, (cid, receipt)) in newest.into_iter().enumerate() {
            let Some(item) = receipt.item(cid) else {
                decision.actions.push(Action::Forget(*cid));
                continue;
            };
            if is_fresh(set, self.me, &item, lifetime, now) {
                continue;
            }
            let is_new = receipt.time.plus(lifetime / 2) > now;
            match number < most && (is_new || is_listed(set, cid, now)) {
                true => renew(&mut decision.statements, (set, self.me), item, lifetime, now),
                false => decision.actions.push(Action::Forget(*cid)),
            }
        }
    }
}

/// Returns whether a peer shares, verified or keeps the file.
fn is_listed(set: &Set, cid: &Cid, now: Time) -> bool {
    let items = [Station::Files, Station::Verified, Station::Safe].map(|station| station.item(cid));
    items.iter().any(|item: &Item| set.item(item, now).is_some())
}
