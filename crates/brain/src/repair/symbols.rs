//! Describing our set in symbols, and every other step that is said in a comparison.

use super::{Said, TRIES};
use crate::channel::Sending;
use crate::{Brain, Now, Output};
use dcache::{End, PeerId, Record, Time};
use rand::RngExt as _;
use routing::{Address, ChannelId, Envelope, MAX_SALT, MAX_SYMBOLS, Message, Repair, Sketch, Target};
use sketch::{Encoder, salted};
use std::time::Duration;

/// The fewest and the most symbols in one line on a network: what fits into one datagram beside its addresses.
const ON_A_NETWORK: (u64, u64) = (12, 56);
/// The fewest symbols that are said when some were not enough.
pub(crate) const FEWEST_MORE: u64 = 32;
/// The most symbols said unasked: how many are missing is only what the other side claims.
const MOST_UNASKED: u64 = 1 << 17;
/// For how long after there is room for a step nothing else takes it.
const A_MOMENT: Duration = Duration::from_millis(10);
/// What a symbol takes in a line, and what the rest of the line does, in bytes.
const SYMBOL: u32 = 18;
const AROUND: u32 = 600;

impl Brain {
    /// Begins to describe our set, as it is now.
    pub(super) fn say_sketch(&mut self, now: Now, out: &mut Vec<Output>) {
        let salt = self.random.random_range(0..=MAX_SALT);
        let Some(session) = &mut self.session else { return };
        let shown = self.neighbours.get(&session.peer).and_then(|neighbour| neighbour.shown);
        // Whose clock is ahead has forgotten what ends before its own bound; and that has gone on since it was shown.
        let by_now = |at| now.elapsed.saturating_sub(at).as_secs();
        let theirs = shown.map_or(Time(0), |(beacon, at, _)| beacon.bound.plus(by_now(at)));
        let bound = Self::bound(now).max(theirs);
        let count = self.set.fingerprint(End::at(bound)).count;
        let encoder = Encoder::new(numbers(self.set.beyond(End::at(bound)), salt));
        session.said = Some(Said { salt, bound, count, encoder, last: None });
        let missing = shown.map_or(0, |(beacon, ..)| beacon.fingerprint.count.abs_diff(count));
        let missing = missing.min(MOST_UNASKED / 3 * 2);
        self.say_symbols(now, missing + missing / 2 + ON_A_NETWORK.0, out);
    }

    /// Says the next so many symbols: on a network what fits into one line.
    fn say_symbols(&mut self, now: Now, wanted: u64, out: &mut Vec<Output>) {
        let Some(channel) = self.session.as_ref().and_then(|session| session.channel) else { return };
        let limit = self.capacity(channel).filter(|_| !self.is_link(channel)).map(|capacity| {
            let fits = capacity.bytes.burst.saturating_sub(AROUND) / SYMBOL;
            ON_A_NETWORK.1.min(u64::from(fits))
        });
        let mut left = usize::try_from(limit.map_or(wanted, |limit| wanted.min(limit))).unwrap_or(usize::MAX);
        while left > 0 {
            let count = left.min(MAX_SYMBOLS);
            if let Some(room) = self.say_some_symbols(now, channel, count, out) {
                return self.wait_for_room(channel, room);
            }
            left -= count;
        }
        let wait = match limit {
            Some(_) => self.round_trip(channel),
            None => self.settings.repair_timeout,
        };
        if let Some(session) = &mut self.session {
            session.deadline = now.elapsed + wait;
        }
    }

    /// What waits to be said would take each bit of a slow channel's budget as soon as it is there, and a comparison
    /// never had its turn. So it waits for the comparison.
    fn wait_for_room(&mut self, channel: ChannelId, room: Duration) {
        self.outbox.pause(channel, room + A_MOMENT);
        if let Some(session) = &mut self.session {
            session.deadline = room;
            session.tries = session.tries.saturating_sub(1);
        }
    }

    /// Returns when there is room for them on the channel, if there is none now.
    fn say_some_symbols(
        &mut self,
        now: Now,
        channel: ChannelId,
        count: usize,
        out: &mut Vec<Output>,
    ) -> Option<Duration> {
        let session = self.session.as_mut()?;
        let (peer, said) = (session.peer, session.said.as_mut()?);
        let first = u32::try_from(said.encoder.given()).unwrap_or(u32::MAX);
        let symbols = said.encoder.symbols(count);
        let step = Sketch { bound: said.bound, count: said.count, salt: said.salt, first, symbols };
        said.last = Some(step.clone());
        self.say_step(now, channel, peer.1, Repair::Sketch(step), out)
    }

    /// Says one step of a comparison to a peer; or returns when there is room for it.
    pub(crate) fn say_step(
        &mut self,
        now: Now,
        channel: ChannelId,
        peer: PeerId,
        step: Repair,
        out: &mut Vec<Output>,
    ) -> Option<Duration> {
        let on = self.channels.get(&channel)?;
        let payload = Message::pong(dcache::Validity::ALWAYS);
        let mut envelope = Envelope::new(self.own_address(on), Address::brain(peer), payload);
        envelope.repair = Some(step);
        let source = self.neighbours.get(&(channel, peer)).and_then(|neighbour| neighbour.source);
        let target = source.map_or(Target::All, Target::Host);
        match self.try_send(now, channel, target, &envelope, out) {
            Sending::Sent => None,
            Sending::Over(until) => {
                self.count("lines not sent: over a channel's budget");
                Some(until)
            }
            Sending::TooLong => {
                self.count("lines not sent: too long for a channel");
                None
            }
        }
    }

    /// The symbols so far are not enough.
    pub(super) fn say_more(&mut self, now: Now, have: u32, out: &mut Vec<Output>) {
        let Some(session) = &mut self.session else { return };
        let Some(said) = &session.said else { return };
        let most = 2 * said.count.max(1024) + u64::from(u16::MAX);
        // Late or repeated questions: the answer is under way. And nobody needs more than our set is worth.
        if u64::from(have) != said.encoder.given() || said.encoder.given() > most {
            return;
        }
        session.tries = 0;
        let line = self.neighbours.get(&session.peer).and_then(|neighbour| neighbour.link(now.elapsed));
        match line.filter(|_| session.address.is_none()) {
            Some(_) => {
                let peer = session.peer;
                self.begin_over_link(now, peer, out);
            }
            None => self.say_symbols(now, u64::from(have / 2).max(FEWEST_MORE), out),
        }
    }

    /// Goes on where a line got lost, or else begins anew: of a large difference not all of many lines would ever pass.
    pub(super) fn try_again(&mut self, now: Now, out: &mut Vec<Output>) {
        let Some(session) = &self.session else { return };
        let last = session.said.as_ref().and_then(|said| said.last.clone());
        let last = last.filter(|last| last.first > 0 && session.tries <= TRIES / 2);
        let (Some(last), Some(channel), peer) = (last, session.channel, session.peer.1) else {
            return self.say_sketch(now, out);
        };
        let wait = self.round_trip(channel) * 3 / 2;
        if let Some(session) = &mut self.session {
            session.deadline = now.elapsed + wait;
        }
        if let Some(room) = self.say_step(now, channel, peer, Repair::Sketch(last), out) {
            self.wait_for_room(channel, room);
        }
    }
}

/// The numbers that stand for records under a salt.
pub(crate) fn numbers<'a>(records: impl Iterator<Item = &'a Record>, salt: u64) -> impl Iterator<Item = u64> {
    records.map(move |record| salted(salt, &record.id().0))
}
