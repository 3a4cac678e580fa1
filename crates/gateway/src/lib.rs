//! Content by CID over HTTP: a read-only IPFS gateway at `http://127.0.0.1:6080/ipfs/CID/path`.
//!
//! It follows the path gateway and the trustless gateway of the IPFS specifications (specs.ipfs.tech/http-gateways):
//! files with ranges, directories, single blocks, and CARs. Blocks that are not here are fetched from those
//! who are said to have them, and from neighbours.
//! Blocks are checked against their hash, and however large a file is, one block of it is held at a time. The listener,
//! its limits, and the protection against pages of other sites are those of the crate `http_server`.
//!
//! - [`request`]: reads what a client asks for from the head of its request; pure.
//! - [`routes()`]: the gateway as a set of routes of an HTTP server.
//!
//! Not implemented: IPNS, TAR, sharded directories, and conversions between codecs. Requests for them are answered with
//! the status 406 or 501 and a sentence that says so.

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
