//! Fuzz target for a message of the hole punching protocol.
#![no_main]

use fuzz_targets::punch::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
