//! A bucket's path, as people write it and as it stands in a payload.
#![no_main]

use fuzz_targets::bucket::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
