//! Fuzz target for the messages about usage statistics.
#![no_main]

use fuzz_targets::usage::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
