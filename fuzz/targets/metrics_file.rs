//! Fuzz target for a text file in which a local program leaves values.
#![no_main]

use fuzz_targets::metrics_file::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
