//! Rules of the routing table, a line each, and the address that they are asked about.
#![no_main]

use fuzz_targets::rule::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
