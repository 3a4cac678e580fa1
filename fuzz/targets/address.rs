//! Two addresses, a line each: one that comes, its multiaddress, and the queue that it is held against.
#![no_main]

use fuzz_targets::address::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
