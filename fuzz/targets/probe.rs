//! Fuzz target for a message of AutoNAT v2.
#![no_main]

use fuzz_targets::probe::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
