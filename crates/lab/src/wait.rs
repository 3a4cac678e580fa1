//! Waiting for a condition instead of sleeping for a guessed time.

use std::thread;
use std::time::{Duration, Instant};

use crate::{Error, Result};

const POLL: Duration = Duration::from_millis(50);

/// Calls `ask` repeatedly, at least once, until it returns an answer.
///
/// # Errors
/// [`Error::Deadline`] with `what` when there is no answer in time.
pub fn wait_until<T>(within: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            return Err(Error::Deadline { what: what.to_owned(), within, seen: String::new() });
        }
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_the_wait() {
        let mut asked = 0;
        let answer = wait_until(Duration::from_secs(10), "three", || {
            asked += 1;
            (asked == 3).then_some(asked)
        });
        assert_eq!(answer.unwrap(), 3);
    }

    #[test]
    fn a_missed_deadline_says_what_was_awaited() {
        let missed = wait_until(Duration::ZERO, "the moon", || None::<()>);
        assert!(missed.unwrap_err().to_string().contains("the moon"));
    }
}
