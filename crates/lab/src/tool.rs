//! Runs the programs that shape the network: `ip`, `tc`, `nft`.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::{Error, Result};

/// Runs `ip` with these arguments and returns its standard output.
pub(crate) fn ip(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("ip");
    command.args(arguments);
    run(command, "")
}

/// Returns a command that runs `program` inside a namespace. `ip netns exec` replaces itself with the program, so the
/// process id of the child is the program's own.
pub(crate) fn inside(namespace: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}

/// Runs a short command with `input` on its standard input, and returns its standard output.
pub(crate) fn run(mut command: Command, input: &str) -> Result<String> {
    let shown = show(&command);
    let output = feed(&mut command, input).map_err(Error::io(&shown))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        let problem = format!("{}: {}", output.status, message.trim());
        return Err(Error::Command { command: shown, problem });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn feed(command: &mut Command, input: &str) -> std::io::Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input may have closed it. Its exit status then shows any failure.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}

/// Returns the command line as a person would type it.
pub(crate) fn show(command: &Command) -> String {
    let parts = std::iter::once(command.get_program()).chain(command.get_args());
    parts.map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
