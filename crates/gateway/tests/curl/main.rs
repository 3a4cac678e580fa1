//! The gateway of a real node, asked by `curl`.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod directories;
mod fetching;
mod files;
mod limits;
mod support;
mod trustless;
