//! Fuzz target for the answer of a web server, by which captive portals are found.
#![no_main]

use fuzz_targets::page::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
