//! Fuzz target for an untrusted glob pattern, and on a second line the bucket to match it against.
#![no_main]

use fuzz_targets::pattern::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
