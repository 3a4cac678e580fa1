//! What goes into the brain and what comes out.

use dcache::{Key, Moment, Record, Refusal};
use routing::{Address, Allowance, ChannelCommand, ChannelEvent, ChannelId, Rule};
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

/// Where lines go that are not for everybody on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// How addresses are rewritten.
    pub rules: Vec<Rule>,
    /// Chains of channels to peers with whom records are shared as if they were on a channel of ours.
    pub paths: Vec<Address>,
    /// Whether lines are passed on for others.
    pub forwards: bool,
}

impl Default for Routing {
    fn default() -> Self {
        Self { rules: Vec::new(), paths: Vec::new(), forwards: true }
    }
}

/// The brain's tempers. The defaults suit a class room.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The longest random wait before a record of somebody else is passed on to a network.
    pub relay_wait: Duration,
    /// How long after each time the maker of a record says it again on networks that lose datagrams.
    pub repeats: Vec<Duration>,
    /// The shortest and the longest wait before the next comparison with some peer that nothing asks for.
    pub checkup_every: (Duration, Duration),
    /// With more records than this between them, two neighbours compare over a link of their own, if they can; with fewer
    /// on the network, where others have the use of it.
    pub few: u64,
    /// How long a comparison over a link may go on without bringing anything.
    pub repair_timeout: Duration,
    /// How many lines a host may send on a network.
    pub host_budget: Allowance,
    /// How many bad lines a link is forgiven.
    pub forgiven: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            relay_wait: Duration::from_millis(100),
            repeats: [25, 30, 35, 80, 130].map(Duration::from_millis).into(),
            checkup_every: (Duration::from_secs(15 * 60), Duration::from_secs(20 * 60)),
            few: 24,
            repair_timeout: Duration::from_secs(10),
            host_budget: Allowance { burst: 2000, per_minute: 30_000 },
            forgiven: 16,
        }
    }
}
