//! `ssh`: runs the ssh program of this computer, over a stream to another robot.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::{Form, Print};
use crate::streams::RemotePort;
use clap::Args;
use std::convert::Infallible;
use std::num::NonZeroU16;
use std::os::unix::process::CommandExt as _;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost ssh duckie@duckie7             a terminal on duckie7, as its user duckie
  dt-swarm-cli duckie7 ssh duckie@                      the same
  dt-swarm-cli localhost ssh duckie@duckie7 -- uptime   runs one command
  dt-swarm-cli localhost ssh duckie7 -- -L 8080:localhost:80 -N

The owner of duckie7 has to allow it: `dt-swarm-cli localhost access allow 22 --peer ID`, with the ID of this robot.";

/// Runs ssh with another robot, over any path between the two robots.
///
/// The ssh program of this computer and its configuration are used. It remembers the host key under the peer ID of the
/// robot, so that the key is found when the address changes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Ssh {
    /// The user and the robot. If HOST is the robot, its name is left out
    #[arg(value_name = "[USER@]NAME")]
    destination: Option<String>,
    /// TCP port of the SSH server
    #[arg(short, long, value_name = "PORT", default_value = "22")]
    port: NonZeroU16,
    /// Command for the robot, or further arguments of ssh
    #[arg(last = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

/// The output of `ssh`: on success, the program is replaced by ssh.
pub(crate) struct Replaced(Infallible);

impl Print for Replaced {
    fn print(self, _form: Form) -> Result<(), CliError> {
        match self.0 {}
    }
}

impl Command for Ssh {
    type Output = Replaced;

    fn run(&self, context: &Context) -> Result<Replaced, CliError> {
        let (user, name) = self.user_and_name();
        for text in user.iter().chain(&name) {
            // ssh would take it for an option.
            if text.starts_with('-') {
                return Err(CliError::NotADestination((*text).to_owned()));
            }
        }
        let remote = context.remote_port(name, self.port)?;
        let mut ssh = std::process::Command::new("ssh");
        ssh.arg("-o").arg(format!("ProxyCommand={}", proxy_command(context, name, &remote)?));
        ssh.arg("-o").arg(format!("HostKeyAlias={}", remote.peer()));
        ssh.arg("-p").arg(self.port.to_string());
        if let Some(user) = user {
            ssh.args(["-l", user]);
        }
        ssh.arg(name.unwrap_or(&context.host.name)).args(&self.arguments);
        Err(CliError::NoSsh(ssh.exec()))
    }
}

impl Ssh {
    fn user_and_name(&self) -> (Option<&str>, Option<&str>) {
        let Some(text) = &self.destination else { return (None, None) };
        let (user, name) =
            text.rsplit_once('@').map_or((None, text.as_str()), |(user, name)| (Some(user), name));
        (user.filter(|user| !user.is_empty()), Some(name).filter(|name| !name.is_empty()))
    }
}

/// Returns the command by which ssh reaches the robot. It names the robot by its peer ID, which is the same for each
/// connection.
fn proxy_command(context: &Context, name: Option<&str>, remote: &RemotePort) -> Result<String, CliError> {
    let program = std::env::current_exe().map_err(CliError::NoSsh)?;
    let program = program.to_str().ok_or_else(|| CliError::NotUnicode(program.clone()))?;
    let (peer, port) = (remote.peer().to_string(), remote.port.to_string());
    let mut words = vec![program.to_owned()];
    words.extend(context.options_again()?);
    match name {
        Some(_) => words.extend([context.host.to_string(), "forward".to_owned(), peer]),
        None => words.extend([peer, "forward".to_owned()]),
    }
    words.extend([port, "--stdio".to_owned()]);
    Ok(words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "))
}

/// Quotes a word for the shell, and for ssh, which replaces tokens that begin with `%`.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''").replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(destination: &str) -> (Option<String>, Option<String>) {
        let destination = Some(destination.to_owned());
        let ssh = Ssh { destination, port: NonZeroU16::MIN, arguments: Vec::new() };
        let (user, name) = ssh.user_and_name();
        (user.map(str::to_owned), name.map(str::to_owned))
    }

    #[test]
    fn the_user_and_the_name_are_told_apart() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(split("duckie7"), (None, some("duckie7")));
        assert_eq!(split("duckie@duckie7~JnuCcN"), (some("duckie"), some("duckie7~JnuCcN")));
        assert_eq!(split("duckie@"), (some("duckie"), None));
        assert_eq!(split("a@b@duckie7"), (some("a@b"), some("duckie7")));
        assert_eq!(split("@"), (None, None));
    }

    #[test]
    fn words_are_quoted_for_the_shell_and_for_ssh() {
        assert_eq!(quoted("/opt/it's 5%/cli"), r"'/opt/it'\''s 5%%/cli'");
        let echoed = std::process::Command::new("sh")
            .args(["-c", &format!("printf %s {}", quoted("a'b $c"))])
            .output();
        assert_eq!(echoed.unwrap().stdout, b"a'b $c");
    }
}
