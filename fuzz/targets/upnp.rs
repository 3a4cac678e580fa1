//! Fuzz target for the texts of a router that offers UPnP.
#![no_main]

use fuzz_targets::upnp::{check, seeds};

libfuzzer_sys::fuzz_target!(init: fuzz::sow(&seeds()), |bytes: &[u8]| check(bytes));
