//! Tests of the gateway with a real node and `curl` as the client.
#![expect(clippy::unwrap_used, reason = "a panic fails the test with a message")]

mod directories;
mod fetching;
mod files;
mod limits;
mod support;
mod trustless;
