//! Bitswap 1.2.0, the part that decides: what the messages say, and which block to ask of whom and when.
//!
//! The protocol is the one of Kubo and Helia (`/ipfs/bitswap/1.2.0`, specs.ipfs.tech/bitswap-protocol), so that they
//! take part in a swarm. This crate is pure: it reads no clock, socket, file or random source. The crate `ipfs` is its
//! I/O shell: it carries messages over libp2p streams and blocks to and from the disk.
//!
//! - [`message`]: bytes to checked messages and back. [`message::decode`] takes anything a stranger sends.
//! - [`engine`]: a state machine. Events and the time go in, [`engine::Output`]s come out.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod engine;
pub mod message;
mod prefix;
mod wire;

/// The libp2p protocol name on which messages of this crate are spoken.
pub const PROTOCOL: &str = "/ipfs/bitswap/1.2.0";

/// The largest message that may be sent or is read, in bytes (the protocol's own limit).
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// The largest block that is sent or accepted, in bytes (Kubo's limit).
pub const MAX_BLOCK_BYTES: usize = 2 * 1024 * 1024;
