//! Reads the clocks of neighbours. Asks for the time while this node does not know it, and reports when this node's
//! clock is far from theirs.

use crate::Now;
use crate::node::Node;
use crate::origin::Origin;
use dcache::{NeighbourTime, PeerId, Time, Validity};
use routing::{ChannelId, Envelope, Message, Target};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use telemetry::{FaultReport, faults, report};

/// Name under which a wrong clock is listed among the troubles.
const CLOCK: &str = "clock";
/// Time for which the clock of a neighbour is used after it was heard.
const REMEMBERED: Duration = Duration::from_secs(15 * 60);
/// Shortest and longest interval between questions for the time.
const ASK_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Difference, in seconds, between this node's clock and those of its neighbours above which a fault is reported.
/// Statements begin early enough that a smaller difference does not matter.
const MAX_DIFFERENCE: u64 = 20 * 60;

/// Maximum number of clocks that are remembered. When the table is full, further clocks are ignored until others have not
/// been heard for [`REMEMBERED`], so that a host with many addresses displaces no other host.
const MAX_CLOCKS: usize = 256;

/// The place at which a clock was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// A host, whatever names it uses.
    Host(IpAddr),
    /// A peer on a channel that does not tell its hosts.
    Peer(ChannelId, PeerId),
}

/// Time of day that a clock showed, and the time since start at which it was heard.
#[derive(Clone, Copy, Debug)]
struct ShownTime {
    time: Time,
    at: Duration,
    /// Name that the host used last.
    peer: PeerId,
    channel: ChannelId,
}

impl ShownTime {
    /// Returns the time that the clock shows at `elapsed`.
    fn run_on(&self, elapsed: Duration) -> Time {
        self.time.plus(elapsed.saturating_sub(self.at).as_secs())
    }
}

/// The clocks of the neighbours.
#[derive(Debug, Default)]
pub(crate) struct ShownTimes(BTreeMap<Place, ShownTime>);

impl ShownTimes {
    fn note(&mut self, place: Place, shown: ShownTime) {
        if self.0.len() >= MAX_CLOCKS && !self.0.contains_key(&place) {
            self.0.retain(|_, old| old.at + REMEMBERED > shown.at);
        }
        if self.0.len() < MAX_CLOCKS || self.0.contains_key(&place) {
            self.0.insert(place, shown);
        }
    }

    /// Removes the clocks that were read on a channel that is gone.
    pub(crate) fn drop_channel(&mut self, channel: ChannelId) {
        self.0.retain(|_, shown| shown.channel != channel);
    }

    /// Returns one time for each voter, of the clocks of hosts that were heard at `since` or later, and of all remembered
    /// clocks on channels that do not tell their hosts.
    ///
    /// An address has one vote, and so has a peer: a robot with two interfaces counts once. A host that uses the name of
    /// another one does not replace the vote of the other, it shares it. On a channel that does not tell its hosts, all
    /// peers that are not heard elsewhere have one vote together.
    fn votes(&self, elapsed: Duration, since: Duration) -> Vec<Time> {
        let remembered = elapsed.saturating_sub(REMEMBERED);
        let mut of_hosts: BTreeMap<PeerId, Vec<Time>> = BTreeMap::new();
        for (place, shown) in &self.0 {
            if let Place::Host(_) = place
                && shown.at >= since.max(remembered)
            {
                of_hosts.entry(shown.peer).or_default().push(shown.run_on(elapsed));
            }
        }
        let mut of_channels: BTreeMap<ChannelId, Vec<Time>> = BTreeMap::new();
        for (place, shown) in &self.0 {
            if let Place::Peer(channel, peer) = place
                && shown.at >= remembered
                && !of_hosts.contains_key(peer)
            {
                of_channels.entry(*channel).or_default().push(shown.run_on(elapsed));
            }
        }
        of_hosts.into_values().chain(of_channels.into_values()).filter_map(middle).collect()
    }
}

/// Asks neighbours for the time while it is not known.
#[derive(Debug, Default)]
pub(crate) struct ClockQuery {
    next: Duration,
    /// Interval between the next question and the one after it; zero while there is nothing to ask.
    wait: Duration,
}

impl ClockQuery {
    /// Sends a ping on each network when a question is due. Each neighbour answers with a pong whose validity starts at
    /// the neighbour's own time.
    pub(crate) fn run(&mut self, node: &mut Node, now: Now) {
        let networks = node.channels.networks();
        if now.moment.is_certain || networks.is_empty() || node.neighbour_time(now.elapsed).is_some() {
            *self = Self::default();
            return;
        }
        if now.elapsed < self.next {
            return;
        }
        self.wait = (self.wait * 2).clamp(ASK_EVERY.0, ASK_EVERY.1);
        self.next = now.elapsed + self.wait;
        for id in networks {
            let Some(channel) = node.channels.get(id) else { continue };
            let question = Message::ping(Validity::ALWAYS);
            let envelope = Envelope::new(node.own_address(channel), node.everybody.clone(), question);
            node.send(now, id, Target::All, &envelope);
        }
    }

    /// Returns when the next question is due.
    pub(crate) fn next_wake(&self) -> Option<Duration> {
        (!self.wait.is_zero()).then_some(self.next)
    }
}

impl Node {
    /// Notes the time that the clock of a neighbour shows: the start of a message that is of use only now. A node that
    /// does not know the time names no start.
    pub(crate) fn note_clock(&mut self, now: Now, origin: Origin, peer: PeerId, validity: &Validity) {
        let Some(neighbour) = self.neighbours.get(&(origin.channel, peer)) else { return };
        let source = neighbour.source.map(|source| source.ip());
        let place = source.map_or(Place::Peer(origin.channel, peer), Place::Host);
        match validity.from() {
            Some(time) => {
                let shown = ShownTime { time, at: now.elapsed, peer, channel: origin.channel };
                self.clocks.note(place, shown);
            }
            None => {
                self.clocks.0.remove(&place);
            }
        }
    }

    /// Returns the time that the clocks of neighbours show at `elapsed`. Each robot has one vote, however many names and
    /// addresses it uses, as far as this node can tell.
    pub(crate) fn neighbour_time(&self, elapsed: Duration) -> Option<NeighbourTime> {
        let votes = self.clocks.votes(elapsed, Duration::ZERO);
        let (hosts, is_open) = (votes.len(), self.replica.set().policy().roots().is_empty());
        middle(votes).map(|time| NeighbourTime { time, hosts, is_open })
    }

    /// Returns the number of robots whose clocks were heard within `age`. On channels that do not tell their hosts, where
    /// beacons are rare, a clock counts for as long as it is remembered.
    pub(crate) fn clocks_heard(&self, elapsed: Duration, age: Duration) -> usize {
        self.clocks.votes(elapsed, elapsed.saturating_sub(age)).len()
    }

    /// Notes whether this node's clock is wrong, or far from those of its neighbours.
    pub(crate) fn check_clock(&mut self, now: Now) {
        let fault = clock_fault(now, self.neighbour_time(now.elapsed));
        self.troubles.note(CLOCK.to_owned(), fault, now.elapsed);
    }
}

/// Returns the median time. If the number of times is even, returns the earlier of the two in the middle.
fn middle(mut times: Vec<Time>) -> Option<Time> {
    times.sort_unstable();
    times.get(times.len().saturating_sub(1) / 2).copied()
}

fn clock_fault(now: Now, neighbours: Option<NeighbourTime>) -> Option<FaultReport> {
    let time = now.moment.time;
    match neighbours {
        None if now.moment.is_certain => None,
        None => Some(report!(faults::CLOCK_UNKNOWN, time = time.date())),
        Some(_) if !now.moment.is_certain => Some(report!(faults::CLOCK_UNSET, time = time.date())),
        Some(theirs) => {
            let difference = theirs.time.0.abs_diff(time.0);
            let side = if theirs.time < time { "ahead of" } else { "behind" };
            let is_far = difference > MAX_DIFFERENCE;
            is_far.then(|| report!(faults::CLOCK_DIFFERS, difference = span(difference), side = side))
        }
    }
}

/// Formats a span of time for people.
fn span(seconds: u64) -> String {
    match seconds {
        0..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::Moment;

    const NOW: Time = Time(1_800_000_000);

    #[test]
    fn the_median_time_is_that_of_the_majority() {
        let middle = |times: &[u64]| middle(times.iter().copied().map(Time).collect()).map(|time| time.0);
        assert_eq!(middle(&[]), None);
        assert_eq!(middle(&[7]), Some(7));
        assert_eq!(
            middle(&[9, 7]),
            Some(7),
            "a liar that names a late time does not win against one honest node"
        );
        assert_eq!(middle(&[4_000, 7, 8]), Some(8));
    }

    #[test]
    fn a_clock_that_is_far_off_is_reported_with_the_difference() {
        let fault = |ahead: i64, is_certain, heard: bool| {
            let moment = Moment { is_certain, ..Moment::certain(NOW) };
            let theirs = Time(NOW.0.saturating_add_signed(-ahead));
            let heard = heard.then_some(NeighbourTime { time: theirs, hosts: 2, is_open: true });
            clock_fault(Now { moment, elapsed: Duration::ZERO }, heard).map(|fault| fault.message())
        };
        assert_eq!(fault(1200, true, true), None);
        assert_eq!(fault(0, true, false), None);
        assert!(fault(1500, true, true).unwrap().contains("25 min ahead of"));
        assert!(fault(-3 * 3600, true, true).unwrap().contains("3 h behind"));
        assert!(fault(0, false, false).unwrap().contains("2027-01-15"));
        assert!(fault(0, false, true).unwrap().contains("neighbours"));
    }
}
