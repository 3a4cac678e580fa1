//! The service for transfers: downloads, rate limits and neighbours.
//!
//! A *download* is content that a user ordered. Its order is on the disk before it is acknowledged. The download
//! continues after every restart, and waits without a time limit for a peer that holds the content. Fetched blocks are
//! in the block store, so nothing is fetched twice. [`Rates`] are the rate limits that a user set. The service also
//! tells the IPFS node its neighbours, so that peers that fetch the same content exchange it.
//!
//! # In short
//! - **Inputs**: orders and limits of users, and the neighbours that records name.
//! - **Outputs**: files at their destinations, progress, and rate limits for the IPFS node.
//! - **Invariants**: an order is on the disk before it is acknowledged; a download waits for a holder
//!   without a time limit.
//! - **Start reading** at `downloads.rs`, then `runner.rs`.

mod archive;
mod chunk_reader;
mod downloads;
mod export;
mod limit;
mod neighbours;
mod order;
mod protocol;
mod rates;
mod report;
mod runner;
mod schedule;
mod shell;

pub use archive::{Archive, ArchivePart, Unpacker};
pub use limit::{LEAST_RATE, Limit, LimitError, Limits};
pub use protocol::{
    Answer, Destination, LinkRate, MAX_PATH_BYTES, MAX_PIECE_BYTES, Order, Piece, Request, SourceRate,
    Transfer, TransferState,
};
pub use rates::Rates;
pub use shell::{Settings, Transfers};
