//! Fuzz target for a request to the daemon's control socket: its frame, and the request of each service in it.
#![no_main]

use fuzz_targets::request::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
