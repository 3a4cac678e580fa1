//! What time it is, for a robot whose clock has no battery.
//!
//! Robots start with clocks that show 1970, or the time at which they were switched off. No clock is believed that is
//! behind the *floor*, a time that has certainly passed. The floor is the latest of: when the program was built; the
//! newest times signed by peers with a role; what this clock itself once showed for a while, saved over restarts; and
//! whatever of this run has passed since. A signed time needs a second witness, another such peer or this node's own
//! clock, so that no single clock, however wrong, makes the swarm older than it is. While the own clock is behind the
//! floor the time is *unknown*: the node relays and stores, judges by the floor, and accepts no new authority.
//!
//! A clock that is ahead looks like any other. It makes a node blind to what holds, until it is set right; but what
//! the node remembers must survive that. So what is over is forgotten only by a *settled* time, one that
//! the clock has shown, without a jump, for a while. And when the clock has shown an earlier time than it once did,
//! steadily and for longer, then it was wrong before: that part of the floor is given up.
//!
//! Where the time is unknown, what the clocks of neighbours show is a guess, and a better one than the floor. It is not
//! signed, so it is used for judging alone: nothing is forgotten by it, it is not saved, it ends when the own clock is
//! set, and the times signed by peers with a role outrank it. In a swarm in which nobody has a role, several neighbours
//! also outvote a clock that is far behind theirs: clocks without a battery are behind, hardly ever ahead.

use crate::{Moment, Time};
use std::time::Duration;

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
    /// The floor by the build and by others.
    witnessed: Mark,
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
    /// Whether peers with a role raised the floor in this run.
    is_witnessed: bool,
}

impl Clock {
    /// A clock that knows when the program was built, and what [`Clock::floor`] an earlier run saved.
    pub fn new(built: Time, saved: Option<Time>, elapsed: Duration) -> Self {
        let [witnessed, shown] = [built, saved.unwrap_or_default()].map(|time| Mark { time, at: elapsed });
        let settled = Mark { time: witnessed.time.max(shown.time), at: elapsed };
        Self {
            witnessed,
            shown,
            settled,
            unsettled: None,
            insisting: None,
            heard: None,
            next_hearing: Duration::ZERO,
            is_witnessed: false,
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
        self.heard(elapsed).filter(|heard| !self.is_witnessed && is_possible(heard))
    }

    /// A time that has passed, as far as this node can tell; to be saved.
    pub fn floor(&self, elapsed: Duration) -> Time {
        self.witnessed.run_on(elapsed).max(self.shown.run_on(elapsed))
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
        self.settle(own, elapsed);
        let settled = own.min(self.settled.run_on(elapsed));
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
        if known < self.witnessed.run_on(elapsed) || known >= self.shown.run_on(elapsed) {
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

    /// Raises the floor by times that peers with a role have signed, one of each, and returns whether it rose. What
    /// this node itself signed is no witness.
    pub fn witness(&mut self, signed: impl IntoIterator<Item = Time>, wall: Time, elapsed: Duration) -> bool {
        let mut signed: Vec<Time> = signed.into_iter().collect();
        signed.sort_unstable_by(|one, other| other.cmp(one));
        let by_own_clock = signed.iter().find(|time| **time <= wall.plus(TOLERANCE));
        let by_another = signed.get(1);
        let newest = by_own_clock.into_iter().chain(by_another).max();
        match newest {
            Some(newest) if *newest > self.floor(elapsed) => {
                self.witnessed = Mark { time: *newest, at: elapsed };
                self.is_witnessed = true;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT: Time = Time(1_790_000_000);
    const NOW: Time = Time(1_800_000_000);
    const DAY: u64 = 24 * 3600;

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    fn clock() -> Clock {
        Clock::new(BUILT, None, Duration::ZERO)
    }

    #[test]
    fn a_clock_without_battery_is_not_believed() {
        let mut clock = clock();
        let moment = clock.read(Time(0), minutes(5));
        assert_eq!(moment, Moment { is_certain: false, ..Moment::certain(BUILT.plus(300)) });
        assert!(clock.read(NOW, minutes(6)).is_certain);
        let saved = Clock::new(BUILT, Some(NOW), Duration::ZERO);
        assert_eq!(saved.clone().read(BUILT, Duration::ZERO).time, NOW);
        assert_eq!(saved.floor(minutes(1)), NOW.plus(60));
    }

    #[test]
    fn what_a_clock_shows_settles_after_a_while() {
        let mut clock = clock();
        assert_eq!(clock.read(NOW, Duration::ZERO).settled, BUILT);
        assert_eq!(clock.read(NOW.plus(540), minutes(9)).settled, BUILT.plus(540));
        assert_eq!(clock.read(NOW.plus(600), minutes(10)).settled, NOW.plus(600));
        // Stepped to 2040 and back: nothing was forgotten that should not have been.
        let far = Time(2_209_000_000);
        let ahead = clock.read(far, minutes(11));
        assert_eq!((ahead.time, ahead.settled, ahead.is_certain), (far, NOW.plus(660), true));
        let back = clock.read(NOW.plus(720), minutes(12));
        assert_eq!(back, Moment::certain(NOW.plus(720)));
        assert_eq!(clock.floor(minutes(12)), NOW.plus(720), "and its floor was not raised by that");
    }

    #[test]
    fn what_a_clock_once_showed_is_a_floor_until_it_insists_on_another_time() {
        let far = Time(2_209_000_000);
        let mut clock = clock();
        for minute in 0..20 {
            clock.read(far.plus(60 * minute), minutes(minute));
        }
        let mut again = Clock::new(BUILT, Some(clock.floor(minutes(20))), Duration::ZERO);
        // Without a battery it is in 1970 again, and has no say.
        for minute in 0..120 {
            let moment = again.read(Time(60 * minute), minutes(minute));
            assert_eq!((moment.time, moment.is_certain), (far.plus(60 * (20 + minute)), false));
        }
        // Then it is set, to a time that it might be.
        let set = |minute| NOW.plus(60 * minute);
        for minute in 120..180 {
            assert!(!again.read(set(minute), minutes(minute)).is_certain, "it may have been set wrongly");
        }
        assert!(again.read(set(180), minutes(180)).is_certain);
        assert_eq!(again.floor(minutes(180)), set(180));
    }

    #[test]
    fn a_clock_that_jumps_about_never_settles() {
        let mut clock = clock();
        for minute in 0..60 {
            let moment = clock.read(NOW.plus(minute * DAY), minutes(minute));
            assert_eq!(moment.settled, BUILT.plus(60 * minute));
        }
    }

    #[test]
    fn a_signed_time_needs_a_second_witness() {
        let far = NOW.plus(5000 * DAY);
        let raised = |signed: &[Time], wall| {
            let mut clock = clock();
            clock.witness(signed.iter().copied(), wall, Duration::ZERO);
            clock.floor(Duration::ZERO)
        };
        assert_eq!(raised(&[far], NOW), BUILT, "one wrong clock");
        assert_eq!(raised(&[far], Time(0)), BUILT, "also where the time is unknown");
        assert_eq!(raised(&[far, NOW], Time(0)), NOW, "two agree that it is no earlier than now");
        assert_eq!(raised(&[NOW.plus(30)], NOW), NOW.plus(30), "the own clock agrees");
        assert_eq!(raised(&[Time(5), Time(6)], NOW), BUILT, "old times change nothing");
    }

    #[test]
    fn a_node_that_learns_the_time_from_its_peers_still_does_not_know_it() {
        let mut clock = clock();
        assert!(clock.witness([NOW, NOW.plus(5)], Time(0), minutes(1)));
        let moment = clock.read(Time(60), minutes(1));
        assert_eq!((moment.time, moment.is_certain), (NOW, false));
    }

    fn shown(time: Time, hosts: usize) -> Option<NeighbourTime> {
        Some(NeighbourTime { time, hosts, is_open: true })
    }

    #[test]
    fn a_clock_in_1970_goes_by_those_of_its_neighbours_until_it_is_set() {
        let mut clock = clock();
        assert!(clock.is_to_hear(Duration::ZERO));
        clock.read(Time(5), minutes(1));
        assert!(clock.is_to_hear(minutes(1)), "it is eager");
        clock.hear(shown(NOW, 1), minutes(1));
        let moment = clock.read(Time(65), minutes(2));
        let expected =
            Moment { settled: BUILT.plus(120), is_certain: false, ..Moment::certain(NOW.plus(60)) };
        assert_eq!(moment, expected);
        assert_eq!(clock.floor(minutes(2)), BUILT.plus(120), "nothing of it is saved");
        for minute in 3..100 {
            clock.hear(shown(NOW.plus(60 * minute), 1), minutes(minute));
            let moment = clock.read(Time(60 * minute), minutes(minute));
            assert_eq!(moment.settled, BUILT.plus(60 * minute), "nothing is forgotten by it");
        }
        let set = clock.read(NOW.plus(5990), minutes(100));
        assert_eq!(set, Moment { settled: BUILT.plus(6000), ..Moment::certain(NOW.plus(5990)) });
        clock.hear(None, minutes(101));
        assert_eq!(clock.read(Time(5), minutes(101)).time, BUILT.plus(6060), "nobody tells any more");
    }

    #[test]
    fn neighbours_are_believed_within_bounds() {
        let by = |heard: Time, hosts, wall: Time| {
            let mut clock = clock();
            clock.hear(shown(heard, hosts), Duration::ZERO);
            let moment = clock.read(wall, Duration::ZERO);
            (moment.time, moment.is_certain)
        };
        let year_2099 = Time(4_070_908_800);
        assert_eq!(by(year_2099, 2, Time(0)), (BUILT, false), "nobody runs a program that old");
        assert_eq!(by(BUILT, 2, Time(0)), (BUILT, false), "no earlier than the floor");
        assert_eq!(by(NOW.plus(7200), 2, NOW), (NOW.plus(7200), false), "outvoted");
        assert_eq!(by(NOW.plus(7200), 1, NOW), (NOW, true), "a single neighbour outvotes nobody");
        assert_eq!(by(NOW.plus(1200), 2, NOW), (NOW, true), "statements begin early enough for that");
        assert_eq!(
            by(NOW, 2, NOW.plus(7200)),
            (NOW.plus(7200), true),
            "a clock that is ahead is not set back"
        );
        let mut rooted = clock();
        rooted.hear(Some(NeighbourTime { time: NOW.plus(7200), hosts: 5, is_open: false }), Duration::ZERO);
        assert_eq!(rooted.read(NOW, Duration::ZERO), Moment { settled: BUILT, ..Moment::certain(NOW) });
        let mut clock = clock();
        clock.witness([NOW, NOW.plus(5)], Time(0), Duration::ZERO);
        clock.hear(shown(NOW.plus(7200), 2), Duration::ZERO);
        assert_eq!(clock.read(Time(0), Duration::ZERO).time, NOW, "what is signed outranks it");
    }

    #[test]
    fn what_the_clocks_of_neighbours_show_is_told_within_a_day() {
        let mut clock = clock();
        let mut neighbours = |heard| {
            clock.hear(shown(heard, 1), Duration::ZERO);
            clock.read(NOW, Duration::ZERO).neighbours
        };
        for (heard, told) in [
            (NOW.plus(30), NOW),
            (NOW.plus(7200), NOW.plus(7200)),
            (Time(NOW.0 - 7200), Time(NOW.0 - 7200)),
            (NOW.plus(2 * DAY), NOW),
        ] {
            assert_eq!(neighbours(heard), told);
        }
    }
}
