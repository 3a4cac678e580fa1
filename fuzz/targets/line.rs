//! Fuzz target for a line of the line protocol, and the message in it.
#![no_main]

use fuzz_targets::line::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
