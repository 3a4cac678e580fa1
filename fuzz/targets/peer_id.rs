//! Fuzz target for the text of a peer ID.
#![no_main]

use fuzz_targets::peer_id::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
