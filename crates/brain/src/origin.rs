//! The origin of a line.

use routing::ChannelId;
use std::net::SocketAddr;

/// The channel by which a line came, and the host that sent it, if the channel reveals it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) channel: ChannelId,
    pub(crate) source: Option<SocketAddr>,
    /// Whether the line reaches all nodes that are heard on the channel.
    pub(crate) reaches_all: bool,
}
