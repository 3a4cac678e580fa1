//! A report that a robot keeps: to send it, and to delete it later.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::hex::Hex32;
use crate::payload::Payload;
use crate::wire::{Message, RefusalCode};
use dcache::{PeerId, Time};
use serde::{Deserialize, Serialize};

/// Maximum number of attempts to send a report. With the waits below, they take about four days.
pub(crate) const MAX_ATTEMPTS: u32 = 16;
/// Wait, in seconds, after the first failed attempt. Each further wait is twice as long.
const FIRST_WAIT: u64 = 60;
/// Longest wait, in seconds, between two attempts.
const LONGEST_WAIT: u64 = 12 * 3600;

/// A report that a robot keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptReport {
    pub(crate) payload: Payload,
    pub(crate) secret: Hex32,
    /// Time of the next attempt.
    pub(crate) due: Time,
    /// Number of attempts, to send or to delete it.
    pub(crate) attempts: u32,
    pub(crate) state: ReportState,
    /// Reason why the last attempt failed.
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// Where a report is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportState {
    /// It has not left the robot.
    Waiting {},
    /// It may have reached this collector, which has not confirmed it.
    Unconfirmed {
        /// Peer ID of the collector.
        collector: PeerId,
    },
    /// This collector confirmed it.
    Counted {
        /// Peer ID of the collector.
        collector: PeerId,
        /// Time of the confirmation.
        time: Time,
    },
    /// This collector is asked to delete it, and has not confirmed that.
    Forgetting {
        /// Peer ID of the collector.
        collector: PeerId,
    },
}

/// A message to send to a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Errand {
    pub(crate) week: crate::Week,
    pub(crate) collector: PeerId,
    pub(crate) message: Message,
}

/// The end of an errand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The collector counts the report.
    Counted,
    /// The collector does not count the report any more.
    Forgotten,
    /// The collector refused, and changed nothing.
    Refused(RefusalCode),
    /// No byte reached the collector.
    Unreached(String),
    /// The message may have reached the collector, but no answer came.
    Unanswered(String),
}

impl KeptReport {
    pub(crate) fn new(payload: Payload, secret: Hex32, due: Time) -> Self {
        Self { payload, secret, due, attempts: 0, state: ReportState::Waiting {}, reason: None }
    }

    /// Notes that an attempt begins. If the daemon is killed during the attempt, the next one comes no earlier.
    pub(crate) fn begin_attempt(&mut self, now: Time) {
        let doublings = self.attempts.min(16);
        let wait = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
        self.attempts = self.attempts.saturating_add(1);
        self.due = now.plus(wait);
    }

    /// Returns whether it may be sent again.
    pub(crate) fn has_attempts(&self) -> bool {
        self.attempts < MAX_ATTEMPTS
    }

    /// Lets its collector delete it. Returns whether a collector has to be asked.
    pub(crate) fn forget(&mut self, now: Time) -> bool {
        let collector = match self.state {
            ReportState::Waiting {} => return false,
            ReportState::Forgetting { .. } => return true,
            ReportState::Unconfirmed { collector } | ReportState::Counted { collector, .. } => collector,
        };
        self.state = ReportState::Forgetting { collector };
        (self.due, self.attempts, self.reason) = (now, 0, None);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::tests::{NOW, report};
    use crate::week::Week;

    #[test]
    fn attempts_are_far_apart_and_limited() {
        let mut kept = KeptReport::new(report(1, Week::of(NOW)), Hex32([1; 32]), NOW);
        let mut waits = Vec::new();
        while kept.has_attempts() {
            let now = kept.due;
            kept.begin_attempt(now);
            waits.push(kept.due.since(now));
        }
        assert_eq!((waits.len(), waits[0], waits[1], waits[15]), (16, 60, 120, LONGEST_WAIT));
        assert!((3..8).contains(&(waits.iter().sum::<u64>() / 86_400)));
        for _ in 0..100 {
            kept.begin_attempt(NOW);
            assert_eq!(kept.due, NOW.plus(LONGEST_WAIT));
        }
    }

    #[test]
    fn only_what_may_have_left_has_to_be_forgotten() {
        let collector = dcache::Keypair::from_seed([1; 32]).peer_id();
        let mut kept = KeptReport::new(report(1, Week::of(NOW)), Hex32([1; 32]), NOW.plus(99));
        assert!(!kept.forget(NOW));
        for state in [ReportState::Unconfirmed { collector }, ReportState::Counted { collector, time: NOW }] {
            kept = KeptReport { state, attempts: MAX_ATTEMPTS, ..kept };
            assert!(kept.forget(NOW));
            assert_eq!(
                (kept.state, kept.due, kept.attempts),
                (ReportState::Forgetting { collector }, NOW, 0)
            );
            assert!(kept.forget(NOW));
        }
    }
}
