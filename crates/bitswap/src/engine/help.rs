//! Takes over blocks from nodes that fetch their share slowly.
//!
//! Rendezvous hashing gives every wanter an equal share of blocks to fetch from the sources first. Not every wanter is
//! equally fast: messages to and from a node with a saturated uplink are late. A node with nothing left to request from a
//! source takes over the blocks that a slower node would fetch last. It takes over only blocks for which it is next in
//! rank, so that two nodes do not take over the same block.
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use super::peer::Peer;
use super::rendezvous::score;
use super::wants::Want;
use super::{Engine, Key};

/// Safety margin: number of blocks of a wanter's share that this node does not take over, in addition to those that the
/// wanter is expected to request in the meantime.
const LEFT_ALONE: usize = 1;

/// The blocks that each wanter, identified by its token, still has to fetch first, in the order of its requests.
type Shares = BTreeMap<u64, Vec<(Reverse<usize>, Reverse<u64>, Key)>>;

impl<P: Copy + Ord + Debug> Engine<P> {
    /// Requests blocks of other nodes' shares from idle sources, beginning with those that would be fetched last.
    pub(super) fn help(&mut self, now: Duration) {
        let idle = self.peers.iter().filter(|(peer, _)| self.is_idle(now, peer));
        // Assumes that other nodes have as many blocks under way as this node would have.
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

    /// Estimates the time until the sources have sent every block once, at their rate so far.
    ///
    /// Returns `None` if they have not sent any block yet.
    fn time_for_all(&self, now: Duration, shares: &Shares) -> Option<Duration> {
        let peers = self.peers.values().map(|state| state.firsts.count());
        let given: u32 = peers.chain([self.firsts.count()]).sum();
        let left = shares.values().map(Vec::len).sum::<usize>();
        (given > 0).then(|| now.saturating_sub(self.begun).mul_f64(left as f64 / f64::from(given)))
    }

    /// Returns the interval between first fetches of the node with this token.
    ///
    /// It is the shorter of the recent interval and the mean interval, which assumes that the node is fast.
    fn interval_of(&self, now: Duration, token: u64) -> Duration {
        let peer = self.peers.values().find(|state| state.token == token);
        let firsts = peer.map_or(self.firsts, |state| state.firsts);
        let mean = firsts.mean(self.begun, now);
        firsts.interval.map_or(mean, |lately| lately.min(mean)).max(Duration::from_millis(1))
    }

    /// Returns whether no block is under way from a peer, and this node has no candidates for the peer.
    ///
    /// Blocks are taken over one at a time. Of two blocks under way, the second would arrive late, and its first fetcher
    /// may have requested it by then.
    fn is_idle(&self, now: Duration, peer: &P) -> bool {
        self.has_time(now, peer) && self.peers.get(peer).is_some_and(|state| state.in_flight == 0)
    }

    /// Returns the blocks that each wanter still has to fetch first.
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

    /// Returns the scores and tokens of all wanters of a block, including this node.
    fn wanters(&self, want: &Want<P>) -> impl Iterator<Item = (u64, u64)> {
        let tokens = want.wanters.iter().filter_map(|peer| self.peers.get(peer)).map(|state| state.token);
        tokens.chain([self.token]).map(|token| (score(token, want.cid.hash()), token))
    }

    /// Returns the blocks that this node may take over. Those that their first fetchers would request last come first.
    fn to_take_over(&self, shares: &Shares) -> Vec<Key> {
        let late = shares.values().flat_map(|share| share.iter().enumerate());
        let mut late: Vec<_> = late.filter(|(_, (.., key))| self.is_second(key)).collect();
        late.sort_unstable_by_key(|(place, entry)| (Reverse(*place), *entry));
        late.into_iter().map(|(_, (.., key))| *key).collect()
    }

    /// Returns whether this node ranks second for a block, and has not requested it.
    fn is_second(&self, key: &Key) -> bool {
        let Some(want) = self.wants.get(key).filter(|want| want.asked.is_empty()) else { return false };
        let own = score(self.token, want.cid.hash());
        self.wanters(want).filter(|(score, _)| *score > own).count() == 1
    }
}
