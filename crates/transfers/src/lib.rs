//! The service for transfers: downloads, rate limits and neighbours.
//!
//! A *download* is something that a person ordered. It is on the disk before it is acknowledged, goes on after every
//! restart, and waits for a peer that holds it without a time limit. What it fetched lies in the block store, so nothing
//! is fetched twice. [`Rates`] are the limits that a person set. The node is told which peers are near, so that peers that
//! fetch the same content exchange it.

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

pub use limit::{LEAST_RATE, Limit, LimitError, Limits};
pub use protocol::{
    Answer, Destination, LinkRate, MAX_PATH_BYTES, MAX_PIECE_BYTES, Order, Piece, Request, SourceRate,
    Transfer, TransferState,
};
pub use rates::Rates;
pub use shell::{Settings, Transfers};
