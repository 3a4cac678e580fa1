//! The head of a request to the gateway.
#![no_main]

use fuzz_targets::gateway::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
