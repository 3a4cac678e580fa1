//! Fuzz target for rules of the routing table, one on each line. The last line is the address to resolve.
#![no_main]

use fuzz_targets::rule::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
