//! Fuzz target for an untrusted glob opening, and on a second line the bucket to match it against.
#![no_main]

use fuzz_targets::opening::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
