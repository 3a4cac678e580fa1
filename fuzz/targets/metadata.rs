//! Fuzz target for the `metadata.yaml` in a folder of ROS 2.
#![no_main]

use fuzz_targets::metadata::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
