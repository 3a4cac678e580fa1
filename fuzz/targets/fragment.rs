//! Fuzz target for fragments of lines from an IRC channel, in any order.
#![no_main]

use fuzz_targets::fragment::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
