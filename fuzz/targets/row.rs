//! Fuzz target for a row of the record store, possibly damaged by a failing disk.
#![no_main]

use fuzz_targets::row::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
