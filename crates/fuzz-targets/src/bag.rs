//! Target: a bag of ROS 1.

use recordings::samples::bag::{MAGIC, open, whole};

/// Returns the seed inputs, from which the fuzzer starts: bags without their first bytes.
pub fn seeds() -> Vec<Vec<u8>> {
    let bags = [whole(2, "none"), whole(1, "lz4"), open(2, "none"), open(1, "bz2")];
    bags.map(|bag| bag[MAGIC.len()..].to_vec()).to_vec()
}

/// Checks the limits of the description, and that the size of the reads does not matter.
pub fn check(bytes: &[u8]) {
    crate::recording::check_file(&[MAGIC, bytes].concat());
}
