//! Repair, the side that begins: comparing sets with one neighbour at a time, and giving and taking what differs.
//!
//! What differs is found by a sketch (see the crate `sketch`): we send symbols of our set, the other side finds the
//! difference, names what it lacks, and gives what we lack. On the network itself when little is missing: then all that
//! listen have the use of it. Over a link when more is.

use crate::answer::Ending;
use crate::beacons::many;
use crate::brain::Origin;
use crate::channel::{Channel, Sending};
use crate::neighbours::{NeighbourId, Verdict};
use crate::outbox::{Cause, Turn};
use crate::{Brain, Now, Output};
use dcache::{End, Key, PeerId, Record, Time};
use rand::RngExt as _;
use routing::{
    Address, ChannelCommand, ChannelId, Envelope, MAX_SALT, MAX_SYMBOLS, Message, Repair, Sketch, Target,
    Want,
};
use sketch::{Encoder, salted};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// The fewest and the most symbols in one line on a network: what fits into one datagram beside its addresses.
const ON_A_NETWORK: (u64, u64) = (12, 56);
/// The fewest symbols that are said when some were not enough.
pub(crate) const FEWEST_MORE: u64 = 32;
/// The most symbols said unasked: how many are missing is only what the other side claims.
const MOST_UNASKED: u64 = 1 << 17;
/// For how long after there is room for a step nothing else takes it.
const A_MOMENT: Duration = Duration::from_millis(10);
/// How many times a step is tried on a network.
const TRIES: u32 = 4;
/// How long a comparison may take in all: in round trips of a network, and in repair timeouts over a link.
const LONGEST_ON_NETWORK: u32 = 40;
const LONGEST_OVER_LINK: u32 = 30;
/// The most records given on a network at once.
const MAX_GIVEN: usize = 64;
/// What a symbol takes in a line, and what the rest of the line does, in bytes.
const SYMBOL: u32 = 18;
const AROUND: u32 = 600;

/// A comparison that this node began.
#[derive(Debug)]
pub(crate) struct Session {
    peer: NeighbourId,
    /// Where its neighbour takes links, when it is over a link.
    address: Option<SocketAddr>,
    /// The network, or the link once it is up.
    channel: Option<ChannelId>,
    said: Option<Said>,
    /// When it is given up, or the last step tried again.
    deadline: Duration,
    tries: u32,
    /// When it ends, however much goes on: whoever keeps it going keeps us from comparing with others.
    ends: Duration,
    /// Records that came by it.
    gained: u64,
    /// Records that the other side wanted over a link.
    wanted: u64,
    /// Whether the other side has nothing more for us.
    is_complete: bool,
    /// Whether we have nothing more for the other side.
    is_given: bool,
}

/// What was said of our set.
#[derive(Debug)]
struct Said {
    salt: u64,
    bound: Time,
    count: u64,
    encoder: Encoder,
    /// The last line, in case that it gets lost.
    last: Option<Sketch>,
}

impl Session {
    fn wake(&self) -> Duration {
        self.deadline.min(self.ends)
    }
}

impl Brain {
    pub(crate) fn next_repair_wake(&self) -> Option<Duration> {
        match &self.session {
            Some(session) => Some(session.wake()),
            None => [self.neighbours.next_suspected(), Some(self.next_checkup)].into_iter().flatten().min(),
        }
    }

    pub(crate) fn run_repair(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.session.as_ref().is_some_and(|session| session.wake() <= now.elapsed) {
            self.session_is_late(now, out);
        }
        while self.session.is_none()
            && let Some(id) = self.neighbours.due(now.elapsed)
        {
            self.compare_if_needed(now, id, out);
        }
        if self.session.is_none() && self.next_checkup <= now.elapsed {
            self.check_up(now, out);
        }
    }

    /// Compares with somebody now and then, whatever beacons show: they may lie. Of many neighbours each does so more rarely,
    /// so that what all of them do together does not grow with their number.
    fn check_up(&mut self, now: Now, out: &mut Vec<Output>) {
        let (shortest, longest) = self.settings.checkup_every;
        let is_first = self.next_checkup == Duration::ZERO;
        self.next_checkup = now.elapsed + shortest + self.random_wait(longest.saturating_sub(shortest));
        let callable = self.neighbours.callable(now.elapsed);
        let share = 1.0 / f64::from(many(callable.len()));
        if !is_first && !callable.is_empty() && self.chance() < share {
            let id = callable[self.random.random_range(0..callable.len())];
            self.count("checkups");
            self.begin_over_link(now, id, out);
        }
    }

    /// The time has come to compare with a neighbour that showed something else, unless that is settled meanwhile.
    fn compare_if_needed(&mut self, now: Now, id: NeighbourId, out: &mut Vec<Output>) {
        let (round_trip, last) = (self.round_trip(id.0), self.history.last().unwrap_or_default());
        let ours = |brain: &Self, bound| brain.set.fingerprint(End::at(bound)).count;
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        neighbour.suspected = None;
        let (shown, line) = (neighbour.shown, neighbour.link(now.elapsed));
        let Some((beacon, at, _)) = shown.filter(|_| !neighbour.is_aside(now.elapsed)) else { return };
        if self.judge_again(now, &beacon) != Verdict::Different {
            return;
        }
        // While records are still coming in, what differs is likely to be on its way.
        if last + round_trip / 2 > now.elapsed && at + round_trip * 5 > now.elapsed {
            if let Some(neighbour) = self.neighbours.get_mut(&id) {
                neighbour.suspected = Some(now.elapsed + round_trip / 2);
            }
            return;
        }
        let missing = beacon.fingerprint.count.abs_diff(ours(self, beacon.bound));
        match line {
            Some(_) if missing > self.settings.few => self.begin_over_link(now, id, out),
            _ => self.begin_on_network(now, id, out),
        }
    }

    fn begin(&mut self, now: Now, peer: NeighbourId, address: Option<SocketAddr>, wait: Duration) {
        self.count("comparisons begun");
        let channel = if address.is_none() { Some(peer.0) } else { None };
        let deadline = now.elapsed + wait;
        let longest = match address {
            Some(_) => self.settings.repair_timeout * LONGEST_OVER_LINK,
            None => self.round_trip(peer.0) * LONGEST_ON_NETWORK,
        };
        self.session = Some(Session {
            peer,
            address,
            channel,
            said: None,
            deadline,
            tries: 0,
            ends: now.elapsed + longest,
            gained: 0,
            wanted: 0,
            is_complete: false,
            is_given: true,
        });
    }

    fn begin_on_network(&mut self, now: Now, id: NeighbourId, out: &mut Vec<Output>) {
        self.begin(now, id, None, Duration::ZERO);
        self.say_sketch(now, out);
    }

    fn begin_over_link(&mut self, now: Now, id: NeighbourId, out: &mut Vec<Output>) {
        let line = self.neighbours.get(&id).and_then(|neighbour| neighbour.link(now.elapsed));
        let Some(address) = line else { return };
        self.begin(now, id, Some(address), self.settings.repair_timeout);
        out.push(Output::Channel(ChannelCommand::Connect { address }));
    }

    /// A link that we asked for is up.
    pub(crate) fn link_is_up(&mut self, now: Now, id: ChannelId, address: SocketAddr, out: &mut Vec<Output>) {
        let waits = |session: &&mut Session| session.address == Some(address) && session.channel.is_none();
        match self.session.as_mut().filter(waits) {
            Some(session) => {
                session.channel = Some(id);
                self.say_sketch(now, out);
            }
            // Given up meanwhile.
            None => out.push(Output::Channel(ChannelCommand::Close { channel: id })),
        }
    }

    /// Begins to describe our set, as it is now.
    fn say_sketch(&mut self, now: Now, out: &mut Vec<Output>) {
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

    /// A step of a comparison came.
    pub(crate) fn repair_step(
        &mut self,
        now: Now,
        origin: Origin,
        peer: PeerId,
        step: &Repair,
        out: &mut Vec<Output>,
    ) {
        match step {
            Repair::Sketch(sketch) => self.serve_sketch(now, origin, peer, sketch, out),
            Repair::More { salt, have } if self.is_of_session(origin, peer, *salt) => {
                self.say_more(now, *have, out);
            }
            Repair::Want(want) if self.is_of_session(origin, peer, want.salt) => self.give(now, want, out),
            Repair::More { .. } | Repair::Want(_) => self.count("steps of no comparison"),
        }
    }

    fn is_of_session(&self, origin: Origin, peer: PeerId, salt: u64) -> bool {
        self.session.as_ref().is_some_and(|session| {
            session.channel == Some(origin.channel)
                && (session.address.is_some() || session.peer.1 == peer)
                && session.said.as_ref().is_some_and(|said| said.salt == salt)
        })
    }

    /// The symbols so far are not enough.
    fn say_more(&mut self, now: Now, have: u32, out: &mut Vec<Output>) {
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

    /// The other side has found the difference, and names what it lacks.
    fn give(&mut self, now: Now, want: &Want, out: &mut Vec<Output>) {
        let linger =
            self.session.as_ref().and_then(|session| session.channel).map(|id| self.round_trip(id) * 2);
        let (Some(session), Some(linger)) = (&mut self.session, linger) else { return };
        let (Some(said), Some(channel)) = (&session.said, session.channel) else { return };
        let (bound, is_on_network) =
            (End::at(said.bound), !self.channels.get(&channel).is_some_and(Channel::is_link));
        let keys = keys_of(self.set.beyond(bound), want.salt, &want.ids);
        if is_on_network {
            session.is_complete = true;
            session.deadline = now.elapsed + linger;
            self.give_on_network(now, channel, keys);
        } else if !keys.is_empty() {
            session.wanted += keys.len() as u64;
            // Each record once; whoever wants more than we hold wants it again and again.
            if session.wanted > said.count {
                return self.count("records wanted twice");
            }
            session.is_given = false;
            self.start_answer(now, channel, Address::every_brain(), keys.into(), Ending::Gift, out);
        }
    }

    pub(crate) fn give_on_network(&mut self, now: Now, channel: ChannelId, keys: Vec<Key>) {
        for key in keys.into_iter().take(MAX_GIVEN) {
            if !self.outbox.has(channel, &key) {
                self.schedule(Turn { channel, key, round: 0, cause: Cause::Missed }, now.elapsed);
            }
        }
    }

    /// A record came: whether it is one that our comparison brought.
    pub(crate) fn session_gained(&mut self, elapsed: Duration, channel: ChannelId) -> bool {
        let timeout = self.settings.repair_timeout;
        let Some(session) = self.session.as_mut().filter(|session| session.channel == Some(channel)) else {
            return false;
        };
        session.gained += 1;
        if session.address.is_some() {
            session.deadline = elapsed + timeout;
        }
        true
    }

    /// A link took something of what we give.
    pub(crate) fn session_goes_on(&mut self, now: Now, channel: ChannelId) {
        if let Some(session) = self.session.as_mut().filter(|session| session.channel == Some(channel)) {
            session.deadline = now.elapsed + self.settings.repair_timeout;
        }
    }

    /// The other side of a link has said all that we lacked.
    pub(crate) fn session_is_complete(&mut self, now: Now, channel: ChannelId, out: &mut Vec<Output>) {
        let is_ours = |session: &&mut Session| session.channel == Some(channel) && session.address.is_some();
        if let Some(session) = self.session.as_mut().filter(is_ours) {
            session.is_complete = true;
            self.close_if_done(now, out);
        }
    }

    /// What the other side of a link lacked has been sent.
    pub(crate) fn session_is_given(&mut self, now: Now, channel: ChannelId, out: &mut Vec<Output>) {
        if let Some(session) = self.session.as_mut().filter(|session| session.channel == Some(channel)) {
            session.is_given = true;
            self.close_if_done(now, out);
        }
    }

    fn close_if_done(&mut self, now: Now, out: &mut Vec<Output>) {
        let is_done = |session: &&Session| session.is_complete && session.is_given;
        if let Some(channel) = self.session.as_ref().filter(is_done).and_then(|session| session.channel) {
            out.push(Output::Channel(ChannelCommand::Close { channel }));
            self.end_session(now);
        }
    }

    fn session_is_late(&mut self, now: Now, out: &mut Vec<Output>) {
        let Some(session) = &mut self.session else { return };
        session.tries += 1;
        let is_on_network = session.address.is_none();
        if is_on_network && !session.is_complete && session.tries < TRIES && session.ends > now.elapsed {
            return self.try_again(now, out);
        }
        match session.channel {
            _ if is_on_network => self.end_session(now),
            None => self.no_link(now),
            Some(channel) => {
                out.push(Output::Channel(ChannelCommand::Close { channel }));
                self.end_session(now);
            }
        }
    }

    /// Goes on where a line got lost, or else begins anew: of a large difference not all of many lines would ever pass.
    fn try_again(&mut self, now: Now, out: &mut Vec<Output>) {
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

    /// Ends the comparison. Somebody who differs and yet brings nothing is left aside for a while.
    fn end_session(&mut self, now: Now) {
        let Some(session) = self.session.take() else { return };
        self.count(if session.is_complete { "comparisons completed" } else { "comparisons failed" });
        let shown = self.neighbours.get(&session.peer).and_then(|neighbour| neighbour.shown);
        // Behind: what it showed was what we held, or would have been.
        let agrees = shown.is_some_and(|(beacon, ..)| self.judge_again(now, &beacon) != Verdict::Different);
        if let Some(neighbour) = self.neighbours.get_mut(&session.peer) {
            match session.gained > 0 || agrees {
                true => neighbour.redeem(),
                false => neighbour.leave_aside(now.elapsed),
            }
        }
        self.quicken(now, session.peer.0);
    }

    /// Nobody takes links there.
    pub(crate) fn connect_failed(&mut self, now: Now, address: SocketAddr) {
        let waits = |session: &Session| session.address == Some(address) && session.channel.is_none();
        if self.session.as_ref().is_some_and(waits) {
            self.no_link(now);
        }
    }

    /// The link on which to compare did not come up.
    fn no_link(&mut self, now: Now) {
        self.count("links that did not come up");
        let peer = self.session.take().map(|session| session.peer);
        if let Some(neighbour) = peer.and_then(|peer| self.neighbours.get_mut(&peer)) {
            neighbour.takes_no_links(now.elapsed);
        }
    }

    pub(crate) fn repair_channel_is_down(&mut self, now: Now, channel: ChannelId) {
        if self.session.as_ref().is_some_and(|session| session.channel == Some(channel)) {
            self.end_session(now);
        }
    }
}

/// The numbers that stand for records under a salt.
pub(crate) fn numbers<'a>(records: impl Iterator<Item = &'a Record>, salt: u64) -> impl Iterator<Item = u64> {
    records.map(move |record| salted(salt, &record.id().0))
}

/// Where the records stand for which these numbers stand.
pub(crate) fn keys_of<'a>(records: impl Iterator<Item = &'a Record>, salt: u64, wanted: &[u64]) -> Vec<Key> {
    let wanted: BTreeSet<u64> = wanted.iter().copied().collect();
    let is_wanted = |record: &&Record| wanted.contains(&salted(salt, &record.id().0));
    records.filter(is_wanted).map(Key::from).collect()
}
