//! The channels: UDP on every suitable interface and to single hosts, TCP links, a channel on an IRC server, and a
//! topic of IPFS pubsub. All of them carry the line protocol of the Inter-Planetary Swarm of Duckiebots (IPSD).
//!
//! The channels report what happens as [`routing::ChannelEvent`]s. They carry out [`routing::ChannelCommand`]s, which
//! reach them through the [`Switchboard`]. This crate bounds everything that a remote host can send or withhold: the
//! size of a line, the number of connections, and how long a connection may be silent or slow.
//!
//! # In short
//! - **Inputs**: commands from the brain, bytes from remote hosts, and the peers to stay connected with.
//! - **Outputs**: events, each with a line or a state of a channel, and faults that say what is wrong.
//! - **Invariants**: one channel cannot stop another; IRC sends one line in two seconds, however much the brain
//!   sends; with a swarm key every line is sealed.
//! - **Start reading** at `link.rs`, `udp.rs` and `irc.rs`.

mod backoff;
mod bind_error;
mod dial;
mod handshake;
mod heard;
mod interface_kind;
mod interface_watch;
mod interfaces;
mod irc;
mod link;
mod link_places;
mod local_address;
mod persistent;
mod pubsub;
mod reading_pace;
mod route;
mod switchboard;
mod tcp;
mod udp;
mod web_server;
mod wire;

pub use bind_error::BindError;
pub use heard::Heard;
pub use interface_kind::InterfaceKind;
pub use interface_watch::InterfaceWatch;
pub use interfaces::{Interface, InterfaceFilter, InterfaceFilterError, Network};
pub use irc::{IrcError, IrcSettings, IrcTls, IrcWaits, run_irc};
pub use local_address::LocalAddress;
pub use persistent::TcpPeer;
pub use pubsub::{PubsubEnds, PubsubSettings, run_pubsub};
pub use switchboard::Switchboard;
pub use tcp::{TcpSettings, run_tcp};
pub use udp::{UdpPeer, UdpSettings, run_udp};
pub use wire::Wire;
