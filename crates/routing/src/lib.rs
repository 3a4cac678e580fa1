//! How peers write to each other: addresses, envelopes and the line protocol `dswarm-line`.
//!
//! A line is one JSON object, the [`Envelope`]; its `payload` is itself a JSON text, a [`Message`]. Between
//! those who decide what to say and those who carry it out pass [`ChannelEvent`]s and [`ChannelCommand`]s. This crate is
//! pure: it turns bytes into types that cannot be wrong, and back.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod address;
mod channel;
mod envelope;
mod message;

pub use address::{Address, AddressError, MAX_ADDRESS_BYTES};
pub use channel::{ChannelCommand, ChannelEvent, ChannelId, Medium, Target};
pub use envelope::{Envelope, LineError, MAX_LINE_BYTES, MAX_SIGNATURES, Status};
pub use message::{MAX_PATTERNS, Message, MessageError};
