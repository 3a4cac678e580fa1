//! Encryption with the swarm key. Only nodes that have the key of a swarm can read its lines, and send lines that its
//! members accept.
//!
//! There are two forms, for the two kinds of channels:
//!
//! - [`Sealer`] for UDP, IRC and pubsub. Each line is independent; it may get lost, or arrive repeatedly or late.
//! - [`LinkHandshake`] for TCP, where lines arrive in order. The link ends if a line is changed, missing, out of order,
//!   repeated, or taken from another connection.
//!
//! Both use XChaCha20-Poly1305 with keys that HKDF-SHA256 derives from the swarm key, one for each purpose.
//!
//! # Security properties
//! Without the key, an attacker cannot read, change or create a line. An attacker also cannot make a process accept a
//! line twice. The length of lines, the time of sending and the sender's network address stay visible. There are these
//! deliberate limits:
//!
//! - All members have the same key, so it does not prove which member sent a line. Signatures prove that.
//! - There is no forward secrecy: an attacker that gets the key later can decrypt lines that were captured before.
//! - A process that has just started does not know which lines arrived earlier, so it accepts a captured datagram once.
//!   A process also forgets a sender when new lines of 512 other senders (`MAX_SENDERS`) have arrived since. It then
//!   accepts a captured datagram of this sender once more. Such a replay only repeats a line that was once sent. If the
//!   node already has the records of this line, the replay changes nothing.
//! - An attacker on the network path can end a TCP connection. All lines that arrived before are complete and in order.
//!
//! This crate is pure: the caller gives it random bytes. They must be fresh for each [`Sealer`] and each link.
//!
//! # In short
//! - **Inputs**: a swarm key, random bytes, and lines.
//! - **Outputs**: sealed lines, and opened lines or the reason why a line was not opened ([`Unsealed`]).
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

/// Reason why a line was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsealed {
    /// The line is too short or wrongly encoded, so it cannot be a sealed line.
    #[error("it is not a sealed line")]
    Plain,
    /// The line was sealed with another key, or changed on its way.
    #[error("it was sealed with another key, or changed on its way")]
    Forged,
    /// The line was opened before, or is so old that the node does not know whether it was opened before.
    #[error("it was received before, or it is so old that this can no longer be checked")]
    Replayed,
    /// The line was sealed by this node itself.
    #[error("this node sent it itself")]
    Own,
}
