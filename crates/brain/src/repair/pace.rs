//! The pace at which a comparison brings records, and the host that it is with.

use crate::neighbours::NeighbourId;
use crate::node::Node;
use routing::ChannelId;
use std::net::IpAddr;
use std::time::Duration;

/// Minimum number of records that a comparison over a link has to exchange in each repair timeout. An honest peer
/// achieves this even on a link of 1 kB/s.
const LEAST: u64 = 16;
/// Number of records, and time. While a comparison exchanges at least this number in each such time, no other
/// comparison begins beside it.
const FAST: (u64, Duration) = (64, Duration::from_secs(2));
/// Age of a comparison at which another one may begin beside it, however fast it is. A liar may send records fast for
/// as long as it likes.
const LONG: Duration = Duration::from_secs(30);

/// The host on the other side of a comparison, as far as the brain can tell it. A channel that does not tell its hosts
/// counts as one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Host {
    Ip(IpAddr),
    Channel(ChannelId),
}

impl Host {
    pub(super) fn of(node: &Node, id: NeighbourId) -> Self {
        let source = node.neighbours.get(&id).and_then(|neighbour| neighbour.source);
        source.map_or(Self::Channel(id.0), |source| Self::Ip(source.ip()))
    }
}

/// The records that a comparison exchanged lately.
#[derive(Debug)]
pub(super) struct Pace {
    begun: Duration,
    /// Time at which it last completed [`FAST`] records, or at which it began.
    fast_at: Duration,
    /// Number of records exchanged since `fast_at`.
    since_fast: u64,
    /// Number of records exchanged since the last repair timeout.
    since_timeout: u64,
}

impl Pace {
    pub(super) fn begin(elapsed: Duration) -> Self {
        Self { begun: elapsed, fast_at: elapsed, since_fast: 0, since_timeout: 0 }
    }

    /// Notes that records were exchanged.
    pub(super) fn exchanged(&mut self, records: u64, elapsed: Duration) {
        self.since_timeout += records;
        self.since_fast += records;
        if self.since_fast >= FAST.0 {
            (self.since_fast, self.fast_at) = (0, elapsed);
        }
    }

    /// Notes a step that counts as enough progress for one repair timeout.
    pub(super) fn stepped(&mut self) {
        self.since_timeout += LEAST;
    }

    /// Returns the time at which another comparison may begin beside this one.
    pub(super) fn slow_at(&self) -> Duration {
        (self.fast_at + FAST.1).min(self.begun + LONG)
    }

    /// Returns whether enough records were exchanged since the last call.
    pub(super) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.since_timeout) >= LEAST
    }
}

/// Returns whether a peer that gave this many records over a link is worth another comparison at once.
pub(super) fn is_worth(gained: u64) -> bool {
    gained >= LEAST
}
