//! Fuzz target for the catalogue of a robot.
#![no_main]

use fuzz_targets::catalog::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
