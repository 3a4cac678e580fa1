//! Fuzz target for a ping or an answer on UDP port 11411.
#![no_main]

use fuzz_targets::ping::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
