//! How peers write to each other: addresses, envelopes and the line protocol `dswarm-line`.
//!
//! A line is one JSON object, the [`Envelope`]; its `payload` is itself a JSON text, a [`Message`]. Between
//! those who decide what to say and those who carry it out pass [`ChannelEvent`]s and [`ChannelCommand`]s. This crate is
//! pure: it turns bytes into types that cannot be wrong, and back.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod address;
mod channel;
mod envelope;
mod fragment;
mod message;
mod repair;
mod status;
mod table;

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
