//! Fuzz target for archives of releases.
#![no_main]

use fuzz_targets::archive::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
