//! The fuzz targets: checks that must hold for each decoder on any input.
//!
//! For any bytes, a decoder must not panic and must keep its limits. A decoded value must be the same after encoding
//! and decoding it again. There is one module for each decoder. The crate is for developers only; no program depends on
//! it.
//!
//! The targets are run in two ways. `tools/fuzz` runs them with libFuzzer, through the binaries in `fuzz/`. Each
//! `./check` runs them by `tests/replay.rs`, with the seeds and with the inputs that are kept in `fuzz/corpus/TARGET`.
//!
//! To add a target:
//! 1. Add its file here, with `check` and `seeds`. Add its `pub mod` and its entry in [`TARGETS`] below.
//! 2. Copy a binary in `fuzz/targets`, and add the three lines of its `[[bin]]` entry to `fuzz/Cargo.toml`.
//! 3. Run `tools/fuzz 600 TARGET` and then `tools/fuzz --keep TARGET`. Commit its corpus.
//!
//! # In short
//! - **Inputs**: any bytes.
//! - **Outputs**: none; a target panics when its property fails.
//! - **Start reading** at [`TARGETS`].

pub mod address;
pub mod announcement;
pub mod answer;
pub mod archive;
pub mod bag;
pub mod batch;
pub mod bitswap;
pub mod bucket;
pub mod catalog;
pub mod cid;
pub mod dag;
pub mod description;
pub mod device_health;
pub mod difference;
pub mod dns;
pub mod fragment;
pub mod gateway;
pub mod head;
pub mod health;
pub mod hello;
pub mod history;
pub mod host;
pub mod key_file;
pub mod line;
pub mod mcap;
pub mod metadata;
pub mod metrics_file;
pub mod metrics_messages;
pub mod opening;
pub mod page;
pub mod pattern;
pub mod peer_id;
pub mod ping;
pub mod probe;
pub mod profile;
pub mod punch;
mod recording;
pub mod request;
pub mod row;
pub mod rule;
mod samples;
pub mod sealed;
pub mod signature;
pub mod statement;
pub mod storage;
pub mod swarm_file;
pub mod tuf_file;
pub mod upnp;
pub mod usage;

/// A decoder under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name of the target's module, of its binary in `fuzz/targets`, and of its corpus.
    pub name: &'static str,
    /// Decodes the bytes. Panics if the decoder panics, or if the decoded value violates a check of the target.
    pub check: fn(&[u8]),
    /// Returns the seed inputs, from which the fuzzer starts. The code creates them, so they never become outdated.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets, sorted by name.
pub const TARGETS: &[Target] = &[
    Target { name: "address", check: address::check, seeds: address::seeds },
    Target { name: "announcement", check: announcement::check, seeds: announcement::seeds },
    Target { name: "answer", check: answer::check, seeds: answer::seeds },
    Target { name: "archive", check: archive::check, seeds: archive::seeds },
    Target { name: "bag", check: bag::check, seeds: bag::seeds },
    Target { name: "batch", check: batch::check, seeds: batch::seeds },
    Target { name: "bitswap", check: bitswap::check, seeds: bitswap::seeds },
    Target { name: "bucket", check: bucket::check, seeds: bucket::seeds },
    Target { name: "catalog", check: catalog::check, seeds: catalog::seeds },
    Target { name: "cid", check: cid::check, seeds: cid::seeds },
    Target { name: "dag", check: dag::check, seeds: dag::seeds },
    Target { name: "description", check: description::check, seeds: description::seeds },
    Target { name: "device_health", check: device_health::check, seeds: device_health::seeds },
    Target { name: "difference", check: difference::check, seeds: difference::seeds },
    Target { name: "dns", check: dns::check, seeds: dns::seeds },
    Target { name: "fragment", check: fragment::check, seeds: fragment::seeds },
    Target { name: "gateway", check: gateway::check, seeds: gateway::seeds },
    Target { name: "head", check: head::check, seeds: head::seeds },
    Target { name: "health", check: health::check, seeds: health::seeds },
    Target { name: "hello", check: hello::check, seeds: hello::seeds },
    Target { name: "history", check: history::check, seeds: history::seeds },
    Target { name: "host", check: host::check, seeds: host::seeds },
    Target { name: "key_file", check: key_file::check, seeds: key_file::seeds },
    Target { name: "line", check: line::check, seeds: line::seeds },
    Target { name: "mcap", check: mcap::check, seeds: mcap::seeds },
    Target { name: "metadata", check: metadata::check, seeds: metadata::seeds },
    Target { name: "metrics_file", check: metrics_file::check, seeds: metrics_file::seeds },
    Target { name: "metrics_messages", check: metrics_messages::check, seeds: metrics_messages::seeds },
    Target { name: "opening", check: opening::check, seeds: opening::seeds },
    Target { name: "page", check: page::check, seeds: page::seeds },
    Target { name: "pattern", check: pattern::check, seeds: pattern::seeds },
    Target { name: "peer_id", check: peer_id::check, seeds: peer_id::seeds },
    Target { name: "probe", check: probe::check, seeds: probe::seeds },
    Target { name: "profile", check: profile::check, seeds: profile::seeds },
    Target { name: "ping", check: ping::check, seeds: ping::seeds },
    Target { name: "punch", check: punch::check, seeds: punch::seeds },
    Target { name: "request", check: request::check, seeds: request::seeds },
    Target { name: "row", check: row::check, seeds: row::seeds },
    Target { name: "rule", check: rule::check, seeds: rule::seeds },
    Target { name: "sealed", check: sealed::check, seeds: sealed::seeds },
    Target { name: "signature", check: signature::check, seeds: signature::seeds },
    Target { name: "statement", check: statement::check, seeds: statement::seeds },
    Target { name: "storage", check: storage::check, seeds: storage::seeds },
    Target { name: "swarm_file", check: swarm_file::check, seeds: swarm_file::seeds },
    Target { name: "tuf_file", check: tuf_file::check, seeds: tuf_file::seeds },
    Target { name: "upnp", check: upnp::check, seeds: upnp::seeds },
    Target { name: "usage", check: usage::check, seeds: usage::seeds },
];
