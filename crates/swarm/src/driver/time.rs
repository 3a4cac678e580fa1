//! Determines the time of day from the wall clock, from times that peers have signed, and from the clocks of
//! neighbours.

use super::Run;
use brain::Now;
use dcache::{Moment, Time};
use std::time::Duration;

/// Interval between checks of the times that peers have signed.
const WITNESS_EVERY: Duration = Duration::from_secs(5);

/// The time at the last input.
#[derive(Debug, Default)]
pub(super) struct LastTime {
    next_witness: Duration,
    /// Time at which the operating system may be asked again whether the clock is set.
    next_question: Duration,
    /// The time of day as it was known, and the time since start at which it was read.
    moment: Option<(Moment, Duration)>,
}

impl Run {
    pub(super) fn now(&mut self) -> Now {
        let (wall, elapsed) = ((self.wall_clock)(), self.started.elapsed());
        if elapsed >= self.last_time.next_witness {
            self.last_time.next_witness = elapsed + WITNESS_EVERY;
            self.hear_witnesses(wall, elapsed);
        }
        if self.clock.is_to_hear(elapsed) {
            self.clock.hear(self.brain.neighbour_time(elapsed), elapsed);
        }
        if elapsed >= self.last_time.next_question && self.clock.is_outvoted(wall, elapsed) {
            self.last_time.next_question = elapsed + WITNESS_EVERY;
            if (self.is_clock_set)(wall) {
                tracing::info!("the neighbours show a later time, but the clock of this computer is set");
                self.clock.confirm();
            }
        }
        let moment = self.clock.read(wall, elapsed);
        if moment.is_certain != self.was_certain {
            self.was_certain = moment.is_certain;
            tell_certainty(moment.is_certain, wall, moment.time);
            if moment.is_certain {
                self.settle_doubts();
            }
        }
        self.note_jump(moment, elapsed);
        let now = Now { moment, elapsed };
        self.copies.read_clock(now);
        now
    }

    fn hear_witnesses(&mut self, wall: Time, elapsed: Duration) {
        let floor = self.clock.own_floor(elapsed);
        let signed = self.brain.set().signed_times(self.signer.me(), wall.max(floor));
        let witnesses = signed.len();
        if self.clock.witness(signed.into_values(), wall, elapsed)
            && let Some(time) = self.clock.learned(wall, elapsed)
        {
            let (time, clock) = (time.date(), wall.date());
            tracing::warn!(
                time,
                clock,
                witnesses,
                "peers with a role have signed a later time than this computer's clock shows: this node uses that time as \
                 long as an admin or more than half of them sign it, and removes no record because of it"
            );
        }
        self.write_behind.passed(self.clock.own_floor(elapsed));
    }

    /// Notifies the services when the time of day jumps.
    fn note_jump(&mut self, moment: Moment, elapsed: Duration) {
        let before = self.last_time.moment.replace((moment, elapsed));
        let Some((before, at)) = before else { return };
        if moment.has_jumped(&before, elapsed.saturating_sub(at)) {
            let (time, neighbours) = (moment.time.date(), moment.neighbours.date());
            tracing::info!(
                time,
                neighbours,
                is_certain = moment.is_certain,
                "the clock of this computer or of a neighbour was set"
            );
            self.swarm.clock_was_set();
        }
    }
}

fn tell_certainty(is_certain: bool, clock: Time, time: Time) {
    match is_certain {
        true => tracing::info!("the time is known again"),
        false => tracing::warn!(
            clock = clock.date(),
            at_least = time.date(),
            "this computer's clock is behind: until it is set, this node uses the clocks of its neighbours, and accepts no \
             new roles"
        ),
    }
}
