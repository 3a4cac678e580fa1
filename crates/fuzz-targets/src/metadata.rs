//! Target: the `metadata.yaml` in a folder of ROS 2.

use recordings::METADATA_NAME;
use recordings::samples::{mcap, metadata};

/// Name of the part in the folder.
const PART: &str = "a_0.mcap";

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![metadata(PART).into_bytes(), metadata("../b.db3").into_bytes()]
}

/// Checks the limits of the description of a folder with this file and a part, which is used when the file is not valid.
pub fn check(bytes: &[u8]) {
    crate::recording::check_folder(&[(METADATA_NAME, bytes), (PART, &mcap::whole(1, ""))]);
}
