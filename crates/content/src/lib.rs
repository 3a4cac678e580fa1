//! The service for content on this robot: adds, pins and unpins it, and tells how full the store is.
//!
//! Adding and pinning are jobs in memory: the program that started one asks for its progress, and a job for which nobody
//! asks is given up. What was fetched until then stays in the block store.

mod protocol;
mod shell;
mod work;

pub use protocol::{Answer, FileRow, FileState, Freed, PinRow, Pinned, Request, Storage};
pub use shell::{Content, Settings};
