//! Fuzz target for the question about metrics of a robot, and its answer.
#![no_main]

use fuzz_targets::metrics_messages::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
