//! Reports the faults of an IRC channel, and when it works again.

use super::session_error::{SessionError, quoted};
use crate::switchboard::Switchboard;
use routing::ChannelEvent;
use std::time::Duration;
use telemetry::FaultReport;
use tokio::time::Instant;

/// Maximum number of lines about one channel that are logged within [`LOG_PERIOD`]. A server decides when the state of
/// the channel changes. An honest one rarely causes more than a few changes.
const MAX_LOGGED: u32 = 20;
/// Period to which [`MAX_LOGGED`] applies.
const LOG_PERIOD: Duration = Duration::from_secs(600);

pub(crate) struct Reporter {
    name: String,
    switchboard: Switchboard,
    is_troubled: bool,
    log: LogLimit,
}

impl Reporter {
    /// Returns a reporter for the channel with this name.
    pub(crate) fn new(name: String, switchboard: Switchboard) -> Self {
        Self { name, switchboard, is_troubled: false, log: LogLimit::new(Instant::now()) }
    }

    /// Reports an error, and the time until the next attempt.
    pub(crate) async fn failed(&mut self, error: &SessionError, retry_in: Duration) {
        if self.may_log() {
            tracing::warn!(channel = self.name, %error, ?retry_in, "the IRC channel is not available");
        }
        self.is_troubled = true;
        self.report(Some(error.report().retry_in(retry_in))).await;
    }

    /// Reports that this node is in the channel, if a fault was reported before.
    pub(crate) async fn works(&mut self, nick: &str) {
        if self.may_log() {
            tracing::info!(channel = self.name, nick = quoted(nick), "this node is in an IRC channel");
        }
        if self.is_troubled {
            self.is_troubled = false;
            self.report(None).await;
        }
    }

    /// Returns whether a change may be logged. States once how many changes were not logged before.
    fn may_log(&mut self) -> bool {
        let (may, unlogged) = self.log.admit(Instant::now());
        if unlogged > 0 {
            tracing::warn!(channel = self.name, unlogged, "the state of the IRC channel changes often");
        }
        may
    }

    async fn report(&self, fault: Option<FaultReport>) {
        self.switchboard.report(ChannelEvent::Trouble { name: self.name.clone(), fault }).await;
    }
}

/// Limit of the number of lines in the log.
struct LogLimit {
    /// Begin of the current period.
    since: Instant,
    /// Number of changes in the current period.
    changes: u32,
}

impl LogLimit {
    fn new(since: Instant) -> Self {
        Self { since, changes: 0 }
    }

    /// Returns whether a change may be logged, and how many changes of an earlier period were not logged.
    fn admit(&mut self, now: Instant) -> (bool, u32) {
        let mut unlogged = 0;
        if now.saturating_duration_since(self.since) >= LOG_PERIOD {
            unlogged = self.changes.saturating_sub(MAX_LOGGED);
            *self = Self::new(now);
        }
        self.changes = self.changes.saturating_add(1);
        (self.changes <= MAX_LOGGED, unlogged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_often_the_state_changes_few_lines_are_logged() {
        let start = Instant::now();
        let mut limit = LogLimit::new(start);
        let logged = (0..100_000).filter(|n| limit.admit(start + Duration::from_millis(*n)).0).count();
        assert_eq!(logged, 20);
        assert_eq!(limit.admit(start + LOG_PERIOD), (true, 99_980), "the next period states the number");
        assert_eq!(limit.admit(start + LOG_PERIOD), (true, 0));
    }
}
