//! Fuzz target for the records of batches.
#![no_main]

use fuzz_targets::announcement::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
