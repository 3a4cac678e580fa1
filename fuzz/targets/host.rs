//! Fuzz target for the files from which a host is measured.
#![no_main]

use fuzz_targets::host::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
