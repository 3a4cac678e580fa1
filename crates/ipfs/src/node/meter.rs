//! Counts bytes and measures their recent rate, for display to users.
use std::time::Duration;

use tokio::time::Instant;

/// Number of seconds over which a rate is averaged.
const SECONDS: usize = 5;

/// A byte counter that needs no timer: old seconds are dropped when it is read.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    sum: u64,
    begun: Instant,
    /// Bytes of each of the last seconds. The index is the number of the second modulo the length.
    recent: [u64; SECONDS],
    /// The second up to which `recent` is up to date.
    second: u64,
}

impl Default for Meter {
    fn default() -> Self {
        Self { sum: 0, begun: Instant::now(), recent: [0; SECONDS], second: 0 }
    }
}

impl Meter {
    pub(super) fn count(&mut self, bytes: u64) {
        self.advance();
        self.sum = self.sum.saturating_add(bytes);
        if let Some(now) = self.recent.get_mut(place(self.second)) {
            *now = now.saturating_add(bytes);
        }
    }

    /// Returns the total number of bytes, and the recent rate in bytes per second.
    pub(super) fn read(&mut self) -> (u64, u64) {
        let now = self.advance();
        let recent: u64 = self.recent.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes));
        // The current second is not complete, and a new meter has no seconds before its first.
        let whole = Duration::from_secs(self.second.min(SECONDS as u64 - 1));
        let span = whole + (now - Duration::from_secs(self.second));
        (self.sum, (recent as f64 / span.as_secs_f64().max(0.5)) as u64)
    }

    /// Drops old seconds. Returns the time since the meter was created.
    fn advance(&mut self) -> Duration {
        let now = self.begun.elapsed();
        let over = now.as_secs().saturating_sub(self.second).min(SECONDS as u64);
        for next in 1..=over {
            if let Some(old) = self.recent.get_mut(place(now.as_secs() - over + next)) {
                *old = 0;
            }
        }
        self.second = now.as_secs();
        now
    }
}

fn place(second: u64) -> usize {
    usize::try_from(second % SECONDS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn returns_the_rate_of_the_last_seconds() {
        let mut meter = Meter::default();
        for _ in 0..200 {
            advance(Duration::from_millis(100)).await;
            meter.count(1000);
        }
        let (sum, rate) = meter.read();
        assert_eq!(sum, 200_000);
        assert!((9_000..=11_000).contains(&rate), "{rate}");
        advance(Duration::from_secs(3)).await;
        assert!((1..9_000).contains(&meter.read().1));
        advance(Duration::from_secs(10)).await;
        assert_eq!(meter.read(), (200_000, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_bytes_do_not_show_as_a_peak() {
        let mut meter = Meter::default();
        meter.count(1000);
        assert_eq!(meter.read(), (1000, 2000));
        advance(Duration::from_secs(2)).await;
        assert_eq!(meter.read(), (1000, 500));
    }
}
