//! What is held against each decoder: whatever bytes come, it does not panic, its bounds hold, and what it has read it
//! reads again from what it writes. One module a decoder, for developers only; no program depends on this crate.
//!
//! Two run it: libFuzzer by `tools/fuzz`, through the shells in `fuzz/`, and every `./check` by `tests/replay.rs`, with
//! the seeds and with the inputs that are kept in `fuzz/corpus/TARGET`.
//!
//! To add a target:
//! 1. its file here, with `check` and `seeds`, and its two lines below: its `pub mod` and its entry in [`TARGETS`];
//! 2. its shell in `fuzz/targets`, copied from another, and three lines `[[bin]]` in `fuzz/Cargo.toml`;
//! 3. `tools/fuzz 600 TARGET`, then `tools/fuzz --keep TARGET`, and its corpus goes into the commit.

pub mod address;
pub mod answer;
pub mod bitswap;
pub mod bucket;
pub mod cid;
pub mod dag;
pub mod description;
pub mod difference;
pub mod fragment;
pub mod gateway;
pub mod hello;
pub mod key_file;
pub mod line;
pub mod pattern;
pub mod peer_id;
pub mod request;
pub mod row;
pub mod rule;
mod samples;
pub mod sealed;
pub mod signature;
pub mod statement;
pub mod swarm_file;

/// A decoder under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of its module, of its shell in `fuzz/targets` and of its corpus.
    pub name: &'static str,
    /// Reads the bytes with the decoder; panics when the decoder does, or when what it has read cannot be right.
    pub check: fn(&[u8]),
    /// Inputs to begin with. They are made by the code itself, so they never grow stale.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target, by name.
pub const TARGETS: &[Target] = &[
    Target { name: "address", check: address::check, seeds: address::seeds },
    Target { name: "answer", check: answer::check, seeds: answer::seeds },
    Target { name: "bitswap", check: bitswap::check, seeds: bitswap::seeds },
    Target { name: "bucket", check: bucket::check, seeds: bucket::seeds },
    Target { name: "cid", check: cid::check, seeds: cid::seeds },
    Target { name: "dag", check: dag::check, seeds: dag::seeds },
    Target { name: "description", check: description::check, seeds: description::seeds },
    Target { name: "difference", check: difference::check, seeds: difference::seeds },
    Target { name: "fragment", check: fragment::check, seeds: fragment::seeds },
    Target { name: "gateway", check: gateway::check, seeds: gateway::seeds },
    Target { name: "hello", check: hello::check, seeds: hello::seeds },
    Target { name: "key_file", check: key_file::check, seeds: key_file::seeds },
    Target { name: "line", check: line::check, seeds: line::seeds },
    Target { name: "pattern", check: pattern::check, seeds: pattern::seeds },
    Target { name: "peer_id", check: peer_id::check, seeds: peer_id::seeds },
    Target { name: "request", check: request::check, seeds: request::seeds },
    Target { name: "row", check: row::check, seeds: row::seeds },
    Target { name: "rule", check: rule::check, seeds: rule::seeds },
    Target { name: "sealed", check: sealed::check, seeds: sealed::seeds },
    Target { name: "signature", check: signature::check, seeds: signature::seeds },
    Target { name: "statement", check: statement::check, seeds: statement::seeds },
    Target { name: "swarm_file", check: swarm_file::check, seeds: swarm_file::seeds },
];
