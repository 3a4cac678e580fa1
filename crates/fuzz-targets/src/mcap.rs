//! Target: an MCAP file.

use recordings::samples::mcap::{MAGIC, closed, open, statistics_of, whole};

/// Returns the seed inputs, from which the fuzzer starts: files without their first bytes.
pub fn seeds() -> Vec<Vec<u8>> {
    let no_channels = closed(open(2, ""), &statistics_of(2));
    let files = [whole(2, ""), whole(1, "zstd"), open(2, ""), open(1, "lz4"), no_channels];
    files.map(|file| file[MAGIC.len()..].to_vec()).to_vec()
}

/// Checks the limits of the description, and that the size of the reads does not matter. The file is also checked as one
/// that was closed.
pub fn check(bytes: &[u8]) {
    crate::recording::check_file(&[MAGIC, bytes].concat());
    crate::recording::check_file(&[MAGIC, bytes, MAGIC].concat());
}
