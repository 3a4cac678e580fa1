//! What time it is, for a robot whose clock has no battery.
//!
//! Robots start with clocks that show 1970, or the time at which they were switched off. No clock is believed that is
//! behind the *floor*, a time that has passed. The floor is the latest of: when the program was built; the
//! newest times signed by peers with a role; what this clock itself once showed for a while, saved over restarts; and
//! whatever of this run has passed since. A signed time counts when this node's own clock agrees, or when more than half of
//! the peers with a role that are there have signed it, or an admin and another one; and only for as long as that is so. So
//! no single clock, however wrong, and no few robots of a class make the swarm older than it is. While the own clock is
//! behind the floor the time is *unknown*: the node relays and stores, judges by the floor, and accepts no new authority.
//!
//! A clock that is ahead looks like any other. It makes a node blind to what holds, until it is set right; but what
//! the node remembers must survive that. So what is over is forgotten only by a *settled* time, one that
//! the own clock has shown, without a jump, for a while: what others have signed settles nothing, and is not saved. And when the clock has shown an earlier time than it once did,
//! steadily and for longer, then it was wrong before: that part of the floor is given up.
//!
//! Where the time is unknown, what the clocks of neighbours show is a guess, and a better one than the floor. It is not
//! signed, so it is used for judging alone: nothing is forgotten by it, it is not saved, it ends when the own clock is
//! set, and the times signed by peers with a role outrank it. In a swarm in which nobody has a role, several neighbours
//! also outvote a clock that is far behind theirs: clocks without a battery are behind, hardly ever ahead.

mod votes;

use crate::{Moment, Time};
use std::time::Duration;
pub use votes::SignedTime;
use votes::Votes;

/// How far clocks differ, and a running clock is corrected, without any being wrong: in seconds.
const TOLERANCE: u64 = 60;
/// How long a clock must run on without a jump until what it shows is settled.
const SETTLING: Duration = Duration::from_secs(600);
/// How long a clock must run on that contradicts only what it showed itself, until it is believed.
const INSISTING: Duration = Duration::from_secs(3600);
/// How many seconds later than the floor a guess may be: ten years. A program is not used for longer without an update,
/// and a liar who names a later time is not heard.
const MAX_GUESS: u64 = 10 * 365 * 24 * 3600;
/// How many seconds a clock has to be behind those of the neighbours to be outvoted. Statements begin to hold early
/// enough that less does not matter: see [`crate::CLOCK_LEEWAY`].
const OUTVOTED: u64 = 20 * 60;
/// How often it is looked at what the clocks of neighbours show, while the time is known.
const HEAR_EVERY: Duration = Duration::from_secs(5);
/// The largest difference, in seconds, to the clocks of neighbours that is allowed for in statements: a day. More would let
/// a liar make statements last for too long.
const MAX_ALLOWED_FOR: u64 = 24 * 3600;

/// Time of day by the clocks of neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourTime {
    /// The time in the middle of those that they show.
    pub time: Time,
    /// Number of hosts whose clocks they are.
    pub hosts: usize,
    /// Whether nobody has a role in this swarm. Where some have, what is not signed decides nothing but the guess of a node
    /// that does not know the time.
    pub is_open: bool,
}

/// Number of hosts whose clocks outvote one that is far behind theirs. A single one may be wrong itself.
const OUTVOTING: usize = 2;

/// A time, and when it was noted: in time since start.
#[derive(Clone, Copy, Debug)]
struct Mark {
    time: Time,
    at: Duration,
}

impl Mark {
    /// What a clock shows at `elapsed` that showed `time` then and has run on since.
    fn run_on(self, elapsed: Duration) -> Time {
        self.time.plus(elapsed.saturating_sub(self.at).as_secs())
    }

    /// Whether a clock that shows `time` at `elapsed` has run on since, without a jump.
    fn fits(self, time: Time, elapsed: Duration) -> bool {
        let expected = self.run_on(elapsed);
        time <= expected.plus(TOLERANCE) && expected <= time.plus(TOLERANCE)
    }
}

/// Turns what the wall clock shows into what can be known. It reads no clock itself.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The floor by the build.
    built: Mark,
    /// The floor by what others have signed, while enough of them have.
    learned: Option<Mark>,
    /// The floor by what this clock showed earlier.
    shown: Mark,
    settled: Mark,
    /// After a jump forward: the clock as it has been since.
    unsettled: Option<Mark>,
    /// While it is behind what it showed earlier, and behind nothing else: the clock as it has been since.
    insisting: Option<Mark>,
    /// Time of day that the clocks of neighbours showed, with the moment, since start, at which it was read.
    heard: Option<(NeighbourTime, Duration)>,
    next_hearing: Duration,
}

impl Clock {
    /// A clock that knows when the program was built, and which floor an earlier run saved.
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
            heard: None,
            next_hearing: Duration::ZERO,
        }
    }

    /// Whether it is time to [hear](Clock::hear) what the clocks of neighbours show.
    pub fn is_to_hear(&self, elapsed: Duration) -> bool {
        elapsed >= self.next_hearing
    }

    /// Notes what the clocks of neighbours show; `None` when no neighbour shows a time.
    pub fn hear(&mut self, shown: Option<NeighbourTime>, elapsed: Duration) {
        self.heard = shown.map(|shown| (shown, elapsed));
        self.next_hearing = elapsed + HEAR_EVERY;
    }

    /// Time of day by the clocks of neighbours at `elapsed`.
    fn heard(&self, elapsed: Duration) -> Option<NeighbourTime> {
        let (shown, at) = self.heard?;
        let time = Mark { time: shown.time, at }.run_on(elapsed);
        Some(NeighbourTime { time, ..shown })
    }

    /// Time of day by the clocks of neighbours at `elapsed`; `None` when it is not plausible.
    fn guess(&self, elapsed: Duration) -> Option<NeighbourTime> {
        let floor = self.floor(elapsed);
        let is_possible = |heard: &NeighbourTime| heard.time > floor && heard.time <= floor.plus(MAX_GUESS);
        self.heard(elapsed).filter(|heard| self.learned.is_none() && is_possible(heard))
    }

    /// A time that has passed, as far as this node can tell.
    fn floor(&self, elapsed: Duration) -> Time {
        let learned = self.learned.map_or(Time::default(), |learned| learned.run_on(elapsed));
        self.own_floor(elapsed).max(learned)
    }

    /// A time that has passed, as far as this node can tell without others; to be saved.
    pub fn own_floor(&self, elapsed: Duration) -> Time {
        self.built.run_on(elapsed).max(self.shown.run_on(elapsed))
    }

    /// What is known when the wall clock shows `wall` and this run has lasted for `elapsed`.
    pub fn read(&mut self, wall: Time, elapsed: Duration) -> Moment {
        self.hear_insisting(wall, elapsed);
        let floor = self.floor(elapsed);
        let guess = self.guess(elapsed);
        let is_possible = wall.plus(TOLERANCE) >= floor;
        let is_outvoted = guess.is_some_and(|guess| {
            guess.is_open && guess.hosts >= OUTVOTING && wall.plus(OUTVOTED) < guess.time
        });
        let is_certain = is_possible && !is_outvoted;
        let own = if is_possible { wall } else { floor };
        // What others have signed is nothing that this node's clock has shown.
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
            // The next line may tell.
            self.next_hearing = elapsed;
        }
        let time = guess.map_or(own, |guess| guess.time.max(own));
        Moment { time, settled, is_certain, neighbours: time }
    }

    fn neighbours(&self, time: Time, elapsed: Duration) -> Time {
        // What peers with a role state says when it was signed, so nobody else may change that.
        let heard = self.heard(elapsed).filter(|heard| heard.is_open).map(|heard| heard.time);
        let is_apart = |heard: &Time| (TOLERANCE + 1..=MAX_ALLOWED_FOR).contains(&heard.0.abs_diff(time.0));
        heard.filter(is_apart).unwrap_or(time)
    }

    /// Gives up what the clock showed earlier once it has contradicted that for long.
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
            // As before, or set back, which makes nothing old.
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

    /// Counts the times that peers with a role have signed, one of each, and returns whether they raised the floor. What this
    /// node itself signed is no witness.
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

    /// Returns the time that others have signed, if this node goes by it although its own clock shows an earlier one.
    pub fn learned(&self, wall: Time, elapsed: Duration) -> Option<Time> {
        let learned = self.learned?.run_on(elapsed);
        (learned > wall.plus(TOLERANCE)).then_some(learned)
    }
}

#[cfg(test)]
mod tests;
