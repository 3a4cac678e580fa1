//! The line protocol `dswarm-line` of the Inter-Planetary Swarm of Duckiebots (IPSD): addresses, routes, envelopes and
//! messages.
//!
//! A line is one JSON object, the [`Envelope`]. Its `payload` is itself a JSON text, a [`Message`]. The brain decides
//! which lines are sent and the channels send them; between them pass [`ChannelEvent`]s and [`ChannelCommand`]s. This
//! crate is pure. It converts bytes to types that allow only valid values, and back.
//!
//! # In short
//! - **Inputs**: lines as bytes; routing rules; the channels on which peers were heard.
//! - **Outputs**: envelopes, messages and addresses as types; the channel for an address.
//! - **Invariants**: an address is checked once, when it is parsed; a value that was decoded encodes to the same
//!   line again; all lines have limits.
//! - **Start reading** at `address.rs`, then `envelope.rs` and `table.rs`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod address;
mod channel;
mod envelope;
mod fragment;
mod message;
mod repair;
mod status;
mod table;
mod tokens;

pub use address::{
    Address, AddressError, Content, Family, Hop, Host, MAX_ADDRESS_BYTES, MAX_HOPS, Member,
    MultiaddressError, Node, Part, Segments, Socket, Transport, Wild,
};
pub use channel::{Allowance, Capacity, ChannelCommand, ChannelEvent, ChannelId, Medium, Reach, Target};
pub use envelope::{Envelope, LineError, MAX_LINE_BYTES, MAX_SIGNATURES};
pub use fragment::{
    Assembler, FRAGMENT_BYTES, FragmentError, MAX_FRAGMENTS, MAX_PARTIAL, MAX_PARTIAL_BYTES,
    MAX_PARTIAL_OF_SENDER, MAX_WHOLE_BYTES, fragments,
};
pub use message::{MAX_PATTERNS, Message, MessageError, PatternTexts};
pub use repair::{Beacon, Carried, MAX_RECORDS, MAX_SALT, MAX_SYMBOLS, MAX_WANTED, Repair, Sketch, Want};
pub use status::{ChannelStatus, MAX_CHANNELS, Status, SyncStatus, Trouble};
pub use table::{
    By, Explanation, LEARNED_LIFETIME, LearnedRoute, MAX_LEARNED, MAX_ROUTES_OF_PEER, MAX_RULES, MAX_STEPS,
    Resolution, RouteError, Rule, RuleError, Step, Table, TableError,
};
pub use tokens::{SenderBudgets, Tokens};
