//! Fuzz target for the profile of a robot, in the JSON of its bucket.
#![no_main]

use fuzz_targets::profile::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
