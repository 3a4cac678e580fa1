//! Repair, the side that begins: comparing sets with one neighbour at a time, and giving and taking what differs.
//!
//! What differs is found by a sketch (see the crate `sketch`): we send symbols of our set, the other side finds the
//! difference, names what it lacks, and gives what we lack. On the network itself when little is missing: then all that
//! listen have the use of it. Over a link when more is.

mod ending;
mod giving;
mod symbols;

use crate::beacons::many;
use crate::brain::Origin;
use crate::neighbours::{NeighbourId, Verdict};
use crate::{Brain, Now, Output};
use dcache::{End, PeerId, Time};
use rand::RngExt as _;
use routing::{ChannelCommand, ChannelId, Repair, Sketch};
use sketch::Encoder;
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) use giving::keys_of;
pub(crate) use symbols::{FEWEST_MORE, numbers};

/// How many times a step is tried on a network.
const TRIES: u32 = 4;
/// How long a comparison may take in all: in round trips of a network, and in repair timeouts over a link.
const LONGEST_ON_NETWORK: u32 = 40;
const LONGEST_OVER_LINK: u32 = 30;

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
}
