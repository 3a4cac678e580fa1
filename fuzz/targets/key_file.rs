//! Fuzz target for a key file, possibly damaged by a failing disk or an editor.
#![no_main]

use fuzz_targets::key_file::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
