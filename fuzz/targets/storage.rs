//! Fuzz target for the list of multipart uploads of a storage.
#![no_main]

use fuzz_targets::storage::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
