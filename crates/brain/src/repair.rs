//! Repair, the side that begins: compares sets with neighbours, and exchanges the records that differ.
//!
//! Usually one comparison is under way, because others would bring the same records. If it brings few records, another
//! one begins with another host. So a peer that answers slowly or lies cannot keep this node from its
//! other neighbours.
//!
//! A sketch finds the difference (see the crate `sketch`). This node sends symbols of its set. The other side finds the
//! difference, names the records that it lacks, and sends the records that this node lacks. When few records are
//! missing, the two sides do so on the network itself, where all listeners benefit. When more are missing, they use a
//! link.

mod giving;
mod pace;
mod progress;
mod symbols;

use crate::Now;
use crate::neighbours::{NeighbourId, slowdown};
use crate::node::Node;
use crate::origin::Origin;
use crate::reach::NamedBy;
use crate::replica::Verdict;
use dcache::{PeerId, Time};
use pace::{Host, Pace};
use rand::RngExt as _;
use routing::{ChannelCommand, ChannelId, Sketch};
use sketch::Encoder;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use telemetry::metrics;

/// Maximum number of attempts to send a step on a network.
const TRIES: u32 = 4;
/// Maximum duration of a comparison on a network, in round trips of that network.
const LONGEST_ON_NETWORK: u32 = 40;
/// Maximum duration of a comparison over a link, in repair timeouts.
const LONGEST_OVER_LINK: u32 = 30;
/// Maximum number of comparisons at a time, each with another host.
const MAX_SESSIONS: usize = 4;
/// Maximum number of hosts for which the start of the last comparison is kept.
const MAX_HOSTS: usize = 256;

/// Number of a comparison that this node began.
type SessionId = u64;

/// A comparison that this node began.
#[derive(Debug)]
struct Session {
    peer: NeighbourId,
    host: Host,
    /// Address at which the neighbour takes links, if the comparison is over a link.
    address: Option<SocketAddr>,
    /// The network, or the link once it is up.
    channel: Option<ChannelId>,
    description: Option<Description>,
    /// Time at which the comparison is given up if it made no progress, or at which its last step is tried again.
    deadline: Duration,
    tries: u32,
    /// Time at which the comparison ends in any case.
    ends: Duration,
    pace: Pace,
    /// Number of records that it brought.
    gained: u64,
    /// Number of records that the other side wanted over a link.
    wanted: u64,
    /// Whether the other side has sent all records that this node lacks.
    is_complete: bool,
    /// Whether this node has sent all records that the other side lacks.
    is_given: bool,
    /// Whether it brought records that wait here for the rate limits of their signers.
    is_limited: bool,
}

/// The description of this node's set that was sent to the other side.
#[derive(Debug)]
struct Description {
    salt: u64,
    bound: Time,
    count: u64,
    encoder: Encoder,
    /// The line sent last, kept for retransmission.
    last: Option<Sketch>,
}

impl Session {
    fn wake(&self) -> Duration {
        self.deadline.min(self.ends)
    }
}

/// The comparisons that this node begins.
#[derive(Debug, Default)]
pub(crate) struct Comparisons {
    sessions: BTreeMap<SessionId, Session>,
    /// Number of the last comparison.
    last: SessionId,
    /// Start of the last comparison with each host.
    hosts: BTreeMap<Host, Duration>,
    /// Time of the next checkup, a comparison that no beacon asks for.
    next_checkup: Duration,
}

impl Comparisons {
    /// Returns the time of the next call to [`Self::run`].
    pub(crate) fn next_wake(&self, node: &Node) -> Option<Duration> {
        let sessions = self.sessions.values().map(Session::wake).min();
        let next = self.next_planned(node).map(|at| at.max(self.another_at()));
        let checkup = self.sessions.is_empty().then_some(self.next_checkup);
        [sessions, next, checkup].into_iter().flatten().min()
    }

    /// Returns the time of the next planned comparison, if another one may begin beside those under way.
    fn next_planned(&self, node: &Node) -> Option<Duration> {
        if self.sessions.len() >= MAX_SESSIONS {
            return None;
        }
        let mut planned = node.neighbours.planned();
        planned.find(|(_, id)| !self.is_busy(Host::of(node, *id))).map(|(at, _)| at)
    }

    /// Handles everything that is due: ends comparisons or tries their last steps again, and begins the next
    /// comparisons.
    pub(crate) fn run(&mut self, node: &mut Node, now: Now) {
        let late = self.sessions.iter().filter(|(_, session)| session.wake() <= now.elapsed);
        let late: Vec<SessionId> = late.map(|(id, _)| *id).collect();
        for id in late {
            self.late(node, now, id);
        }
        while let Some(id) = self.next_due(node, now) {
            self.compare_if_needed(node, now, id);
        }
        if self.sessions.is_empty() && self.next_checkup <= now.elapsed {
            self.check_up(node, now);
        }
    }

    /// Returns the time at which another comparison may begin beside those under way.
    fn another_at(&self) -> Duration {
        self.sessions.values().map(|session| session.pace.slow_at()).max().unwrap_or_default()
    }

    fn is_busy(&self, host: Host) -> bool {
        self.sessions.values().any(|session| session.host == host)
    }

    /// Returns the neighbour to compare with now. Of the neighbours that are due, prefers one of the host that was
    /// compared with least recently. So a host with many names gets no more turns than other hosts.
    fn next_due(&self, node: &Node, now: Now) -> Option<NeighbourId> {
        if self.sessions.len() >= MAX_SESSIONS || self.another_at() > now.elapsed {
            return None;
        }
        let due = node.neighbours.planned().take_while(|(at, _)| *at <= now.elapsed);
        let turns = due.map(|(at, id)| (Host::of(node, id), at, id));
        let free = turns.filter(|(host, ..)| !self.is_busy(*host));
        let (.., id) = free.min_by_key(|(host, at, id)| (self.hosts.get(host).copied(), *at, *id))?;
        Some(id)
    }

    /// Compares with a random neighbour at intervals, whatever beacons show, because beacons may lie. With many
    /// neighbours, each node does so more rarely, so that the total work of all nodes does not grow with their number.
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

    /// Compares with a neighbour whose beacon differed, unless the difference has vanished meanwhile.
    fn compare_if_needed(&mut self, node: &mut Node, now: Now, id: NeighbourId) {
        let round_trip = node.channels.round_trip(id.0);
        let last_change = node.replica.last_change().unwrap_or_default();
        node.neighbours.plan(id, None);
        let Some(neighbour) = node.neighbours.get(&id) else { return };
        let (shown, line) = (neighbour.shown, neighbour.link(now.elapsed));
        let Some(shown) = shown.filter(|_| !neighbour.is_backed_off(now.elapsed)) else { return };
        let beacon = shown.beacon;
        if node.replica.judge(now, &beacon).0 != Verdict::Different {
            return;
        }
        // While records keep coming in, the missing records are likely to be on their way.
        if last_change + round_trip / 2 > now.elapsed && shown.at + round_trip * 5 > now.elapsed {
            return node.neighbours.plan(id, Some(now.elapsed + round_trip / 2));
        }
        let missing = beacon.fingerprint.count.abs_diff(node.replica.fingerprint(beacon.bound).count);
        match line {
            Some(_) if missing > node.settings.few => self.begin_over_link(node, now, id),
            _ => self.begin_on_network(node, now, id),
        }
    }

    fn begin(
        &mut self,
        node: &mut Node,
        now: Now,
        peer: NeighbourId,
        address: Option<SocketAddr>,
    ) -> SessionId {
        node.count(&metrics::BRAIN_COMPARISONS_STARTED);
        let timeout = node.settings.repair_timeout;
        let (channel, wait, longest) = match address {
            Some(_) => (None, timeout, timeout * LONGEST_OVER_LINK),
            None => (Some(peer.0), Duration::ZERO, node.channels.round_trip(peer.0) * LONGEST_ON_NETWORK),
        };
        let host = Host::of(node, peer);
        self.note_turn(host, now.elapsed);
        self.last += 1;
        let session = Session {
            peer,
            host,
            address,
            channel,
            description: None,
            deadline: now.elapsed + wait,
            tries: 0,
            ends: now.elapsed + longest,
            pace: Pace::begin(now.elapsed),
            gained: 0,
            wanted: 0,
            is_complete: false,
            is_given: true,
            is_limited: false,
        };
        self.sessions.insert(self.last, session);
        self.last
    }

    fn note_turn(&mut self, host: Host, elapsed: Duration) {
        if self.hosts.len() >= MAX_HOSTS
            && let Some((&oldest, _)) = self.hosts.iter().min_by_key(|(_, at)| **at)
        {
            self.hosts.remove(&oldest);
        }
        self.hosts.insert(host, elapsed);
    }

    fn begin_on_network(&mut self, node: &mut Node, now: Now, id: NeighbourId) {
        let session = self.begin(node, now, id, None);
        self.send_sketch(node, now, session);
    }

    fn begin_over_link(&mut self, node: &mut Node, now: Now, id: NeighbourId) {
        let line = node.neighbours.get(&id).and_then(|neighbour| neighbour.link(now.elapsed));
        let Some(address) = line else { return };
        if node.dial(now, address, NamedBy::Others) {
            self.begin(node, now, id, Some(address));
            return;
        }
        // Too many links to that host failed lately, so the next comparison uses the network.
        node.neighbours.link_failed(id, now.elapsed);
    }

    /// Begins to compare over a link that came up. Closes the link if the comparison was given up meanwhile.
    pub(crate) fn link_is_up(&mut self, node: &mut Node, now: Now, id: ChannelId, address: SocketAddr) {
        let waits = |session: &Session| session.address == Some(address) && session.channel.is_none();
        match self.sessions.iter_mut().find(|(_, session)| waits(session)) {
            Some((&number, session)) => {
                session.channel = Some(id);
                self.send_sketch(node, now, number);
            }
            None => node.command(ChannelCommand::Close { channel: id }),
        }
    }

    /// Returns the comparison under way to which a step with this salt belongs.
    fn session_of(&self, origin: Origin, peer: PeerId, salt: u64) -> Option<SessionId> {
        let is_of = |session: &Session| {
            session.channel == Some(origin.channel)
                && (session.address.is_some() || session.peer.1 == peer)
                && session.description.as_ref().is_some_and(|description| description.salt == salt)
        };
        self.sessions.iter().find(|(_, session)| is_of(session)).map(|(id, _)| *id)
    }
}
