//! Fuzz target for a file of any kind.
#![no_main]

use fuzz_targets::head::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
