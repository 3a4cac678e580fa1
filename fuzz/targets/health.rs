//! Fuzz target for the health of a robot, in the JSON of its bucket.
#![no_main]

use fuzz_targets::health::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
