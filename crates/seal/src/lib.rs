//! The swarm key: only nodes with the key of a swarm can read and send lines on its channels.
//!
//! There are two forms, for the two kinds of channels:
//! - [`Sealer`] seals each line on its own, for channels on which lines may get lost, repeated or delayed: UDP, IRC, pubsub.
//! - [`LinkHandshake`] is for TCP, where lines arrive in order. A line that was changed, left out, moved, repeated or taken
//!   from another connection ends the link.
//!
//! Both use XChaCha20-Poly1305. HKDF-SHA256 derives one key for each purpose from the swarm key.
//!
//! # Security properties
//! Without the key nobody can read, change or make a line, or have one accepted twice by the same process. An observer still
//! sees the length, time and source of each line. These limits are intended:
//! - Everybody with the key is inside. The key does not distinguish members; signatures do.
//! - There is no forward secrecy. A person who gets the key later can read lines that were captured before.
//! - A process that was just started has no memory of earlier lines, so it accepts an old datagram once. The same holds for
//!   senders that it forgot, after 512 others (`MAX_SENDERS`). Only lines that were really sent can be repeated in this way,
//!   and known records change nothing.
//! - A TCP connection can be cut on its way. The lines before the cut were complete and in order.
//!
//! This crate is pure: the caller provides random bytes, which must be fresh for each [`Sealer`] and each link.
//!
//! # In short
//! - **Inputs**: a swarm key, random bytes, and lines.
//! - **Outputs**: sealed lines, or opened lines, or nothing for a line that was not sealed for this purpose.
//! - **Start reading** at `datagram.rs`, then `link.rs`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod datagram;
mod key;
mod link;
mod replay;

pub use datagram::{BOOT_BYTES, OVERHEAD, Sealer};
pub use key::{KEY_BYTES, KeyError, SwarmKey};
pub use link::{
    HelloError, LineOpener, LineSealer, LinkHandshake, MAX_HELLO_BYTES, SALT_BYTES, is_hello,
    sealed_line_bytes,
};
pub use replay::{MAX_SENDERS, WINDOW};

/// Why what came was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsealed {
    /// It cannot be anything sealed.
    #[error("it is not sealed")]
    Plain,
    /// Sealed with another key, or changed on its way.
    #[error("it was sealed with another key, or changed")]
    Forged,
    /// It was opened before, or is too old to know.
    #[error("it was heard before")]
    Replayed,
    /// What this node said itself.
    #[error("this node said it itself")]
    Own,
}
