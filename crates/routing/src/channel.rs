//! What passes between those who decide (the brain) and those who carry out (the channels).

use crate::{Address, Envelope};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;
use telemetry::FaultReport;

/// One channel, from up to down; a number is never given twice in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u64);

/// What kind of channel it is.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there are few channels")]
pub enum Medium {
    /// One network: whatever is said is heard by all on it, or lost.
    Broadcast {
        /// What people know it by.
        name: String,
        /// Its own address, such as `/ip4/10.77.0.255/udp/1240/dswarm-line`: what is addressed onwards from there is said on it.
        at: Option<Address>,
        /// Where this node takes line connections on that network; told to others so that they can ask for more.
        line: Option<Address>,
        /// Its limits.
        capacity: Capacity,
    },
    /// A connection with one peer; nothing is lost on it while it is up.
    Link {
        /// Whom this node asked to be connected with; `None` when the other side came to it.
        dialled: Option<SocketAddr>,
        /// Whether it is to last: a peer that somebody chose, and not one that was only dialled for a comparison.
        is_kept: bool,
    },
}

/// The limits of a network for one node, and the intervals that suit it.
#[derive(Clone, Debug, PartialEq)]
pub struct Capacity {
    /// Who hears what is said.
    pub reach: Reach,
    /// What a byte costs there, compared with other channels: of several channels to a peer the cheapest is taken.
    pub cost: u8,
    /// Records are said together as long as their line is no longer than this many bytes: what fits into one packet.
    pub mtu: usize,
    /// Bytes of lines.
    pub bytes: Allowance,
    /// Lines, or their pieces.
    pub lines: Allowance,
    /// The longest line that travels whole, in bytes; a longer one travels in pieces, each of which counts.
    pub whole: usize,
    /// The bytes of such a piece.
    pub piece: usize,
    /// The shortest and the longest interval of the beacons on it (see RFC 6206).
    pub beacons: (Duration, Duration),
    /// How long a line may take to all that hear it, and an answer to come back.
    pub round_trip: Duration,
    /// Whether what is said may get lost on the way to some, so that saying it more than once is worth its bytes.
    pub is_lossy: bool,
}

/// Who hears what is said on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// One peer.
    Peer,
    /// All on a local network.
    Lan,
    /// Whoever is there, anywhere.
    World,
}

/// So much at once, and so much in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// At once.
    pub burst: u32,
    /// In the long run, a minute.
    pub per_minute: u32,
}

impl Capacity {
    /// A local network: 250 kB a second, in bursts of 100 datagrams.
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

    /// One peer by UDP, because broadcasts do not reach it.
    pub const UNICAST: Self = Self {
        reach: Reach::Peer,
        cost: 2,
        beacons: (Duration::from_millis(500), Duration::from_secs(20)),
        round_trip: Duration::from_millis(500),
        ..Self::LAN
    };

    /// A connection with one peer that is to last.
    pub const LINK: Self = Self {
        cost: 3,
        mtu: 8 * 1024,
        bytes: Allowance { burst: 256 * 1024, per_minute: 15_000_000 },
        lines: Allowance { burst: 500, per_minute: 30_000 },
        beacons: (Duration::from_millis(500), Duration::from_secs(30)),
        is_lossy: false,
        ..Self::UNICAST
    };

    /// A mesh over the internet, in which each line is passed on many times.
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

    /// A channel of an IRC server: a line every two seconds, of 300 bytes, or 150 of a longer one.
    pub const IRC: Self = Self {
        reach: Reach::World,
        cost: 20,
        mtu: 1500,
        bytes: Allowance { burst: 3000, per_minute: 9000 },
        // Two a minute are left for what IRC itself wants answered.
        lines: Allowance { burst: 20, per_minute: 28 },
        whole: 300,
        piece: 150,
        beacons: (Duration::from_secs(30), Duration::from_secs(600)),
        round_trip: Duration::from_secs(20),
        is_lossy: false,
    };

    /// The same where lines are sealed and written as text, which makes them longer by a third and some.
    #[must_use]
    pub fn sealed_as_text(self) -> Self {
        let fits = |bytes: usize| if bytes == usize::MAX { bytes } else { bytes * 3 / 4 - 42 };
        Self { whole: fits(self.whole), piece: self.piece * 3 / 4 - 12, mtu: self.mtu * 2 / 3, ..self }
    }

    /// Into how many pieces a line of so many bytes is cut.
    pub fn pieces(&self, bytes: usize) -> u32 {
        let pieces = if bytes <= self.whole { 1 } else { bytes.div_ceil(self.piece) };
        u32::try_from(pieces).unwrap_or(u32::MAX)
    }
}

/// Who hears what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Everybody on the channel.
    All,
    /// One host of a broadcast channel.
    Host(SocketAddr),
}

/// Something that happened on a channel.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all events are of the large one, and none is kept")]
pub enum ChannelEvent {
    /// A channel can be used from now on.
    Up {
        /// Its number.
        channel: ChannelId,
        /// Its kind.
        medium: Medium,
    },
    /// The other side of a link is a program on this computer: it connected from a loopback address.
    Local {
        /// The link.
        channel: ChannelId,
    },
    /// A channel is gone.
    Down {
        /// Its number.
        channel: ChannelId,
    },
    /// The other side of a link will say no more, but still listens for what it asked.
    Ended {
        /// Which.
        channel: ChannelId,
    },
    /// Something that should work does not, or works again.
    Trouble {
        /// The name of a channel, or of what would be one.
        name: String,
        /// The fault; `None` once it works.
        fault: Option<FaultReport>,
    },
    /// An attempt to connect came to nothing.
    ConnectFailed {
        /// With whom.
        address: SocketAddr,
    },
    /// A line came.
    Received {
        /// By which channel.
        channel: ChannelId,
        /// From which host, on a broadcast channel that tells.
        source: Option<SocketAddr>,
        /// The line.
        envelope: Envelope,
        /// How many bytes it had.
        bytes: usize,
    },
    /// Something came that is no line.
    Malformed {
        /// By which channel.
        channel: ChannelId,
    },
    /// A link has sent everything that it was given.
    Drained {
        /// Which.
        channel: ChannelId,
    },
}

/// Something to do on a channel.
#[derive(Clone, Debug, PartialEq)]
pub enum ChannelCommand {
    /// Send a line.
    Send {
        /// By which channel.
        channel: ChannelId,
        /// To whom on it.
        target: Target,
        /// The line, as [`Envelope::encode`] writes it.
        line: String,
    },
    /// Open a link to a peer's line port; answered by `Up` or `ConnectFailed`.
    Connect {
        /// Where.
        address: SocketAddr,
    },
    /// Close a link, once what it was given is sent.
    Close {
        /// Which.
        channel: ChannelId,
    },
}
