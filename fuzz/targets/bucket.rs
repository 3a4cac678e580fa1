//! Fuzz target for the path of a bucket, as users write it and in the JSON of a payload.
#![no_main]

use fuzz_targets::bucket::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
