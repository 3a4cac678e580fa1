//! Fuzz target for a swarm file, which people exchange.
#![no_main]

use fuzz_targets::swarm_file::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
