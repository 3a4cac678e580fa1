//! How fast things go: what a link carries, and how often somebody gets on.
use std::time::Duration;

/// Shorter spans than this say little about a rate.
const WINDOW: Duration = Duration::from_millis(100);
/// How much the newest sample counts, of 1.
const NEWEST: f64 = 0.3;

/// The rate at which blocks come from one peer while some are under way.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Bytes in a second; `None` before the first sample.
    rate: Option<f64>,
    /// When the span that is being measured began, and what came since.
    span: Option<(Duration, u64)>,
    /// The quickest answer, from the question to the whole block.
    latency: Option<Duration>,
}

impl Meter {
    /// Something was asked while nothing was under way: from now on it counts how much comes.
    pub(super) fn begin(&mut self, now: Duration) {
        self.span = Some((now, 0));
    }

    /// Nothing is under way any more: what does not come now says nothing.
    pub(super) fn pause(&mut self, now: Duration) {
        self.sample(now, Duration::from_millis(1));
        self.span = None;
    }

    /// Bytes of blocks came.
    pub(super) fn came(&mut self, now: Duration, bytes: u64) {
        if let Some((_, sum)) = &mut self.span {
            *sum += bytes;
        }
        self.sample(now, WINDOW);
    }

    /// A block that was asked for came after this time.
    pub(super) fn answered(&mut self, after: Duration) {
        self.latency = Some(self.latency.map_or(after, |least| least.min(after)));
    }

    fn sample(&mut self, now: Duration, least: Duration) {
        let Some((since, sum)) = self.span else { return };
        let span = now.saturating_sub(since);
        if sum == 0 || span < least {
            return;
        }
        let sample = sum as f64 / span.as_secs_f64();
        // Short spans count less.
        let weight = NEWEST * (span.as_secs_f64() / WINDOW.as_secs_f64()).min(1.0);
        self.rate = Some(self.rate.map_or(sample, |rate| rate + weight * (sample - rate)));
        self.span = Some((now, 0));
    }

    /// Bytes in a second, if known.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// How long `bytes` take at this rate; a guess when it is not known.
    pub(super) fn time_for(&self, bytes: u64) -> Duration {
        const GUESS: f64 = 1_000_000.0;
        Duration::from_secs_f64((bytes as f64 / self.rate.unwrap_or(GUESS).max(1.0)).min(3600.0))
    }

    /// How many blocks of this size have to be under way so that the link never waits: what it carries in the time of
    /// two round trips and of a little work.
    pub(super) fn blocks_under_way(&self, block: u64) -> usize {
        const WORK: f64 = 0.02;
        let latency = self.latency.map_or(0.0, |latency| latency.as_secs_f64());
        let own = self.rate.map_or(0.0, |rate| block as f64 / rate.max(1.0));
        // The time that the block itself took is none of waiting.
        let waiting = (latency - own).max(0.0) * 2.0 + WORK;
        (self.rate.unwrap_or(0.0) * waiting / block.max(1) as f64) as usize
    }
}

/// How often something happens.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    pub(super) last: Option<Duration>,
    /// The mean time between two of them, the newest counting most.
    pub(super) interval: Option<Duration>,
    /// How many there were.
    count: u32,
}

impl Pace {
    pub(super) fn step(&mut self, now: Duration) {
        if let Some(last) = self.last {
            let newest = now.saturating_sub(last);
            self.interval = Some(
                self.interval.map_or(newest, |mean| mean.mul_f64(1.0 - NEWEST) + newest.mul_f64(NEWEST)),
            );
        }
        self.last = Some(now);
        self.count += 1;
    }

    /// How many there were.
    pub(super) fn count(self) -> u32 {
        self.count
    }

    /// The mean time from one to the next since `begun`, all counting as much; before the first, how long it is awaited.
    pub(super) fn mean(&self, begun: Duration, now: Duration) -> Duration {
        self.last.unwrap_or(now).saturating_sub(begun) / self.count.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_rate_is_measured_while_something_is_under_way() {
        let mut meter = Meter::default();
        meter.begin(ms(0));
        (1..=100).for_each(|n| meter.came(ms(n * 10), 10_000));
        meter.pause(ms(1000));
        meter.begin(ms(60_000));
        meter.came(ms(60_100), 100_000);
        let rate = meter.rate().unwrap();
        assert!((900_000.0..1_100_000.0).contains(&rate), "{rate}");
        assert_eq!(meter.time_for(1_000_000).as_secs_f64().round(), 1.0);
    }

    #[test]
    fn a_fast_link_with_a_long_way_needs_more_blocks_under_way() {
        let slots = |rate_per_ms: u64, latency| {
            let mut meter = Meter::default();
            meter.begin(ms(0));
            (1..=100).for_each(|n| meter.came(ms(n * 10), rate_per_ms * 10));
            meter.answered(latency);
            meter.blocks_under_way(262_144)
        };
        assert_eq!(slots(625, ms(430)), 0, "a slow link carries nothing while it waits");
        assert_eq!(slots(6250, ms(43)), 0);
        assert!(slots(6250, ms(243)) >= 9, "a way of 200 ms has to be filled");
        assert!(slots(200_000, ms(2)) >= 15);
    }
}
