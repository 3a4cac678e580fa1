//! Starts the program again in the same process, with the same arguments.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

/// Link to the running program. It also works after the file of the program was replaced.
const SELF: &str = "/proc/self/exe";

/// Replaces this process by a new run of the program. The process ID stays, so a supervisor such as systemd notices
/// nothing. All files and sockets of this process are closed. Returns only if it fails.
pub(crate) fn restart() -> io::Error {
    let program = std::env::current_exe().ok().filter(|path| path.exists());
    let mut arguments = std::env::args_os();
    let mut command = Command::new(program.unwrap_or_else(|| PathBuf::from(SELF)));
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).exec()
}
