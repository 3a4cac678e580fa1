//! The service for content on this robot: adds, pins and unpins content, and reports how full the block store is.
//!
//! Adding and pinning are jobs in memory. The client that started a job polls its status; a job that no client polls for
//! ten seconds is cancelled. Blocks that were fetched before the cancellation stay in the block store.
//!
//! # In short
//! - **Inputs**: requests on the control socket.
//! - **Outputs**: answers, jobs, and pins and blocks in the store of the IPFS node.
//! - **Invariants**: only `unpin` removes a pin that a user made; a job that no client polls is cancelled.
//! - **Start reading** at `shell.rs`, then `work.rs`.

mod protocol;
mod shell;
mod work;

pub use protocol::{Answer, FileRow, FileState, Freed, PinRow, Pinned, Request, Storage};
pub use shell::{Content, Settings};
