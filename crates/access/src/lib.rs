//! The service for access to a robot: streams between peers and chosen TCP ports of this host, such as its SSH server.
//!
//! No port can be reached until the owner of the robot allows it. A *permission* names a peer or a role, and one port.
//! A *stream* is carried by the IPFS node over any connection with the peer, which proves its identity. The daemon
//! connects it to the port on this host. Permissions are judged when a stream begins, and again whenever a permission
//! or a role changes. A stream that is no longer permitted ends at once. Each use and each refusal is logged.
//!
//! # In short
//! - **Inputs**: permissions of the owner, streams of peers, roles from the set, and requests of programs on this host.
//! - **Outputs**: bytes between peers and ports, and the log of uses.
//! - **Invariants**: without a permission no port is connected; the connection proves the peer ID; a permission is on the
//!   disk before it takes effect. It is taken back in memory before it is removed from the disk.
//! - **Start reading** at `judge.rs`, then `serve.rs`.

mod ask;
mod copy;
mod gate;
mod judge;
mod limits;
mod log;
mod log_table;
mod permission;
mod protocol;
mod serve;
mod shared;
mod shell;
pub mod wire;

pub use judge::Refusal;
pub use log::{RefusedUse, Use, UseEnd};
pub use permission::{GivenRole, Grantee, Permission};
pub use protocol::{Answer, MAX_PORTS, OpenStream, Request};
pub use shell::{Access, Settings};
