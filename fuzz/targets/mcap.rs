//! Fuzz target for an MCAP file.
#![no_main]

use fuzz_targets::mcap::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
