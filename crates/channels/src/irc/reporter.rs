//! Reports the faults of an IRC channel, and when it works again.

use super::session_error::SessionError;
use crate::switchboard::Switchboard;
use routing::ChannelEvent;
use std::time::Duration;
use telemetry::FaultReport;

pub(crate) struct Reporter {
    name: String,
    switchboard: Switchboard,
    is_troubled: bool,
}

impl Reporter {
    /// Returns a reporter for the channel with this name.
    pub(crate) fn new(name: String, switchboard: Switchboard) -> Self {
        Self { name, switchboard, is_troubled: false }
    }

    /// Reports an error, and the time until the next attempt.
    pub(crate) async fn failed(&mut self, error: &SessionError, retry_in: Duration) {
        tracing::warn!(channel = self.name, %error, ?retry_in, "the IRC channel is not available");
        self.is_troubled = true;
        self.report(Some(error.report().retry_in(retry_in))).await;
    }

    /// Reports that this node is in the channel, if a fault was reported before.
    pub(crate) async fn works(&mut self, nick: &str) {
        tracing::info!(channel = self.name, nick, "this node is in an IRC channel");
        if self.is_troubled {
            self.is_troubled = false;
            self.report(None).await;
        }
    }

    async fn report(&self, fault: Option<FaultReport>) {
        self.switchboard.report(ChannelEvent::Trouble { name: self.name.clone(), fault }).await;
    }
}
