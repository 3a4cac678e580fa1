//! Fuzz target for the head of a request to the gateway: a line with method and target, then one line for each header.
#![no_main]

use fuzz_targets::gateway::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
