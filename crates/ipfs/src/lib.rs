//! Content addressed by CID: the embedded IPFS node of dt-swarm, the Inter-Planetary Swarm of Duckiebots (IPSD).
//!
//! Files and directories are UnixFS, with the same CIDs as Kubo computes. Blocks are exchanged over Bitswap 1.2 on
//! libp2p, so Kubo and Helia are ordinary peers. The pure crate `bitswap` makes the decisions; this crate is its I/O
//! shell.
//!
//! - [`store::Store`]: blocks on disk, with a size limit, pins and garbage collection.
//! - [`unixfs`]: converts files and directories to blocks and back.
//! - [`node::Node`]: the handle of a running node. [`node::Node::start`] returns it together with the future that
//!   drives the node.
//! - [`copy`]: copies a file from one peer, for programs without a node.
//! - [`upnp`]: asks a router to forward a port, if the owner wants it.
//!
//! All input from peers is bounded and checked. A block is stored only under its own hash. A DAG is walked with limits
//! on blocks, bytes and depth. Names in directories are checked before they are used on a disk.
//!
//! # In short
//! - **Inputs**: content to add, CIDs to fetch, peers to connect with, and bytes from peers.
//! - **Outputs**: blocks and files on the disk, pins, the progress of fetches, and pubsub messages.
//! - **Start reading** at `node.rs`, then `store.rs`; for a copy from one peer at `copy.rs`.

mod bare_link;
pub mod copy;
pub mod dag;
pub mod node;
pub mod store;
pub mod unixfs;
pub mod upnp;

pub use cid::Cid;
pub use libp2p::{Multiaddr, PeerId, identity::Keypair};
