//! Time of day, for a robot whose clock has no battery.
//!
//! A robot may start with a clock that shows 1970, or the time at which it was switched off. A node does not trust its
//! clock while the clock is behind the *floor*, a time that is known to have passed. The floor is the latest of these
//! times, each plus the time that has passed in this run since:
//!
//! - the time at which the program was built;
//! - the newest times signed by peers with a role;
//! - the time that this clock itself once showed for a while, which is saved across restarts.
//!
//! A signed time counts while this node's own clock shows the same time or a later one. It also counts while more than
//! half of the present peers with a role have signed it, or while an admin and another peer with a role have signed it.
//! A peer that does not know the time itself says so in the [validity](crate::Validity::doubted), and its signed time does
//! not count. So neither a single wrong clock nor a few robots of a class can move the time of the swarm forward. While
//! the own clock is behind the floor, the time is *unknown*. The node then relays and stores records, judges by the
//! floor, and accepts no new authority.
//!
//! A node cannot tell a clock that is ahead from a correct clock. Until the clock is corrected, valid records seem to
//! be expired, but the node must not drop them. Expired records are therefore dropped only by a *settled* time: one
//! that the own clock has shown, without a jump, for a while. Times signed by other peers do not make a time settled,
//! and are not saved. If the clock shows an earlier time than before, without a jump and for a longer time, then it was
//! wrong before. The floor then no longer includes the time that it showed before.
//!
//! While the time is unknown, the clocks of the neighbours give a better guess than the floor. They are not signed, so
//! the guess is used only for deciding which records count. No record is dropped because of it, and it is not saved. It
//! ends when the own clock is set, and times signed by peers with a role take precedence over it. In a swarm without
//! roles, several neighbours also outvote a clock that is far behind theirs, because clocks without a battery are
//! behind and hardly ever ahead.
//!
//! Neighbours in such a swarm are strangers, and one host can use several addresses and names. So they outvote only a
//! clock that may have no battery. A clock is not outvoted any more once there is evidence that it is right. It was set
//! while the program ran, or several neighbours agreed with it for ten minutes, or the operating system knows that it is
//! set.

mod evidence;
mod votes;

use crate::{Moment, Time};
use evidence::Evidence;
use std::time::Duration;
pub use votes::SignedTime;
use votes::Votes;

/// Maximum difference, in seconds, between two clocks of which neither counts as wrong.
const TOLERANCE: u64 = 60;
/// Time for which a clock must run without a jump until the time that it shows is settled.
const SETTLING: Duration = Duration::from_secs(600);
/// Time for which a clock must run without a jump until it is trusted, if it contradicts only the time that it showed
/// earlier.
const INSISTING: Duration = Duration::from_secs(3600);
/// Maximum time, in seconds, by which a guess may be later than the floor: ten years. No program is used for longer
/// without an update, so a later time is false and is ignored.
const MAX_GUESS: u64 = 10 * 365 * 24 * 3600;
/// Time, in seconds, by which a clock must be behind the clocks of the neighbours to be outvoted. Smaller differences
/// do not matter, because statements begin to hold early enough: see [`crate::CLOCK_LEEWAY`].
const OUTVOTED: u64 = 20 * 60;
/// Interval at which the clocks of the neighbours are read while the time is known.
const HEAR_EVERY: Duration = Duration::from_secs(5);
/// Maximum difference, in seconds, to the clocks of the neighbours for which the validity of statements is extended: a
/// day. With a higher limit, a peer that sends false times could make statements last too long.
const MAX_ALLOWED_FOR: u64 = 24 * 3600;

/// Time of day by the clocks of the neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourTime {
    /// Median of the times that the neighbours' clocks show.
    pub time: Time,
    /// Number of robots whose clocks were read, as far as they can be told apart.
    pub hosts: usize,
    /// Whether no peer has a role in this swarm. In a swarm with roles, unsigned times are used only as the guess of a
    /// node that does not know the time.
    pub is_open: bool,
}

/// Minimum number of hosts whose clocks outvote a clock that is far behind theirs. A single host may itself be wrong.
const OUTVOTING: usize = 2;

/// A time of day, and the time since start at which it was noted.
#[derive(Clone, Copy, Debug)]
struct Mark {
    time: Time,
    at: Duration,
}

impl Mark {
    /// Returns the time that a clock shows at `elapsed` if it has run without a jump since the mark.
    fn run_on(self, elapsed: Duration) -> Time {
        self.time.plus(elapsed.saturating_sub(self.at).as_secs())
    }

    /// Returns whether a clock that shows `time` at `elapsed` has run on since the mark, without a jump.
    fn fits(self, time: Time, elapsed: Duration) -> bool {
        let expected = self.run_on(elapsed);
        time <= expected.plus(TOLERANCE) && expected <= time.plus(TOLERANCE)
    }
}

/// Derives the time from the wall clock, signed times and the neighbours' clocks. The caller passes in all readings.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Floor by the build time of the program.
    built: Mark,
    /// Floor by the times that other peers have signed, while enough of them have.
    learned: Option<Mark>,
    /// Floor by the time that this clock showed earlier.
    shown: Mark,
    settled: Mark,
    /// First reading of the clock after a jump forward; `None` while the clock is settled.
    unsettled: Option<Mark>,
    /// First reading of the clock after it fell behind the time that it showed earlier, while it contradicts nothing
    /// else.
    insisting: Option<Mark>,
    evidence: Evidence,
    /// Last reading of the neighbours' clocks, with the time since start at which it was made.
    heard: Option<(NeighbourTime, Duration)>,
    next_hearing: Duration,
}

impl Clock {
    /// Creates a clock from the build time of the program and the floor that an earlier run saved.
    pub fn new(built: Time, saved: Option<Time>, elapsed: Duration) -> Self {
        let [built, shown] = [built, saved.unwrap_or_default()].map(|time| Mark { time, at: elapsed });
        let settled = Mark { time: built.time.max(shown.time), at: elapsed };
        Self {
            built,
            learned: None,
            shown,
            settled,
            unsettled: None,
            insisting: None,
            evidence: Evidence::default(),
            heard: None,
            next_hearing: Duration::ZERO,
        }
    }

    /// Returns whether the caller should now call [`Clock::hear`].
    pub fn is_to_hear(&self, elapsed: Duration) -> bool {
        elapsed >= self.next_hearing
    }

    /// Notes the time that the clocks of the neighbours show; `None` if no neighbour shows a time.
    pub fn hear(&mut self, shown: Option<NeighbourTime>, elapsed: Duration) {
        self.heard = shown.map(|shown| (shown, elapsed));
        self.next_hearing = elapsed + HEAR_EVERY;
    }

    /// Returns the time of day by the clocks of the neighbours at `elapsed`.
    fn heard(&self, elapsed: Duration) -> Option<NeighbourTime> {
        let (shown, at) = self.heard?;
        let time = Mark { time: shown.time, at }.run_on(elapsed);
        Some(NeighbourTime { time, ..shown })
    }

    /// Returns the time of day by the clocks of the neighbours at `elapsed`, or `None` if it is not plausible.
    fn guess(&self, elapsed: Duration) -> Option<NeighbourTime> {
        let floor = self.floor(elapsed);
        let is_possible = |heard: &NeighbourTime| heard.time > floor && heard.time <= floor.plus(MAX_GUESS);
        self.heard(elapsed).filter(|heard| self.learned.is_none() && is_possible(heard))
    }

    /// Returns the floor at `elapsed`.
    fn floor(&self, elapsed: Duration) -> Time {
        let learned = self.learned.map_or(Time::default(), |learned| learned.run_on(elapsed));
        self.own_floor(elapsed).max(learned)
    }

    /// Returns the floor without the times of other peers. The caller saves it.
    pub fn own_floor(&self, elapsed: Duration) -> Time {
        self.built.run_on(elapsed).max(self.shown.run_on(elapsed))
    }

    /// Returns the time as this node knows it, when the wall clock shows `wall` and this run has lasted for `elapsed`.
    pub fn read(&mut self, wall: Time, elapsed: Duration) -> Moment {
        self.hear_insisting(wall, elapsed);
        let floor = self.floor(elapsed);
        let is_possible = wall.plus(TOLERANCE) >= floor;
        if is_possible {
            self.evidence.note(wall, self.heard(elapsed), elapsed);
        }
        let guess = self.guess(elapsed);
        let is_certain = is_possible && !self.is_outvoted(wall, elapsed);
        let own = if is_possible { wall } else { floor };
        // Times signed by other peers do not count as shown by this node's clock.
        let own_floor = self.own_floor(elapsed);
        let shown = if wall.plus(TOLERANCE) >= own_floor { wall } else { own_floor };
        self.settle(shown, elapsed);
        let settled = own.min(shown).min(self.settled.run_on(elapsed));
        if is_certain {
            if settled > self.shown.run_on(elapsed) {
                self.shown = Mark { time: settled, at: elapsed };
            }
            let neighbours = self.neighbours(own, elapsed);
            return Moment { time: own, settled, is_certain, neighbours };
        }
        if guess.is_none() {
            // The next line from a neighbour may name a time.
            self.next_hearing = elapsed;
        }
        let time = guess.map_or(own, |guess| guess.time.max(own));
        Moment { time, settled, is_certain, neighbours: time }
    }

    /// Returns whether the clocks of the neighbours outvote the own one, which shows `wall` at `elapsed`.
    pub fn is_outvoted(&self, wall: Time, elapsed: Duration) -> bool {
        let outvotes = |guess: &NeighbourTime| {
            guess.is_open && guess.hosts >= OUTVOTING && wall.plus(OUTVOTED) < guess.time
        };
        !self.evidence.is_right() && self.guess(elapsed).as_ref().is_some_and(outvotes)
    }

    /// Notes that the operating system knows the clock to be right. The neighbours do not outvote it any more in this
    /// run.
    pub fn confirm(&mut self) {
        self.evidence.confirm();
    }

    fn neighbours(&self, time: Time, elapsed: Duration) -> Time {
        // In a swarm with roles, the validity of a peer's presence also gives the time of signing. So unsigned times
        // must not change it.
        let heard = self.heard(elapsed).filter(|heard| heard.is_open).map(|heard| heard.time);
        let is_apart = |heard: &Time| (TOLERANCE + 1..=MAX_ALLOWED_FOR).contains(&heard.0.abs_diff(time.0));
        heard.filter(is_apart).unwrap_or(time)
    }

    /// Gives up the time that the clock showed earlier, once the clock has contradicted it for long enough.
    fn hear_insisting(&mut self, wall: Time, elapsed: Duration) {
        let known = wall.plus(TOLERANCE);
        let by_others = self.learned.unwrap_or(self.built).run_on(elapsed).max(self.built.run_on(elapsed));
        if known < by_others || known >= self.shown.run_on(elapsed) {
            self.insisting = None;
            return;
        }
        let now = Mark { time: wall, at: elapsed };
        let since = self.insisting.filter(|since| since.fits(wall, elapsed)).unwrap_or(now);
        self.insisting = Some(since);
        if elapsed.saturating_sub(since.at) >= INSISTING {
            self.shown = now;
        }
    }

    fn settle(&mut self, time: Time, elapsed: Duration) {
        let shown = Mark { time, at: elapsed };
        if time <= self.settled.run_on(elapsed).plus(TOLERANCE) {
            // The clock ran without a jump, or was set back. Neither makes a record expire too early.
            self.settled = shown;
            self.unsettled = None;
            return;
        }
        let since = self.unsettled.filter(|since| since.fits(time, elapsed)).unwrap_or(shown);
        self.unsettled = Some(since);
        if elapsed.saturating_sub(since.at) >= SETTLING {
            self.settled = shown;
            self.unsettled = None;
        }
    }

    /// Counts the times that peers with a role have signed, one for each peer, and returns whether they raised the
    /// floor. The caller leaves out this node's own statements, because they only repeat its own clock.
    pub fn witness(
        &mut self,
        signed: impl IntoIterator<Item = SignedTime>,
        wall: Time,
        elapsed: Duration,
    ) -> bool {
        let votes = Votes::new(signed, self.own_floor(elapsed), wall);
        if self.learned.is_some_and(|learned| !votes.carry(learned.time)) {
            self.learned = None;
        }
        match votes.latest() {
            Some(latest) if latest > self.floor(elapsed) => {
                self.learned = Some(Mark { time: latest, at: elapsed });
                true
            }
            _ => false,
        }
    }

    /// Returns the time signed by other peers, if this node uses it although its own clock shows an earlier one.
    pub fn learned(&self, wall: Time, elapsed: Duration) -> Option<Time> {
        let learned = self.learned?.run_on(elapsed);
        (learned > wall.plus(TOLERANCE)).then_some(learned)
    }
}

#[cfg(test)]
mod tests;
