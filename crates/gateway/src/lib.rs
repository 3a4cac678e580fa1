//! A read-only IPFS gateway: serves content by CID over HTTP at `http://127.0.0.1:6080/ipfs/CID/path`.
//!
//! It implements the path gateway and the trustless gateway of the IPFS specifications (specs.ipfs.tech/http-gateways):
//! files with ranges, directories, single blocks, and CARs (content archives). Blocks that are not stored on this node are
//! fetched from the holders of the content, and from neighbours. Every block is verified against its hash. The gateway
//! keeps only one block of a file in memory at a time, however large the file is. The listener, its limits, and the
//! protection against pages of other sites belong to the crate `http_server`.
//!
//! - [`request`]: parses the head of a request; pure.
//! - [`routes()`]: the gateway as a set of routes of an HTTP server.
//!
//! Not implemented are IPNS, TAR, sharded directories, and conversions between codecs. Requests for them are answered with
//! the status 406 or 501 and a message that says so.
//!
//! # In short
//! - **Inputs**: requests from `http_server`, the block store, and the IPFS node.
//! - **Outputs**: answers that are verified block by block.
//! - **Invariants**: no byte is sent before its block is checked; a request is parsed once into types.
//! - **Start reading** at `request.rs`, then `routes.rs`.

mod answer;
mod blocks;
mod car;
mod content_error;
mod directory;
mod disposition;
mod file;
mod listing;
mod media;
pub mod request;
mod resolve;
mod resolved_request;
mod routes;

pub use blocks::Holders;
pub use routes::{BLOCK_TIMEOUT, routes};
