//! Code shared by the fuzzing binaries. The targets are in the crate `fuzz-targets`; its documentation says how to add one.

use std::path::PathBuf;

/// Environment variable with the folder into which a target writes its seeds before it begins. If it is not set, no seeds
/// are written.
const SEEDS: &str = "DT_SWARM_SEEDS";

/// Writes the seeds of a target, with which the fuzzer begins.
#[expect(clippy::expect_used, reason = "a fuzzer that cannot write its seeds has no inputs to begin with")]
pub fn sow(seeds: &[Vec<u8>]) {
    let Some(folder) = std::env::var_os(SEEDS).map(PathBuf::from) else {
        return;
    };
    for (number, seed) in seeds.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed)
            .expect("the folder of the seeds has to be writable");
    }
}
