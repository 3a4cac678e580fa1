//! Records the time of the build. A robot whose clock is wrong uses it as a lower bound for the present time.

use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    // Reproducible builds set the time to use in this variable (reproducible-builds.org).
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let told = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    println!("cargo::rustc-env=DT_SWARM_BUILT={}", told.unwrap_or_else(now));
}
