//! Fuzz target for an address and its multiaddress, and on a second line a queue to strip from it.
#![no_main]

use fuzz_targets::address::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
