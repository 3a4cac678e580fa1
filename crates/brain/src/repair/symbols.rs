//! Describes this node's set in symbols.

use super::{Comparisons, Description, SessionId, TRIES};
use crate::Now;
use crate::node::Node;
use crate::origin::Origin;
use crate::replica::Replica;
use crate::steps::{FEWEST_MORE, numbers};
use dcache::{End, PeerId, Time};
use rand::RngExt as _;
use routing::{ChannelId, MAX_SALT, MAX_SYMBOLS, Repair, Sketch};
use sketch::Encoder;
use std::time::Duration;
use telemetry::metrics;

/// Minimum and maximum number of symbols in one line on a network. The maximum fits into one datagram together with the
/// addresses of the line.
const ON_A_NETWORK: (u64, u64) = (12, 56);
/// Maximum number of symbols sent unasked. The limit is needed because the number of missing records is only a claim of
/// the other side.
const MAX_UNASKED: u64 = 1 << 17;
/// Time for which the budget of a channel stays reserved for a step, after the budget has become large enough for it.
const RESERVED: Duration = Duration::from_millis(10);
/// Size of each symbol in a line, in bytes.
const SYMBOL_BYTES: u32 = 18;
/// Size of a line without its symbols, in bytes.
const FRAME_BYTES: u32 = 600;

impl Comparisons {
    /// Begins to describe this node's current set.
    pub(super) fn send_sketch(&mut self, node: &mut Node, now: Now, id: SessionId) {
        let salt = node.random.random_range(0..=MAX_SALT);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let shown = node.neighbours.get(&session.peer).and_then(|neighbour| neighbour.shown);
        // A node whose clock is ahead has forgotten the records that end before its own bound. That bound has moved on
        // since the beacon.
        let by_now = |at| now.elapsed.saturating_sub(at).as_secs();
        let theirs = shown.map_or(Time(0), |shown| shown.beacon.bound.plus(by_now(shown.at)));
        let bound = Replica::bound(now).max(theirs);
        let count = node.replica.fingerprint(bound).count;
        let encoder = Encoder::new(numbers(node.replica.set(), End::at(bound), salt));
        session.description = Some(Description { salt, bound, count, encoder, last: None });
        let missing = shown.map_or(0, |shown| shown.beacon.fingerprint.count.abs_diff(count));
        let missing = missing.min(MAX_UNASKED / 3 * 2);
        self.send_symbols(node, now, id, missing + missing / 2 + ON_A_NETWORK.0);
    }

    /// Sends the next symbols: over a link as many as are wanted, on a network as many as fit into one line.
    fn send_symbols(&mut self, node: &mut Node, now: Now, id: SessionId, wanted: u64) {
        let Some(channel) = self.sessions.get(&id).and_then(|session| session.channel) else { return };
        let network = node.channels.capacity(channel).filter(|_| !node.channels.is_link(channel));
        let limit = network.map(|capacity| {
            let fits = capacity.bytes.burst.saturating_sub(FRAME_BYTES) / SYMBOL_BYTES;
            ON_A_NETWORK.1.min(u64::from(fits))
        });
        let mut left = usize::try_from(limit.map_or(wanted, |limit| wanted.min(limit))).unwrap_or(usize::MAX);
        while left > 0 {
            let count = left.min(MAX_SYMBOLS);
            if let Some(room) = self.send_some_symbols(node, now, (id, channel), count) {
                return self.wait_for_room(node, now, (id, channel), room);
            }
            left -= count;
        }
        let wait = match limit {
            Some(_) => node.channels.round_trip(channel),
            None => node.settings.repair_timeout,
        };
        if let Some(session) = self.sessions.get_mut(&id) {
            session.deadline = now.elapsed + wait;
        }
    }

    /// Reserves the budget of a slow channel for the next step, if it is the turn of a step. Otherwise the records that wait
    /// there would use up the budget as it refills, and the step would never be sent.
    fn wait_for_room(
        &mut self,
        node: &mut Node,
        now: Now,
        (id, channel): (SessionId, ChannelId),
        room: Duration,
    ) {
        if node.channels.outbox.claimed_until(channel, now.elapsed).is_none() {
            node.channels.outbox.reserve(channel, room + RESERVED);
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.deadline = room;
            session.tries = session.tries.saturating_sub(1);
        }
    }

    /// Sends symbols in one line. If the budget of the channel is used up, returns the time at which the line can be
    /// sent.
    fn send_some_symbols(
        &mut self,
        node: &mut Node,
        now: Now,
        (id, channel): (SessionId, ChannelId),
        count: usize,
    ) -> Option<Duration> {
        let session = self.sessions.get_mut(&id)?;
        let (peer, sent) = (session.peer.1, session.description.as_mut()?);
        let first = u32::try_from(sent.encoder.given()).unwrap_or(u32::MAX);
        let symbols = sent.encoder.symbols(count);
        let step = Sketch { bound: sent.bound, count: sent.count, salt: sent.salt, first, symbols };
        sent.last = Some(step.clone());
        node.send_step(now, channel, peer, Repair::Sketch(step))
    }

    /// Handles a `more` step: the symbols that the other side has are not enough.
    pub(crate) fn more_wanted(
        &mut self,
        node: &mut Node,
        now: Now,
        (origin, peer): (Origin, PeerId),
        (salt, have): (u64, u32),
    ) {
        let id = self.session_of(origin, peer, salt);
        let Some((id, session)) = id.and_then(|id| Some((id, self.sessions.get_mut(&id)?))) else {
            return node.count(&metrics::BRAIN_COMPARISONS_UNEXPECTED_STEPS);
        };
        let Some(sent) = &session.description else { return };
        let most = 2 * sent.count.max(1024) + u64::from(u16::MAX);
        // The answer to a late or repeated step is under way already. The limit bounds the work that a peer can cause:
        // an honest peer needs fewer symbols for a set of this size.
        if u64::from(have) != sent.encoder.given() || sent.encoder.given() > most {
            return;
        }
        session.tries = 0;
        session.pace.stepped();
        let line = node.neighbours.get(&session.peer).and_then(|neighbour| neighbour.link(now.elapsed));
        match line.filter(|_| session.address.is_none()) {
            Some(_) => {
                let peer = session.peer;
                self.sessions.remove(&id);
                self.begin_over_link(node, now, peer);
            }
            None => self.send_symbols(node, now, id, u64::from(have / 2).max(FEWEST_MORE)),
        }
    }

    /// Retransmits the last line, which may have got lost. Of the many lines of a large difference some always get
    /// lost, so beginning again for each of them would not end. A new sketch is begun only after half of the tries, or
    /// if the lost line was the first.
    pub(super) fn try_again(&mut self, node: &mut Node, now: Now, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        let last = session.description.as_ref().and_then(|sent| sent.last.clone());
        let last = last.filter(|last| last.first > 0 && session.tries <= TRIES / 2);
        let (Some(last), Some(channel), peer) = (last, session.channel, session.peer.1) else {
            return self.send_sketch(node, now, id);
        };
        let wait = node.channels.round_trip(channel) * 3 / 2;
        if let Some(session) = self.sessions.get_mut(&id) {
            session.deadline = now.elapsed + wait;
        }
        if let Some(room) = node.send_step(now, channel, peer, Repair::Sketch(last)) {
            self.wait_for_room(node, now, (id, channel), room);
        }
    }
}
