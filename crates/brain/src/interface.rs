//! What goes into the brain and what comes out.

use dcache::{Key, Moment, Record, Refusal};
use routing::{ChannelCommand, ChannelEvent, ChannelId};
use std::net::SocketAddr;
use std::time::Duration;

/// The two times of an input. Validity is judged by the time of day, as far as it is known; everything that waits does
/// so by the time since start, which only grows.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// What is known of the time of day.
    pub moment: Moment,
    /// How long this process has been running.
    pub elapsed: Duration,
}

/// Something that happened.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all inputs are of the large one, and none is kept")]
pub enum Input {
    /// On a channel.
    Channel(ChannelEvent),
    /// This node says something itself. The record must be on its disk already: once told, it may not be forgotten.
    Local(Record),
    /// Nothing but time passed.
    Tick,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// On a channel.
    Channel(ChannelCommand),
    /// A record is in the set now: keep it, and tell the services.
    Admitted(Record),
    /// Records left the set: their place on the disk is free.
    Removed(Vec<Key>),
    /// What this node wanted to say was refused by its own set.
    NotSaid(Refusal),
    /// A record was refused; nothing of it was kept or passed on.
    Refused {
        /// By which channel it came.
        channel: ChannelId,
        /// From which host, on a broadcast channel.
        source: Option<SocketAddr>,
        /// Why.
        reason: Refusal,
    },
}

/// The brain's tempers. The defaults suit a class room.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Between two datagrams on a broadcast channel: a burst must not drown slow receivers.
    pub spacing: Duration,
    /// The longest random wait before a record of somebody else is passed on to a broadcast channel.
    pub relay_wait: Duration,
    /// How long after the first time the maker of a record says it again on broadcast channels.
    pub repeats: Vec<Duration>,
    /// The shortest and the longest wait before the next repair with some peer.
    pub repair_every: (Duration, Duration),
    /// The longest that one repair may take.
    pub repair_timeout: Duration,
    /// How many lines a host may send on a broadcast channel at once, and how many a second in the long run.
    pub host_budget: (u32, u32),
    /// How many bad lines a link is forgiven.
    pub forgiven: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            spacing: Duration::from_millis(2),
            relay_wait: Duration::from_millis(100),
            repeats: vec![Duration::from_millis(300), Duration::from_millis(1500)],
            repair_every: (Duration::from_secs(60), Duration::from_secs(90)),
            repair_timeout: Duration::from_secs(30),
            host_budget: (2000, 500),
            forgiven: 16,
        }
    }
}
