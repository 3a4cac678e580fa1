//! Content by CID: the embedded IPFS node of dt-swarm.
//!
//! Files and directories are UnixFS with the CIDs that Kubo gives. Blocks come and go over Bitswap 1.2 on libp2p, so
//! Kubo and Helia are peers like any other. What decides is in the pure crate `bitswap`; this crate is its I/O shell.
//!
//! - [`store::Store`]: blocks on disk, bounded, with pins and garbage collection.
//! - [`unixfs`]: files and directories to blocks and back.
//! - [`node::Node`]: the handle of a running node; [`node::Node::start`] gives it together with the future that
//!   drives it.
//! - [`copy`]: a file from one peer, for programs without a node.
//!
//! Whatever comes from a peer is bounded and checked: a block is stored only under the hash that it has, a DAG is
//! walked with limits on blocks, bytes and depth, and names in directories are checked before they touch a disk.

pub mod copy;
pub mod dag;
pub mod node;
pub mod store;
pub mod unixfs;

pub use cid::Cid;
pub use libp2p::{Multiaddr, PeerId, identity::Keypair};
