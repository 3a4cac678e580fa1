//! How this node's records compare with those that the latest beacons of its neighbours showed.

use crate::Now;
use crate::neighbours::Shown;
use crate::node::Node;
use crate::replica::Verdict;
use routing::{ChannelId, SyncStatus};

/// Time for which a beacon counts as recent, as a multiple of the longest beacon interval.
const FRESH_INTERVALS: u32 = 3;

impl Node {
    fn is_fresh(&self, now: Now, channel: ChannelId, shown: &Shown) -> bool {
        shown.at + self.channels.longest_interval(channel) * FRESH_INTERVALS > now.elapsed
    }

    /// Returns whether a neighbour on a network lately held the same records as this node, or all but its latest
    /// changes. Such a neighbour most likely lacks the records that this node learns on other channels.
    pub(crate) fn has_company(&self, now: Now, channel: ChannelId) -> bool {
        self.neighbours.on(channel).any(|neighbour| {
            let shown = neighbour.shown.filter(|shown| self.is_fresh(now, channel, shown));
            shown.is_some_and(|shown| shown.verdict != Verdict::Different)
        })
    }

    /// Compares this node with all neighbours that were heard lately.
    pub(crate) fn sync_status(&self, now: Now) -> SyncStatus {
        let agreed = self.neighbours.last_agreed();
        let agreed = agreed.map(|at| now.elapsed.saturating_sub(at).as_secs());
        let mut status = SyncStatus { agreed, ..SyncStatus::default() };
        for ((channel, _), neighbour) in self.neighbours.all() {
            let shown = neighbour.shown.filter(|shown| self.is_fresh(now, *channel, shown));
            let Some(Shown { beacon, .. }) = shown else { continue };
            match self.replica.judge(now, &beacon).0 {
                Verdict::Same => status.agreeing += 1,
                Verdict::Behind | Verdict::Different => {
                    status.differing += 1;
                    let ours = self.replica.fingerprint(beacon.bound).count;
                    status.behind = status.behind.max(beacon.fingerprint.count.saturating_sub(ours));
                }
            }
        }
        status
    }
}
