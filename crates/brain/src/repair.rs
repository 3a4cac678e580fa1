//! Repair, the side that begins: comparing sets with one neighbour at a time, and exchanging what differs.
//!
//! A sketch finds the difference (see the crate `sketch`): this node sends symbols of its set, and the other side finds
//! the difference, names what it lacks, and gives what this node lacks. When little is missing they do so on the network
//! itself, where all that listen benefit. When more is missing they use a link.

mod giving;
mod progress;
mod symbols;

use crate::Now;
use crate::neighbours::{NeighbourId, slowdown};
use crate::node::Node;
use crate::origin::Origin;
use crate::reach::NamedBy;
use crate::replica::Verdict;
use dcache::{PeerId, Time};
use rand::RngExt as _;
use routing::{ChannelCommand, ChannelId, Sketch};
use sketch::Encoder;
use std::net::SocketAddr;
use std::time::Duration;
use telemetry::metrics;

/// Number of times a step is tried on a network.
const TRIES: u32 = 4;
/// Longest duration of a comparison on a network, in its round trips.
const LONGEST_ON_NETWORK: u32 = 40;
/// Longest duration of a comparison over a link, in repair timeouts.
const LONGEST_OVER_LINK: u32 = 30;

/// A comparison that this node began.
#[derive(Debug)]
struct Session {
    peer: NeighbourId,
    /// Where the neighbour takes links, if the comparison is over a link.
    address: Option<SocketAddr>,
    /// The network, or the link once it is up.
    channel: Option<ChannelId>,
    description: Option<Description>,
    /// When the comparison is given up, or its last step tried again.
    deadline: Duration,
    tries: u32,
    /// When the comparison ends whatever happens. A peer that keeps it going keeps this node from comparing with others.
    ends: Duration,
    /// Number of records that came by it.
    gained: u64,
    /// Number of records that the other side wanted over a link.
    wanted: u64,
    /// Whether the other side has nothing left for this node.
    is_complete: bool,
    /// Whether this node has nothing left for the other side.
    is_given: bool,
}

/// How this node's set was described to the other side.
#[derive(Debug)]
struct Description {
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

/// The comparisons that this node begins, one at a time.
#[derive(Debug, Default)]
pub(crate) struct Comparisons {
    session: Option<Session>,
    /// When to compare with some neighbour whatever beacons show.
    next_checkup: Duration,
}

impl Comparisons {
    /// Returns the time of the next call to [`Self::run`].
    pub(crate) fn next_wake(&self, node: &Node) -> Option<Duration> {
        match &self.session {
            Some(session) => Some(session.wake()),
            None => [node.neighbours.next_comparison(), Some(self.next_checkup)].into_iter().flatten().min(),
        }
    }

    /// Does what is due: ends a comparison or tries its last step again, and begins the next one.
    pub(crate) fn run(&mut self, node: &mut Node, now: Now) {
        if self.session.as_ref().is_some_and(|session| session.wake() <= now.elapsed) {
            self.late(node, now);
        }
        while self.session.is_none()
            && let Some(id) = node.neighbours.due(now.elapsed)
        {
            self.compare_if_needed(node, now, id);
        }
        if self.session.is_none() && self.next_checkup <= now.elapsed {
            self.check_up(node, now);
        }
    }

    /// Compares with some neighbour now and then, whatever beacons show, because beacons may lie. With many neighbours each
    /// node does so more rarely, so that the total of all of them does not grow with their number.
    fn check_up(&mut self, node: &mut Node, now: Now) {
        let (shortest, longest) = node.settings.checkup_every;
        let is_first = self.next_checkup == Duration::ZERO;
        self.next_checkup = now.elapsed + shortest + node.random_wait(longest.saturating_sub(shortest));
        let callable = node.neighbours.callable(now.elapsed);
        let share = 1.0 / f64::from(slowdown(callable.len()));
        if !is_first && !callable.is_empty() && node.chance() < share {
            let id = callable[node.random.random_range(0..callable.len())];
            node.count(&metrics::BRAIN_COMPARISONS_CHECKUPS);
            self.begin_over_link(node, now, id);
        }
    }

    /// Compares with a neighbour that showed something else, unless the difference is gone meanwhile.
    fn compare_if_needed(&mut self, node: &mut Node, now: Now, id: NeighbourId) {
        let round_trip = node.channels.round_trip(id.0);
        let last_change = node.replica.last_change().unwrap_or_default();
        let Some(neighbour) = node.neighbours.get_mut(&id) else { return };
        neighbour.compare_at = None;
        let (shown, line) = (neighbour.shown, neighbour.link(now.elapsed));
        let Some(shown) = shown.filter(|_| !neighbour.is_backed_off(now.elapsed)) else { return };
        let beacon = shown.beacon;
        if node.replica.judge(now, &beacon).0 != Verdict::Different {
            return;
        }
        // While records keep coming in, what differs is likely to be on its way.
        if last_change + round_trip / 2 > now.elapsed && shown.at + round_trip * 5 > now.elapsed {
            if let Some(neighbour) = node.neighbours.get_mut(&id) {
                neighbour.compare_at = Some(now.elapsed + round_trip / 2);
            }
            return;
        }
        let missing = beacon.fingerprint.count.abs_diff(node.replica.fingerprint(beacon.bound).count);
        match line {
            Some(_) if missing > node.settings.few => self.begin_over_link(node, now, id),
            _ => self.begin_on_network(node, now, id),
        }
    }

    fn begin(&mut self, node: &mut Node, now: Now, peer: NeighbourId, address: Option<SocketAddr>) {
        node.count(&metrics::BRAIN_COMPARISONS_STARTED);
        let timeout = node.settings.repair_timeout;
        let (channel, wait, longest) = match address {
            Some(_) => (None, timeout, timeout * LONGEST_OVER_LINK),
            None => (Some(peer.0), Duration::ZERO, node.channels.round_trip(peer.0) * LONGEST_ON_NETWORK),
        };
        self.session = Some(Session {
            peer,
            address,
            channel,
            description: None,
            deadline: now.elapsed + wait,
            tries: 0,
            ends: now.elapsed + longest,
            gained: 0,
            wanted: 0,
            is_complete: false,
            is_given: true,
        });
    }

    fn begin_on_network(&mut self, node: &mut Node, now: Now, id: NeighbourId) {
        self.begin(node, now, id, None);
        self.send_sketch(node, now);
    }

    fn begin_over_link(&mut self, node: &mut Node, now: Now, id: NeighbourId) {
        let line = node.neighbours.get(&id).and_then(|neighbour| neighbour.link(now.elapsed));
        let Some(address) = line else { return };
        if node.dial(now, address, NamedBy::Others) {
            return self.begin(node, now, id, Some(address));
        }
        // Too many links to that host failed lately: the network has to do.
        if let Some(neighbour) = node.neighbours.get_mut(&id) {
            neighbour.link_failed(now.elapsed);
        }
    }

    /// Begins to compare on a link that is up now. Closes it if the comparison was given up meanwhile.
    pub(crate) fn link_is_up(&mut self, node: &mut Node, now: Now, id: ChannelId, address: SocketAddr) {
        let waits = |session: &&mut Session| session.address == Some(address) && session.channel.is_none();
        match self.session.as_mut().filter(waits) {
            Some(session) => {
                session.channel = Some(id);
                self.send_sketch(node, now);
            }
            None => node.command(ChannelCommand::Close { channel: id }),
        }
    }

    /// Whether a step with this salt belongs to the comparison that is under way.
    fn is_of_session(&self, origin: Origin, peer: PeerId, salt: u64) -> bool {
        self.session.as_ref().is_some_and(|session| {
            session.channel == Some(origin.channel)
                && (session.address.is_some() || session.peer.1 == peer)
                && session.description.as_ref().is_some_and(|description| description.salt == salt)
        })
    }
}
