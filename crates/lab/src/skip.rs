//! Skipping a test in a way that nobody can overlook.

use std::env;
use std::fs::File;
use std::io::Write;

use crate::Unavailable;

/// Environment variable that names the file to which messages about skipped tests are appended. Test runners hide the
/// output of a passing test, so `./check` prints this file at its end.
const OMISSIONS: &str = "DT_SWARM_OMISSIONS";

/// Returns the value, or none after printing loudly which test is skipped and why.
///
/// # Panics
/// With `CI=true`, because a skipped test counts as a failure there.
pub fn or_skip<T>(test: &str, result: Result<T, Unavailable>) -> Option<T> {
    let unavailable = match result {
        Ok(value) => return Some(value),
        Err(unavailable) => unavailable,
    };
    let message = format!("SKIPPED: {test}: {unavailable}");
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
    // One write, so that lines of concurrent tests are not mixed.
    let written = written.and_then(|mut file| file.write_all(format!("{message}\n").as_bytes()));
    if let Err(problem) = written {
        eprintln!("lab: cannot write to {}: {problem}", path.display());
    }
}
