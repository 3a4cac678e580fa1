//! Fuzz target for the text of a CID in a bucket.
#![no_main]

use fuzz_targets::cid::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
