//! A request to the daemon's local socket.
#![no_main]

use fuzz_targets::request::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
