//! The channels: UDP on every fit interface and to single hosts, TCP links, a channel of an IRC server, and a topic of
//! IPFS pubsub, all speaking the line protocol.
//!
//! They carry out and report: what happens goes up as [`routing::ChannelEvent`]s, what to do comes down as
//! [`routing::ChannelCommand`]s through the [`Switchboard`]. Everything that a stranger can send or withhold is
//! bounded here: the size of a line, the number of connections, how long one may be silent or slow.

mod dial;
mod handshake;
mod interfaces;
mod irc;
mod kept;
mod link;
mod pubsub;
mod switchboard;
mod tcp;
mod udp;
mod wire;

pub use interfaces::{Choice, ChoiceError, Interface, Network};
pub use irc::{IrcError, IrcSettings, IrcTls, IrcWaits, run_irc};
pub use kept::{KeptPeer, MAX_KEPT};
pub use pubsub::{PubsubEnds, PubsubSettings, run_pubsub};
pub use switchboard::Switchboard;
pub use tcp::{TcpSettings, run_tcp};
pub use udp::{UdpPeer, UdpSettings, run_udp};
pub use wire::{MAX_TEXT_BYTES, Wire};

/// Why a door could not be opened. The message names the way out.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The port is taken, most often by another daemon.
    #[error(
        "{protocol} port {port} is taken by another program (another dt-swarm?); stop that one or set \
         `{setting}` in the configuration file"
    )]
    Taken {
        /// UDP or TCP.
        protocol: &'static str,
        /// The port.
        port: u16,
        /// The setting that chooses another.
        setting: &'static str,
    },
    /// Anything else that the operating system says.
    #[error("{protocol} port {port} cannot be opened: {source}")]
    Io {
        /// UDP or TCP.
        protocol: &'static str,
        /// The port.
        port: u16,
        /// What it says.
        source: std::io::Error,
    },
}

impl DoorError {
    fn new(protocol: &'static str, port: u16, setting: &'static str, source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::AddrInUse => Self::Taken { protocol, port, setting },
            _ => Self::Io { protocol, port, source },
        }
    }
}
