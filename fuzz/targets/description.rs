//! What is said about a file: the info file's YAML, and the JSON in its bucket.
#![no_main]

use fuzz_targets::description::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
