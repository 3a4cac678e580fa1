//! The swarm key: whoever has it reads and speaks on the line channels of its swarm, and nobody else does.
//!
//! Two shapes, for the two kinds of channels:
//! - [`Sealer`], where each line stands for itself and may get lost, come twice or come late: UDP, IRC, pubsub;
//! - [`LinkHandshake`] for TCP, where lines come in order: a line that was changed, left out, moved, repeated or taken
//!   from another connection ends the link.
//!
//! Both use XChaCha20-Poly1305 with keys that HKDF-SHA256 makes from the swarm key, one for each purpose.
//!
//! # What it gives
//! Without the key nobody can read a line, change one, make one, or have one taken twice by the same process. What stays to
//! be seen is how long lines are, when they are sent and from where. There are limits, and they are meant:
//! - Whoever has the key is inside: it does not tell one member from another. Signatures do that.
//! - There is no forward secrecy: who gets hold of the key later can read what was captured before.
//! - A process that was just started has no memory of what came before: a datagram captured earlier is taken by it once.
//!   The same holds for senders that it forgot, after 512 others (`MAX_SENDERS`). What can be said again so is only what
//!   was said once, and records that are known change nothing.
//! - A TCP connection can be cut by those on its way; what came before was whole and in order.
//!
//! This crate is pure: who uses it gives it random bytes. They have to be fresh for each [`Sealer`] and each link.
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
