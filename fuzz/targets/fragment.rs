//! What comes of an IRC channel: fragments of lines, a line each, in any order.
#![no_main]

use fuzz_targets::fragment::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
