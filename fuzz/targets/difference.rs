//! Symbols of another's set, out of which the difference is found.
#![no_main]

use fuzz_targets::difference::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
