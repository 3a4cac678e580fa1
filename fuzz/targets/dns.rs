//! Fuzz target for a message of multicast DNS with facts of robots.
#![no_main]

use fuzz_targets::dns::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
