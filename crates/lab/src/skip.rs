//! Leaving a test out, so that nobody can miss it.

use std::env;
use std::fs::File;
use std::io::Write;

use crate::Unavailable;

/// Names the file to which the test command wants omissions written, because test runners hide what a passing
/// test prints.
const OMISSIONS: &str = "DT_SWARM_OMISSIONS";

/// The value, or none after saying loudly which test is left out and why.
///
/// # Panics
/// With `CI=true`: there an omission is a failure.
pub fn or_skip<T>(test: &str, result: Result<T, Unavailable>) -> Option<T> {
    let unavailable = match result {
        Ok(value) => return Some(value),
        Err(unavailable) => unavailable,
    };
    let message = format!("LEFT OUT: {test}: {unavailable}");
    eprintln!("\n{0}\n{message}\n{0}\n", "!".repeat(80));
    report(&message);
    let strict = env::var("CI").is_ok_and(|value| value == "true");
    assert!(!strict, "{message} (CI=true makes this a failure)");
    None
}

fn report(message: &str) {
    let Some(path) = env::var_os(OMISSIONS) else {
        return;
    };
    let written = File::options().create(true).append(true).open(&path);
    // One write, so that lines of tests that run beside each other stay whole.
    let written = written.and_then(|mut file| file.write_all(format!("{message}\n").as_bytes()));
    if let Err(problem) = written {
        eprintln!("lab: cannot write to {}: {problem}", path.display());
    }
}
