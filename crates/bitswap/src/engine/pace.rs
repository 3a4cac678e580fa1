//! Measures the rates of links, and the intervals between events.
use std::time::Duration;

/// Minimum span of a rate sample. Shorter spans say little about a rate.
const WINDOW: Duration = Duration::from_millis(100);
/// Weight of the newest sample in a moving average, from 0 to 1.
const NEWEST: f64 = 0.3;

/// Measures the rate at which blocks arrive from one peer. Time without a block under way does not count.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Bytes per second; `None` before the first sample.
    rate: Option<f64>,
    /// Start of the current sample, and the bytes that arrived since then.
    span: Option<(Duration, u64)>,
    /// Shortest time from a request until the whole block arrived.
    latency: Option<Duration>,
}

impl Meter {
    /// Begins to measure: a block was requested while none was under way.
    pub(super) fn begin(&mut self, now: Duration) {
        self.span = Some((now, 0));
    }

    /// Stops measuring: no block is under way any more.
    pub(super) fn pause(&mut self, now: Duration) {
        self.sample(now, Duration::from_millis(1));
        self.span = None;
    }

    /// Records the arrival of block bytes.
    pub(super) fn came(&mut self, now: Duration, bytes: u64) {
        if let Some((_, sum)) = &mut self.span {
            *sum += bytes;
        }
        self.sample(now, WINDOW);
    }

    /// Records the time from the request of a block until its arrival.
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
        // A span shorter than the window has less weight.
        let weight = NEWEST * (span.as_secs_f64() / WINDOW.as_secs_f64()).min(1.0);
        self.rate = Some(self.rate.map_or(sample, |rate| rate + weight * (sample - rate)));
        self.span = Some((now, 0));
    }

    /// Returns the rate in bytes per second, or `None` before the first sample.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// Returns the expected time for `bytes`, at most an hour. An unknown rate is assumed to be 1 MB per second.
    pub(super) fn time_for(&self, bytes: u64) -> Duration {
        const GUESS: f64 = 1_000_000.0;
        Duration::from_secs_f64((bytes as f64 / self.rate.unwrap_or(GUESS).max(1.0)).min(3600.0))
    }

    /// Returns the number of blocks of this size that have to be under way so that the link is never idle.
    ///
    /// It is the number of blocks that the link can transfer during two round trips plus 20 ms of processing.
    pub(super) fn blocks_under_way(&self, block: u64) -> usize {
        const WORK: f64 = 0.02;
        let latency = self.latency.map_or(0.0, |latency| latency.as_secs_f64());
        let own = self.rate.map_or(0.0, |rate| block as f64 / rate.max(1.0));
        // The latency includes the block's own transfer time, during which the link is busy.
        let waiting = (latency - own).max(0.0) * 2.0 + WORK;
        (self.rate.unwrap_or(0.0) * waiting / block.max(1) as f64) as usize
    }
}

/// Measures the intervals between events of one kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// Time of the last event.
    pub(super) last: Option<Duration>,
    /// Moving average of the interval, in which recent intervals have more weight.
    pub(super) interval: Option<Duration>,
    /// Number of events.
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

    pub(super) fn count(self) -> u32 {
        self.count
    }

    /// Returns the unweighted mean interval since `begun`. Before the first event it is the time since `begun`.
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
    fn a_rate_is_measured_only_while_blocks_are_under_way() {
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
    fn a_fast_link_with_high_latency_needs_more_blocks_under_way() {
        let slots = |rate_per_ms: u64, latency| {
            let mut meter = Meter::default();
            meter.begin(ms(0));
            (1..=100).for_each(|n| meter.came(ms(n * 10), rate_per_ms * 10));
            meter.answered(latency);
            meter.blocks_under_way(262_144)
        };
        assert_eq!(slots(625, ms(430)), 0, "a slow link carries less than a block while it waits");
        assert_eq!(slots(6250, ms(43)), 0);
        assert!(slots(6250, ms(243)) >= 9, "a latency of 200 ms has to be filled");
        assert!(slots(200_000, ms(2)) >= 15);
    }
}
