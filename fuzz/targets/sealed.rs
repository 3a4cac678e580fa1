//! Fuzz target for a sealed line, in a datagram and on a link.
#![no_main]

use fuzz_targets::sealed::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
