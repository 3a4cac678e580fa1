//! Fuzz target for a bag of ROS 1.
#![no_main]

use fuzz_targets::bag::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
