//! The first line of a sealed link, and the text of a swarm key.
#![no_main]

use fuzz_targets::hello::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
