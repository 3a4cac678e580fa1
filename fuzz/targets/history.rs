//! Fuzz target for a page of the history of a robot.
#![no_main]

use fuzz_targets::history::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
