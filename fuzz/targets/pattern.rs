//! A stranger's glob and, on a second line, the bucket that it is held against.
#![no_main]

use fuzz_targets::pattern::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
