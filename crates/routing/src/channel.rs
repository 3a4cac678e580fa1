//! What passes between those who decide (the brain) and those who carry out (the channels).

use crate::{Address, Envelope};
use std::net::SocketAddr;

/// One channel, from up to down; a number is never given twice in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u64);

/// What kind of channel it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Medium {
    /// One network: whatever is said is heard by all on it, or lost.
    Broadcast {
        /// Where this node takes line connections on that network; told to others so that they can ask for more.
        line: Address,
    },
    /// A connection with one peer; nothing is lost on it while it is up.
    Link {
        /// Whom this node asked to be connected with; `None` when the other side came to it.
        dialled: Option<SocketAddr>,
    },
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
pub enum ChannelEvent {
    /// A channel can be used from now on.
    Up {
        /// Its number.
        channel: ChannelId,
        /// Its kind.
        medium: Medium,
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
    /// An attempt to connect came to nothing.
    ConnectFailed {
        /// With whom.
        address: SocketAddr,
    },
    /// A line came.
    Received {
        /// By which channel.
        channel: ChannelId,
        /// From which host, on a broadcast channel.
        source: Option<SocketAddr>,
        /// The line.
        envelope: Envelope,
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
        /// The line.
        envelope: Envelope,
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
