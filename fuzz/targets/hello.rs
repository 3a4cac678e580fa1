//! Fuzz target for the first line of a sealed link (its hello), and the text of a swarm key.
#![no_main]

use fuzz_targets::hello::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
