//! Fuzz target for the symbols of another node's set, from which the set difference is decoded.
#![no_main]

use fuzz_targets::difference::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
