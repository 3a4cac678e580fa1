//! Fuzz target for a signature in the JSON of an envelope.
#![no_main]

use fuzz_targets::signature::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
