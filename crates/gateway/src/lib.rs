//! Content by CID over HTTP: a read-only IPFS gateway at `http://127.0.0.1:6080/ipfs/CID/path`.
//!
//! It follows the path gateway and the trustless gateway of the IPFS specifications (specs.ipfs.tech/http-gateways):
//! files with ranges, directories, single blocks, and CARs. Blocks that are not here are fetched from those
//! who are said to have them, and from neighbours.
//! It believes nobody: blocks are checked against their hash, a page on another site cannot make a browser on this host
//! read what is here, and however large a file is, one block of it is held at a time.
//!
//! - [`request`]: what a client asks for, read from the head of its request; pure.
//! - [`run_gateway`]: the door itself.
//!
//! Not spoken: IPNS, TAR, sharded directories, and conversions between codecs; who asks for them is told so.

mod answer;
mod blocks;
mod body;
mod car;
mod directory;
mod disposition;
mod door;
mod file;
mod listing;
mod media;
mod patience;
mod refusal;
pub mod request;
mod resolve;

pub use blocks::Holders;
pub use door::{Door, DoorError, Settings, run_gateway};
pub use refusal::Refusal;
