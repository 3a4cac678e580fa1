//! Bitswap 1.2.0 without I/O: the message codec, and the engine that decides which block to request from which peer.
//!
//! The protocol is that of Kubo and Helia (`/ipfs/bitswap/1.2.0`, specs.ipfs.tech/bitswap-protocol), so their nodes can
//! take part in a swarm. This crate is pure: it reads no clock, socket, file or random source. The crate `ipfs` is its
//! I/O shell: it sends messages over libp2p streams, and reads and writes blocks on the disk.
//!
//! - [`message`]: decodes bytes into checked messages and encodes them. [`message::decode`] accepts untrusted input.
//! - [`engine`]: a state machine. Its inputs are events and the time, its outputs are [`engine::Output`]s.
//!
//! # In short
//! - **Inputs**: peers that connect, messages that arrive, blocks that were stored, wants of callers, and the
//!   time.
//! - **Outputs**: messages to send, blocks to store, and the time of the next call.
//! - **Invariants**: a block has at most 2 MiB and a message at most 4 MiB; one message to each peer is under way
//!   at a time; every request has a time limit.
//! - **Start reading** at `engine.rs`, then `engine/choose.rs`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod engine;
pub mod message;
mod prefix;
mod wire;

/// The libp2p protocol name of the streams that carry the messages of this crate.
pub const PROTOCOL: &str = "/ipfs/bitswap/1.2.0";

/// Maximum size of a message, in bytes, both sent and received. This is the protocol's own limit.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// Maximum size of a block, in bytes, both sent and received. This is Kubo's limit.
pub const MAX_BLOCK_BYTES: usize = 2 * 1024 * 1024;
