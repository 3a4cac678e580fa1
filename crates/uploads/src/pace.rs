//! The rate limit of uploads. All uploads to a destination share it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Maximum burst, as a time at the configured rate. It compensates for timers that fire late.
const BURST: Duration = Duration::from_millis(50);

/// A rate limit in bytes per second. A clone refers to the same limit.
#[derive(Clone, Debug, Default)]
pub struct Pace(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    rate: Option<u64>,
    /// Time at which the bytes that were let through so far are paid for.
    paid: Option<Instant>,
}

impl Pace {
    /// Creates a limit; `None` means no limit.
    pub fn new(rate: Option<u64>) -> Self {
        let pace = Self::default();
        pace.set(rate);
        pace
    }

    /// Changes the limit. It applies to bytes that are sent from now on.
    pub fn set(&self, rate: Option<u64>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.rate, state.paid) = (rate, None);
    }

    /// Changes the limit if it is another one.
    pub(crate) fn change(&self, rate: Option<u64>) {
        let is_same = self.0.lock().unwrap_or_else(PoisonError::into_inner).rate == rate;
        if !is_same {
            self.set(rate);
        }
    }

    /// Takes bytes from the budget, and returns the time at which they may be sent.
    pub(crate) fn take(&self, bytes: usize) -> Instant {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let Some(rate) = state.rate else { return now };
        let from = state.paid.unwrap_or(now).max(now.checked_sub(BURST).unwrap_or(now));
        // A rate of zero would wait forever; the caller pauses an upload by dropping its future.
        state.paid = Some(from + Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64));
        from.max(now)
    }

    /// Waits until this many bytes may be sent.
    pub(crate) async fn wait(&self, bytes: usize) {
        tokio::time::sleep_until(self.take(bytes)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_holds_for_all_senders_together_and_can_be_changed() {
        let pace = Pace::new(Some(1_000_000));
        let begun = Instant::now();
        let send = |pace: Pace| async move {
            for _ in 0..100 {
                pace.wait(10_000).await;
            }
        };
        tokio::join!(send(pace.clone()), send(pace.clone()));
        let took = begun.elapsed();
        assert!((1900..=2010).contains(&took.as_millis()), "{took:?}");
        pace.set(None);
        let begun = Instant::now();
        send(pace.clone()).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn time_without_sending_is_not_saved_up() {
        let pace = Pace::new(Some(1_000_000));
        tokio::time::sleep(Duration::from_secs(100)).await;
        let begun = Instant::now();
        for _ in 0..101 {
            pace.wait(10_000).await;
        }
        assert!(begun.elapsed().as_millis() >= 900, "{:?}", begun.elapsed());
    }
}
