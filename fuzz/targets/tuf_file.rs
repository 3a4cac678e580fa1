//! Fuzz target for metadata of a release repository, which mirrors send.
#![no_main]

use fuzz_targets::tuf_file::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
