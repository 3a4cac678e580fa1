//! Taking work off those who have too much of it.
//!
//! Rendezvous hashing gives everybody the same share to fetch first, but not everybody gets on as fast: who uploads at the
//! limit of its link hears and asks late. Whoever has nothing left to ask a source for takes over what somebody else would
//! come to only when all else is fetched: of that only where it is next in rank, so that nobody else has the same idea.
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use super::peer::Peer;
use super::rendezvous::score;
use super::wants::Want;
use super::{Engine, Key};

/// So many blocks more than it will ask for in the meantime are left to whoever is to fetch them first.
const LEFT_ALONE: usize = 1;

/// What everybody still has to fetch first: who, by its token, and what, in the order in which it asks for it.
type Shares = BTreeMap<u64, Vec<(Reverse<usize>, Reverse<u64>, Key)>>;

impl<P: Copy + Ord + Debug> Engine<P> {
    /// Asks sources that have time, and that this node has nothing else to ask for, for what others come to last.
    pub(super) fn help(&mut self, now: Duration) {
        let idle = self.peers.iter().filter(|(peer, _)| self.is_idle(now, peer));
        // Others have as much under way as this node would have.
        let burden = |state: &Peer| {
            (state.slots(&self.config, self.block_bytes), state.meter.time_for(self.block_bytes))
        };
        let Some((under_way, takes)) = idle.map(|(_, state)| burden(state)).max() else { return };
        let mut shares = self.shares();
        let Some(rest) = self.time_for_all(now, &shares) else { return };
        for (token, share) in &mut shares {
            let meanwhile = rest.max(takes).div_duration_f64(self.interval_of(now, *token)).ceil() as usize;
            let alone = under_way.saturating_add(LEFT_ALONE).saturating_add(meanwhile);
            share.drain(..share.len().min(alone));
        }
        for key in self.to_take_over(&shares) {
            let Some(want) = self.wants.get(&key) else { continue };
            let source = want.havers.iter().find(|peer| self.is_idle(now, peer)).copied();
            if let Some(source) = source {
                self.ask(now, &key, source);
            }
        }
    }

    /// How long it takes until sources have given everything once, as fast as they did so far.
    fn time_for_all(&self, now: Duration, shares: &Shares) -> Option<Duration> {
        let peers = self.peers.values().map(|state| state.firsts.count());
        let given: u32 = peers.chain([self.firsts.count()]).sum();
        let left = shares.values().map(Vec::len).sum::<usize>();
        (given > 0).then(|| now.saturating_sub(self.begun).mul_f64(left as f64 / f64::from(given)))
    }

    /// How often the peer with this token gets something first, taken for as fast as it ever seemed to be.
    fn interval_of(&self, now: Duration, token: u64) -> Duration {
        let peer = self.peers.values().find(|state| state.token == token);
        let firsts = peer.map_or(self.firsts, |state| state.firsts);
        let mean = firsts.mean(self.begun, now);
        firsts.interval.map_or(mean, |lately| lately.min(mean)).max(Duration::from_millis(1))
    }

    /// Whether nothing is under way from a peer that has time. Two blocks at once would come later than one after the other
    /// is taken over, and by then whoever is to fetch the second may have asked for it.
    fn is_idle(&self, now: Duration, peer: &P) -> bool {
        self.has_time(now, peer) && self.peers.get(peer).is_some_and(|state| state.in_flight == 0)
    }

    /// Who has what left.
    fn shares(&self) -> Shares {
        let mut shares = Shares::new();
        let is_shared = |want: &&Want<P>| !want.havers.is_empty() && !want.wanters.is_empty();
        let is_first = |want: &&Want<P>| want.is_open() && want.spreaders.is_empty() && is_shared(want);
        for want in self.wants.values().filter(is_first) {
            let (score, token) = self.wanters(want).max().unwrap_or_default();
            let place = (Reverse(want.wanters.len()), Reverse(score), *want.cid.hash());
            shares.entry(token).or_default().push(place);
        }
        shares.values_mut().for_each(|share| share.sort_unstable());
        shares
    }

    /// Scores and tokens of all that want a block, this node included.
    fn wanters(&self, want: &Want<P>) -> impl Iterator<Item = (u64, u64)> {
        let tokens = want.wanters.iter().filter_map(|peer| self.peers.get(peer)).map(|state| state.token);
        tokens.chain([self.token]).map(|token| (score(token, want.cid.hash()), token))
    }

    /// What this node is the one to take over; what its owner would come to last is the first of it.
    fn to_take_over(&self, shares: &Shares) -> Vec<Key> {
        let late = shares.values().flat_map(|share| share.iter().enumerate());
        let mut late: Vec<_> = late.filter(|(_, (.., key))| self.is_second(key)).collect();
        late.sort_unstable_by_key(|(place, entry)| (Reverse(*place), *entry));
        late.into_iter().map(|(_, (.., key))| *key).collect()
    }

    /// Whether this node is asking nobody for a block, and comes next after the one who is to fetch it.
    fn is_second(&self, key: &Key) -> bool {
        let Some(want) = self.wants.get(key).filter(|want| want.asked.is_empty()) else { return false };
        let own = score(self.token, want.cid.hash());
        self.wanters(want).filter(|(score, _)| *score > own).count() == 1
    }
}
