//! Events and commands between the brain, which decides, and the channels, which send and receive.

use crate::{Address, Envelope};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;
use telemetry::FaultReport;

/// Identifier of one channel from its `Up` to its `Down`; never reused within one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u64);

/// Kind of a channel.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there are few channels")]
pub enum Medium {
    /// A network on which all hosts receive a line, unless it gets lost.
    Broadcast {
        /// Name of the channel, for display.
        name: String,
        /// Address of the channel itself, such as `/ip4/10.77.0.255/udp/1240/dswarm-line`. Lines to addresses that
        /// begin with it are sent on the channel.
        at: Option<Address>,
        /// Address at which this node accepts line connections on that network. It is sent to peers, so that they can
        /// ask for more records.
        line: Option<Address>,
        /// Limits of the channel.
        capacity: Capacity,
    },
    /// A connection with one peer. No line is lost while it is up.
    Link {
        /// Address that this node dialled; `None` if the peer opened the link.
        dialled: Option<SocketAddr>,
        /// Whether the link is kept open: the peer is configured, and was not only dialled for a single task such as a
        /// comparison.
        is_kept: bool,
    },
}

/// Limits of a channel for one node, and the intervals that suit it.
#[derive(Clone, Debug, PartialEq)]
pub struct Capacity {
    /// Which peers receive a line.
    pub reach: Reach,
    /// Cost of a byte relative to other channels. Of several channels to a peer, the cheapest is used.
    pub cost: u8,
    /// Maximum size, in bytes, of a line with several records: as much as fits into one packet.
    pub mtu: usize,
    /// Rate limit for bytes of lines.
    pub bytes: Allowance,
    /// Rate limit for lines, or their fragments.
    pub lines: Allowance,
    /// Maximum size, in bytes, of a line that is sent whole. A longer line is sent in fragments, each of which counts
    /// as a line.
    pub whole: usize,
    /// Size of each fragment of a longer line, in bytes.
    pub piece: usize,
    /// Minimum and maximum interval between beacons (see the Trickle algorithm, RFC 6206).
    pub beacons: (Duration, Duration),
    /// Maximum time for a line to reach all peers and for an answer to come back.
    pub round_trip: Duration,
    /// Whether a line may fail to reach some peers, so that lines are worth sending more than once.
    pub is_lossy: bool,
}

/// Which peers receive the lines of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// A single peer.
    Peer,
    /// All peers on a local network.
    Lan,
    /// All peers on the channel, anywhere in the world.
    World,
}

/// A rate limit: a maximum burst and a long-term rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Maximum amount at once.
    pub burst: u32,
    /// Long-term rate per minute.
    pub per_minute: u32,
}

impl Allowance {
    /// Limit of the lines of one host on all networks. It is far above what an honest host sends.
    pub const LINES_OF_HOST: Self = Self { burst: 2000, per_minute: 30_000 };
}

impl Capacity {
    /// A local network: 250 kB per second, in bursts of 100 datagrams.
    pub const LAN: Self = Self {
        reach: Reach::Lan,
        cost: 1,
        mtu: 1400,
        bytes: Allowance { burst: 64 * 1024, per_minute: 15_000_000 },
        lines: Allowance { burst: 100, per_minute: 30_000 },
        whole: usize::MAX,
        piece: usize::MAX,
        beacons: (Duration::from_millis(125), Duration::from_secs(2)),
        round_trip: Duration::from_millis(150),
        is_lossy: true,
    };

    /// One peer over UDP, because broadcasts do not reach it.
    pub const UNICAST: Self = Self {
        reach: Reach::Peer,
        cost: 2,
        beacons: (Duration::from_millis(500), Duration::from_secs(20)),
        round_trip: Duration::from_millis(500),
        ..Self::LAN
    };

    /// A lasting connection with one peer.
    pub const LINK: Self = Self {
        cost: 3,
        mtu: 8 * 1024,
        bytes: Allowance { burst: 256 * 1024, per_minute: 15_000_000 },
        lines: Allowance { burst: 500, per_minute: 30_000 },
        beacons: (Duration::from_millis(500), Duration::from_secs(30)),
        is_lossy: false,
        ..Self::UNICAST
    };

    /// A mesh over the internet, in which each line is forwarded many times.
    pub const MESH: Self = Self {
        reach: Reach::World,
        cost: 5,
        mtu: 4 * 1024,
        bytes: Allowance { burst: 64 * 1024, per_minute: 1_200_000 },
        lines: Allowance { burst: 50, per_minute: 3000 },
        beacons: (Duration::from_secs(1), Duration::from_secs(60)),
        round_trip: Duration::from_millis(1000),
        ..Self::LINK
    };

    /// A channel on an IRC server: one line of up to 300 bytes every two seconds, or 150 bytes of a longer line.
    pub const IRC: Self = Self {
        reach: Reach::World,
        cost: 20,
        mtu: 1500,
        bytes: Allowance { burst: 3000, per_minute: 9000 },
        // Leaves two lines per minute for answers that IRC itself requires.
        lines: Allowance { burst: 20, per_minute: 28 },
        whole: 300,
        piece: 150,
        beacons: (Duration::from_secs(30), Duration::from_secs(600)),
        round_trip: Duration::from_secs(20),
        is_lossy: false,
    };

    /// Returns the capacity for lines that are sealed and encoded as text, which makes them over a third longer.
    #[must_use]
    pub fn sealed_as_text(self) -> Self {
        let fits = |bytes: usize| if bytes == usize::MAX { bytes } else { bytes * 3 / 4 - 42 };
        Self { whole: fits(self.whole), piece: self.piece * 3 / 4 - 12, mtu: self.mtu * 2 / 3, ..self }
    }

    /// Returns the number of fragments of a line of this many bytes.
    pub fn pieces(&self, bytes: usize) -> u32 {
        let pieces = if bytes <= self.whole { 1 } else { bytes.div_ceil(self.piece) };
        u32::try_from(pieces).unwrap_or(u32::MAX)
    }
}

/// The receivers of a line on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// All peers on the channel.
    All,
    /// One host on a broadcast channel.
    Host(SocketAddr),
}

/// An event on a channel.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all events are of the large variant, and no event is stored"
)]
pub enum ChannelEvent {
    /// A channel has come up.
    Up {
        /// Identifier of the channel.
        channel: ChannelId,
        /// Kind of the channel.
        medium: Medium,
    },
    /// The peer of a link is a program on this computer: it connected from a loopback address.
    Local {
        /// Identifier of the link.
        channel: ChannelId,
    },
    /// A channel has gone down.
    Down {
        /// Identifier of the channel.
        channel: ChannelId,
    },
    /// The peer of a link sends no more lines, but still waits for answers.
    Ended {
        /// Identifier of the link.
        channel: ChannelId,
    },
    /// A fault has occurred, has changed, or is over.
    Trouble {
        /// Name of the channel, or of another part of the node, such as `identity`. The channel need not be up: the
        /// fault may be the reason why it is not.
        name: String,
        /// The fault; `None` once it is over.
        fault: Option<FaultReport>,
    },
    /// An attempt to connect has failed.
    ConnectFailed {
        /// Address that was dialled.
        address: SocketAddr,
    },
    /// A line was received.
    Received {
        /// Channel on which the line arrived.
        channel: ChannelId,
        /// Host that sent the line, on a broadcast channel that reveals it.
        source: Option<SocketAddr>,
        /// The decoded line.
        envelope: Envelope,
        /// Size of the line in bytes.
        bytes: usize,
        /// Whether the line reaches all nodes that are heard on the channel, as far as that is known. On a network that
        /// filters broadcasts or multicasts at some hosts, a line that is sent by one kind reaches only some of them.
        reaches_all: bool,
    },
    /// Something was received that is not a valid line.
    Malformed {
        /// Channel on which it arrived.
        channel: ChannelId,
    },
    /// Datagrams were dropped unread, because their hosts sent more than [`Allowance::LINES_OF_HOST`].
    OverBudget {
        /// Number of datagrams.
        datagrams: u64,
    },
    /// A datagram was received that belongs to another swarm: it was sealed with another key, or only one of the two
    /// swarms has a key.
    OtherSwarm {
        /// Host that sent it.
        source: SocketAddr,
    },
    /// A link has sent all lines that were queued for it.
    Drained {
        /// Identifier of the link.
        channel: ChannelId,
    },
}

/// A command for the channels.
#[derive(Clone, Debug, PartialEq)]
pub enum ChannelCommand {
    /// Sends a line.
    Send {
        /// Channel on which to send.
        channel: ChannelId,
        /// Receivers on that channel.
        target: Target,
        /// The line, as [`Envelope::encode`] writes it.
        line: String,
    },
    /// Opens a link to a peer's line port. The answer is `Up` or `ConnectFailed`.
    Connect {
        /// Address to dial.
        address: SocketAddr,
    },
    /// Closes a link after all queued lines are sent.
    Close {
        /// Identifier of the link.
        channel: ChannelId,
    },
}
