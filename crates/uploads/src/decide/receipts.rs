//! The part of the decider about the receipts of this node.
//!
//! The newest receipts are records. All receipts are in the catalogue of this node, which the service `logs` publishes.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{Action, Uploading, View};
use crate::stated::{is_fresh, renew};
use dcache::{Item, buckets};
use ipfs::Cid;
use logs::buckets::Station;
use logs::{MOST_STATED, Receipt};
use service::Decision;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Maximum fraction of the record quota of this node that its receipts use.
const PART: (usize, usize) = (3, 4);
/// Maximum number of receipts that are remembered. The storage itself shows older uploads.
const MAX_DONE: usize = 50_000;
/// Number of receipts beyond which those of unlisted files are forgotten soon, so that there is room for others.
const CROWDED: usize = 40_000;
/// Number of receipts that are forgotten together when there are too many. The search for the oldest ones costs time for each
/// receipt.
const AT_ONCE: usize = 1000;
/// Number of receipts of which one decision examines whether their files are still listed.
const WINDOW: usize = 256;
/// Time, in seconds, for which a file must be unlisted before its receipt is forgotten. Robots may be away for the holidays,
/// and their files must not be fetched and uploaded again when they come back.
const GRACE: u64 = 30 * 24 * 3600;
/// Time, in seconds, after the start of the decider before which no receipt is forgotten, and the time for which a file must
/// be unlisted when there are many receipts. In this time the records and the catalogues of the other robots arrive.
const SHORT_GRACE: u64 = 3600;

/// The state of the search for receipts to forget.
#[derive(Clone, Debug, Default)]
pub(super) struct ListedLooks {
    /// The last receipt that was examined.
    last: Option<Cid>,
    /// Files that no peer lists, with the time since when.
    unlisted: BTreeMap<Cid, u64>,
}

impl Uploading {
    /// States the newest receipts of this node, and renews them while their files are listed. Forgets a receipt when no peer
    /// has listed its file for long, and the oldest ones when there are too many.
    pub(super) fn state_receipts(&mut self, view: &View<'_>, decision: &mut Decision<Action>) {
        let (set, now, lifetime) = (view.set, view.now, buckets::UPLOADS.lifetime());
        let most = (set.capacity(self.me) * PART.0 / PART.1).min(MOST_STATED);
        for (cid, receipt) in self.done.newest().take(most) {
            let Some(item) = receipt.item(cid) else { continue };
            if is_fresh(set, self.me, &item, lifetime, now) {
                continue;
            }
            let is_new = receipt.time.plus(lifetime / 2) > now;
            if is_new || is_listed(view, cid) {
                renew(&mut decision.statements, (set, self.me), item, lifetime, now);
            }
        }
        let forgotten = self.forgotten(view);
        decision.actions.extend(forgotten.into_iter().map(Action::Forget));
    }

    fn forgotten(&mut self, view: &View<'_>) -> Vec<Cid> {
        if self.done.len() > MAX_DONE && view.elapsed >= SHORT_GRACE {
            return self.done.oldest(self.done.len() - MAX_DONE + AT_ONCE);
        }
        let looks = &mut self.listed_looks;
        let next = self.done.after(looks.last).take(WINDOW);
        let window: Vec<(Cid, Arc<Receipt>)> = next.map(|(cid, receipt)| (*cid, receipt.clone())).collect();
        looks.last = window.last().filter(|_| window.len() == WINDOW).map(|(cid, _)| *cid);
        if looks.last.is_none() {
            looks.unlisted.retain(|cid, _| self.done.contains(cid));
        }
        let mut forgotten = Vec::new();
        for (cid, receipt) in window {
            if is_listed(view, &cid) {
                looks.unlisted.remove(&cid);
                continue;
            }
            let since = *looks.unlisted.entry(cid).or_insert(view.elapsed);
            let is_old = receipt.time.plus(buckets::UPLOADS.lifetime() / 2) <= view.now;
            let grace = if is_old && self.done.len() > CROWDED { SHORT_GRACE } else { GRACE };
            if view.elapsed >= since.saturating_add(grace) {
                looks.unlisted.remove(&cid);
                forgotten.push(cid);
            }
        }
        forgotten
    }
}

/// Returns whether a peer shares, verified or keeps the file, by records or by its catalogue.
fn is_listed(view: &View<'_>, cid: &Cid) -> bool {
    let items = [Station::Files, Station::Verified, Station::Safe].map(|station| station.item(cid));
    items.iter().any(|item: &Item| view.set.item(item, view.now).is_some()) || view.counting.is_listed(cid)
}
