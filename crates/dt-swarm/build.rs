//! Notes when the program was built: a robot without a clock then knows that it is later than that.

use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    // Builds that are to be reproducible say what time to use (reproducible-builds.org).
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let told = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    println!("cargo::rustc-env=DT_SWARM_BUILT={}", told.unwrap_or_else(now));
}
