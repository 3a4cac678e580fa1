//! Fuzz target for a batch of a robot's history.
#![no_main]

use fuzz_targets::batch::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
