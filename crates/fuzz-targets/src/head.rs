//! Target: a file of any kind, such as a text log.

use recordings::samples::{bag, mcap};

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = ["[INFO] started\n\x1b[31mred\x1b[0m\n", "ä", "SQLite format 3\0"];
    let mut seeds: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    seeds.extend([bag::MAGIC.to_vec(), mcap::MAGIC.to_vec()]);
    seeds
}

/// Checks the limits of the description, and that the size of the reads does not matter.
pub fn check(bytes: &[u8]) {
    crate::recording::check_file(bytes);
}
