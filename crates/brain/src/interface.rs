//! The inputs and outputs of the brain, and its settings.

use dcache::{Key, Moment, Record, Refusal};
use routing::{Address, Allowance, ChannelCommand, ChannelEvent, ChannelId, Rule};
use std::net::SocketAddr;
use std::time::Duration;

/// The two times of an input. Validity is judged by the time of day, as far as it is known. Timers use the time since
/// start, which only grows.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Time of day, and whether it is certain.
    pub moment: Moment,
    /// Time since this process started.
    pub elapsed: Duration,
}

/// An input of the brain: an event.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all inputs are of the large variant, and no input is stored"
)]
pub enum Input {
    /// An event on a channel.
    Channel(ChannelEvent),
    /// A new record of this node. It must already be on this node's disk: once sent, it may not be forgotten.
    Local(Record),
    /// Only time has passed.
    Tick,
}

/// An output of the brain: a command or a notice.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A command for a channel.
    Channel(ChannelCommand),
    /// A record is in the set now. The receiver stores it, and notifies the services.
    Admitted {
        /// The new record.
        record: Record,
        /// Whether the record only repeats an earlier record of its signer, for at least as long. Then nothing changes
        /// until the earlier one ends.
        is_renewal: bool,
    },
    /// Records left the set. The receiver deletes them from the disk.
    Removed(Vec<Key>),
    /// A record of this node was refused by its own set.
    NotSaid(Refusal),
    /// A record was refused; it was neither kept nor passed on.
    Refused {
        /// The channel by which it came.
        channel: ChannelId,
        /// The host that sent it, on a broadcast channel.
        source: Option<SocketAddr>,
        /// Reason of the refusal.
        reason: Refusal,
    },
}

/// Routing of lines that are not addressed to all nodes on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// Rules that rewrite addresses.
    pub rules: Vec<Rule>,
    /// Chains of channels to peers. Records are shared with these peers as if they were on a channel of this node.
    pub paths: Vec<Address>,
    /// Whether this node forwards lines for others.
    pub forwards: bool,
}

impl Default for Routing {
    fn default() -> Self {
        Self { rules: Vec::new(), paths: Vec::new(), forwards: true }
    }
}

/// Protocol parameters; the defaults suit one classroom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Longest random delay before a record of another node is passed on to a shared network.
    pub relay_wait: Duration,
    /// Delays between the copies of a record that its maker sends on lossy networks.
    pub repeats: Vec<Duration>,
    /// Shortest and longest interval between checkups, which are comparisons that no beacon asks for.
    pub checkup_every: (Duration, Duration),
    /// Maximum number of missing records for which two neighbours compare on the network, where others benefit as well.
    /// With more records missing, they compare over a link of their own if possible.
    pub few: u64,
    /// Maximum time for which a comparison over a link goes on without bringing any records.
    pub repair_timeout: Duration,
    /// Rate limit, in lines, for each host on a network.
    pub host_budget: Allowance,
    /// Number of bad lines after which a link is closed.
    pub max_penalties: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            relay_wait: Duration::from_millis(100),
            repeats: [25, 30, 35, 80, 130].map(Duration::from_millis).into(),
            checkup_every: (Duration::from_secs(15 * 60), Duration::from_secs(20 * 60)),
            few: 24,
            repair_timeout: Duration::from_secs(10),
            host_budget: Allowance::LINES_OF_HOST,
            max_penalties: 16,
        }
    }
}
