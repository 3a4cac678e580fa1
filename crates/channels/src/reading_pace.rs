//! The pace at which the lines of a link are read. A peer that writes faster is slowed down by TCP, and nothing is lost.
//! Otherwise a few links could keep a processor busy with lines that the brain then ignores.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

/// Number of short lines that are read at once.
const AT_ONCE: u64 = 512;
/// Number of short lines that are read per second in the long run. Each costs about 10 µs.
const PER_SECOND: u64 = 512;
/// A line counts once more for each such number of bytes. So long lines, as in comparisons, are read at 8 MB per second.
const BYTES: usize = 16 * 1024;
/// Minimum time to wait. Many short waits would wake the processor often.
const PAUSE: Duration = Duration::from_millis(50);

/// The lines of one link that were read recently.
#[derive(Debug, Default)]
pub(crate) struct ReadingPace {
    /// Number of lines that count at the time `since`.
    read: u64,
    /// Time since the link was opened.
    since: Duration,
}

impl ReadingPace {
    /// Notes that a line of this length was read after a time of `elapsed` on the link. Returns the time to wait before
    /// the next one is read.
    pub(crate) fn note(&mut self, bytes: usize, elapsed: Duration) -> Duration {
        let millis = u64::try_from(elapsed.saturating_sub(self.since).as_millis()).unwrap_or(u64::MAX);
        let back = millis.saturating_mul(PER_SECOND) / 1000;
        if back >= self.read {
            (self.read, self.since) = (0, elapsed);
        } else {
            // The remaining fraction of a line counts the next time.
            self.read -= back;
            self.since += Duration::from_millis(back * 1000 / PER_SECOND);
        }
        self.read += 1 + u64::try_from(bytes / BYTES).unwrap_or(u64::MAX);
        let pause =
            Duration::from_millis(self.read.saturating_sub(AT_ONCE).saturating_mul(1000) / PER_SECOND);
        if pause < PAUSE { Duration::ZERO } else { pause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the time that it takes to read lines of this length.
    fn time_of(lines: u64, bytes: usize, between: Duration) -> Duration {
        let (mut pace, mut elapsed) = (ReadingPace::default(), Duration::ZERO);
        for _ in 0..lines {
            elapsed += between;
            elapsed += pace.note(bytes, elapsed);
        }
        elapsed
    }

    #[test]
    fn a_flood_of_lines_is_read_slowly() {
        let took = time_of(100_000, 300, Duration::from_micros(10)).as_secs_f64();
        assert!((190.0..197.0).contains(&took), "{took}");
    }

    #[test]
    fn usual_lines_and_the_lines_of_a_comparison_do_not_wait() {
        let between = Duration::from_millis(2);
        assert_eq!(time_of(100_000, 300, between), between * 100_000);
        // 12,000 records in lines of 64 records.
        let took = time_of(190, 30_000, Duration::from_micros(10));
        assert!(took < PAUSE * 2, "{took:?}");
    }
}
