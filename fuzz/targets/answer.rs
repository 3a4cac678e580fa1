//! Fuzz target for an answer of the daemon's control socket, as the CLI reads it.
#![no_main]

use fuzz_targets::answer::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
