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

/// Time of day that the clock of a neighbour showed, and the time since start at which it was heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShownTime {
    time: Time,
    at: Duration,
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
        let shown = validity.from().map(|time| ShownTime { time, at: now.elapsed });
        if let Some(neighbour) = self.neighbours.get_mut(&(origin.channel, peer)) {
            neighbour.clock = shown;
        }
    }

    /// Returns the time that the clocks of neighbours show at `elapsed`. Each host has one vote, however many names it
    /// uses. On a channel that does not tell its hosts, all peers together have one vote.
    pub(crate) fn neighbour_time(&self, elapsed: Duration) -> Option<NeighbourTime> {
        let mut hosts: BTreeMap<(Option<IpAddr>, Option<ChannelId>), Vec<Time>> = BTreeMap::new();
        for ((channel, _), neighbour) in self.neighbours.all() {
            let shown = neighbour.clock.filter(|shown| shown.at + REMEMBERED > elapsed);
            let Some(ShownTime { time, at }) = shown else { continue };
            let host = neighbour.source.map(|source| source.ip());
            let time = time.plus(elapsed.saturating_sub(at).as_secs());
            hosts.entry((host, host.is_none().then_some(*channel))).or_default().push(time);
        }
        let votes: Vec<Time> = hosts.into_values().filter_map(middle).collect();
        let (hosts, is_open) = (votes.len(), self.replica.set().policy().roots().is_empty());
        middle(votes).map(|time| NeighbourTime { time, hosts, is_open })
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
