//! Fuzz target for an untrusted block, decoded as a node of a DAG.
#![no_main]

use fuzz_targets::dag::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
