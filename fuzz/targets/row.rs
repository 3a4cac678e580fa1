//! A row of the store, as a dying disk may give it back.
#![no_main]

use fuzz_targets::row::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
