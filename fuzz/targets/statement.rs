//! Fuzz target for the untrusted payload of a statement.
#![no_main]

use fuzz_targets::statement::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
