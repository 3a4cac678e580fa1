//! Fuzz target for an untrusted Bitswap message.
#![no_main]

use fuzz_targets::bitswap::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
