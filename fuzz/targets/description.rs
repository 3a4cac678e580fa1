//! Fuzz target for the description of a file, in the YAML of an info file and in the JSON of its bucket.
#![no_main]

use fuzz_targets::description::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
