//! What a stranger proposes or dismisses.
#![no_main]

use fuzz_targets::statement::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
