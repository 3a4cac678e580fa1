//! Tests of the gateway with a real node and `curl` as the client.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod directories;
mod fetching;
mod files;
mod limits;
mod support;
mod trustless;
