//! The service for content on this robot: adds, pins and unpins content, and reports how full the block store is.
//!
//! Adding and pinning are jobs in memory. The client that started a job polls its status; a job that no client polls for
//! ten seconds is cancelled. The blocks that were fetched until then stay in the block store.
//!
//! # In short
//! - **Inputs**: requests on the control socket.
//! - **Outputs**: answers, jobs, and pins and blocks in the store of the IPFS node.
//! - **Invariants**: a pin of a person is removed by `unpin` only; a job that nobody waits for ends.
//! - **Start reading** at `shell.rs`, then `work.rs`.

mod protocol;
mod shell;
mod work;

pub use protocol::{Answer, FileRow, FileState, Freed, PinRow, Pinned, Request, Storage};
pub use shell::{Content, Settings};
