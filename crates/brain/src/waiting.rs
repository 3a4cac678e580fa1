//! Lines that wait for a link that is being opened.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// Maximum number of waiting lines.
const MAX_LINES: usize = 16;
/// Maximum time for which a line waits.
const LIFETIME: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct WaitingLine {
    since: Duration,
    address: SocketAddr,
    line: String,
}

/// The result of queueing a line.
pub(crate) enum Queued {
    /// The line is the first for its address, so a link has to be opened now.
    First,
    /// A link to its address is being opened already.
    Later,
    /// Too many lines wait already.
    Full,
}

/// Lines that wait for a link that is being opened.
#[derive(Debug, Default)]
pub(crate) struct WaitingLines {
    lines: VecDeque<WaitingLine>,
}

impl WaitingLines {
    /// Drops the lines that have waited for too long.
    pub(crate) fn expire(&mut self, elapsed: Duration) {
        self.lines.retain(|waiting| waiting.since + LIFETIME > elapsed);
    }

    pub(crate) fn push(&mut self, elapsed: Duration, address: SocketAddr, line: String) -> Queued {
        if self.lines.len() >= MAX_LINES {
            return Queued::Full;
        }
        let is_opening = self.lines.iter().any(|waiting| waiting.address == address);
        self.lines.push_back(WaitingLine { since: elapsed, address, line });
        if is_opening { Queued::Later } else { Queued::First }
    }

    /// Takes the lines that wait for an address.
    pub(crate) fn take(&mut self, address: SocketAddr) -> Vec<String> {
        let lines = std::mem::take(&mut self.lines);
        let (taken, left): (VecDeque<_>, VecDeque<_>) =
            lines.into_iter().partition(|waiting| waiting.address == address);
        self.lines = left;
        taken.into_iter().map(|waiting| waiting.line).collect()
    }
}
