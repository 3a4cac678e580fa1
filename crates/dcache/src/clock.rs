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

use crate::Time;
use std::time::Duration;

/// How far clocks differ, and a running clock is corrected, without any being wrong: in seconds.
const TOLERANCE: u64 = 60;
/// How long a clock must run on without a jump until what it shows is settled.
const SETTLING: Duration = Duration::from_secs(600);
/// How long a clock must run on that contradicts only what it showed itself, until it is believed.
const INSISTING: Duration = Duration::from_secs(3600);

/// A moment, as far as a node knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By what to judge.
    pub time: Time,
    /// By what to forget: never later than what the clock has shown for a while.
    pub settled: Time,
    /// Whether the time is known, and not just that it is no earlier.
    pub is_certain: bool,
}

impl Moment {
    /// The moment for whoever has no doubt, such as a test.
    pub const fn certain(time: Time) -> Self {
        Self { time, settled: time, is_certain: true }
    }
}

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
}

impl Clock {
    /// A clock that knows when the program was built, and what [`Clock::floor`] an earlier run saved.
    pub fn new(built: Time, saved: Option<Time>, elapsed: Duration) -> Self {
        let [witnessed, shown] = [built, saved.unwrap_or_default()].map(|time| Mark { time, at: elapsed });
        let settled = Mark { time: witnessed.time.max(shown.time), at: elapsed };
        Self { witnessed, shown, settled, unsettled: None, insisting: None }
    }

    /// A time that has passed, as far as this node can tell; to be saved.
    pub fn floor(&self, elapsed: Duration) -> Time {
        self.witnessed.run_on(elapsed).max(self.shown.run_on(elapsed))
    }

    /// What is known when the wall clock shows `wall` and this run has lasted for `elapsed`.
    pub fn read(&mut self, wall: Time, elapsed: Duration) -> Moment {
        self.hear_insisting(wall, elapsed);
        let floor = self.floor(elapsed);
        let is_certain = wall.plus(TOLERANCE) >= floor;
        let time = if is_certain { wall } else { floor };
        self.settle(time, elapsed);
        let settled = time.min(self.settled.run_on(elapsed));
        if is_certain && settled > self.shown.run_on(elapsed) {
            self.shown = Mark { time: settled, at: elapsed };
        }
        Moment { time, settled, is_certain }
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
        assert_eq!(moment, Moment { time: BUILT.plus(300), settled: BUILT.plus(300), is_certain: false });
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
}
