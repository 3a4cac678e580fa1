//! What the shells share. The targets themselves are in the crate `fuzz-targets`, whose documentation says how to add one.

use std::path::PathBuf;

/// Names the folder into which a target writes its seeds before it begins; without it there are none.
const SEEDS: &str = "DT_SWARM_SEEDS";

/// Writes the inputs from which the fuzzer goes on.
#[expect(clippy::expect_used, reason = "a fuzzer that cannot write its corpus has nothing to go on with")]
pub fn sow(seeds: &[Vec<u8>]) {
    let Some(folder) = std::env::var_os(SEEDS).map(PathBuf::from) else {
        return;
    };
    for (number, seed) in seeds.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed).expect("a corpus that can be written");
    }
}
