//! curl, the most widespread HTTP client.

use std::process::Command;
use std::time::Duration;

use crate::{Unavailable, process};

/// Checks that `curl` runs.
///
/// # Errors
/// [`Unavailable`] when it does not.
pub fn curl_available() -> Result<(), Unavailable> {
    let mut command = Command::new("curl");
    command.arg("--version");
    process::run(command, Duration::from_secs(10)).map(drop).map_err(|error| {
        Unavailable::new(format!("curl does not run ({error}): install the Debian package curl"))
    })
}
