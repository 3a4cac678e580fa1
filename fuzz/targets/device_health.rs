//! Fuzz target for the answer of dt-device-health.
#![no_main]

use fuzz_targets::device_health::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
