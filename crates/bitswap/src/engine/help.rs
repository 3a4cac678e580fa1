//! Taking work off those who have too much of it.
//!
//! Rendezvous hashing gives everybody the same share to fetch first, but not everybody gets on as fast: who uploads at the
//! limit of its link hears and asks late. Whoever has nothing left to ask a source for takes over what somebody else would
//! come to last: of that only where it is next in rank, so that nobody else has the same idea.
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use super::rendezvous::score;
use super::wants::Want;
use super::{Engine, Key};

/// So many blocks are left to whoever is to fetch them first: it asks for them before they would come to a helper.
const LEFT_ALONE: usize = 4;
/// Help is worth its risk when at most one in so many still has something to fetch first.
const FEW: usize = 4;

/// What everybody still has to fetch first: who, by its token, and what, in the order in which it asks for it.
type Shares = BTreeMap<u64, Vec<(Reverse<u64>, Key)>>;

impl<P: Copy + Ord + Debug> Engine<P> {
    /// Asks sources that have time, and that this node has nothing else to ask for, for what others come to last.
    pub(super) fn help(&mut self, now: Duration) {
        if !self.peers.keys().any(|peer| self.has_time(now, peer)) {
            return;
        }
        let (shares, fetching) = self.shares();
        if shares.len() * FEW > fetching {
            return;
        }
        for key in self.to_take_over(&shares) {
            let Some(want) = self.wants.get(&key) else { continue };
            let source = want.havers.iter().find(|peer| self.has_time(now, peer)).copied();
            if let Some(source) = source {
                self.ask(now, &key, source);
            }
        }
    }

    /// Who has what left, and how many fetch any of it.
    fn shares(&self) -> (Shares, usize) {
        let (mut shares, mut fetching) = (Shares::new(), BTreeSet::new());
        let is_first =
            |want: &&Want<P>| want.is_open() && want.spreaders.is_empty() && !want.havers.is_empty();
        for want in self.wants.values().filter(is_first) {
            let (score, token) = self.wanters(want).max().unwrap_or_default();
            shares.entry(token).or_default().push((Reverse(score), *want.cid.hash()));
            fetching.extend(self.wanters(want).map(|(_, token)| token));
        }
        shares.values_mut().for_each(|share| share.sort_unstable());
        (shares, fetching.len())
    }

    /// Scores and tokens of all that want a block, this node included.
    fn wanters(&self, want: &Want<P>) -> impl Iterator<Item = (u64, u64)> {
        let tokens = want.wanters.iter().filter_map(|peer| self.peers.get(peer)).map(|state| state.token);
        tokens.chain([self.token]).map(|token| (score(token, want.cid.hash()), token))
    }

    /// What this node is the one to take over; what its owner would come to last is the first of it.
    fn to_take_over(&self, shares: &Shares) -> Vec<Key> {
        let late = shares.values().flat_map(|share| share.iter().enumerate().skip(LEFT_ALONE));
        let mut late: Vec<_> = late.filter(|(_, (_, key))| self.is_second(key)).collect();
        late.sort_unstable_by_key(|(place, entry)| (Reverse(*place), *entry));
        late.into_iter().map(|(_, (_, key))| *key).collect()
    }

    /// Whether this node is asking nobody for a block, and comes next after the one who is to fetch it.
    fn is_second(&self, key: &Key) -> bool {
        let Some(want) = self.wants.get(key).filter(|want| want.asked.is_empty()) else { return false };
        let own = score(self.token, want.cid.hash());
        self.wanters(want).filter(|(score, _)| *score > own).count() == 1
    }
}
