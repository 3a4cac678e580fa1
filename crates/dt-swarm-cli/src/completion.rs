//! Names of robots, for shells that complete a command line.
//!
//! The completion scripts call `dt-swarm-cli --robot-names`. It prints `localhost` and the names of the robots that are
//! present, one on each line, as the daemon on this computer knows them. It takes at most [`LIMIT`], and says nothing
//! about errors, since it runs while somebody types.

use crate::local_daemon::usual_sockets;
use crate::robots::{handles, of_daemon};
use control::Client;
use discovery::protocol::{Place, Robot};
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

/// The only argument of the call. It is not in the help, because people do not need it.
pub(crate) const ARGUMENT: &str = "--robot-names";
/// Maximum time of the call. A person who types does not notice a longer wait as part of typing.
const LIMIT: Duration = Duration::from_millis(200);
/// Name that always means this computer.
const HERE: &str = "localhost";

/// Prints the names.
pub(crate) fn print_names() -> ExitCode {
    let (sender, receiver) = mpsc::channel();
    // The thread may wait for the daemon. It ends with the program.
    std::thread::spawn(move || drop(sender.send(known_names())));
    let names = receiver.recv_timeout(LIMIT).unwrap_or_default();
    let lines: String = [HERE.to_owned()].iter().chain(&names).map(|name| format!("{name}\n")).collect();
    // A shell that closed the pipe wants no names.
    let _ = io::stdout().write_all(lines.as_bytes());
    ExitCode::SUCCESS
}

/// Asks the first daemon that answers at a usual socket.
fn known_names() -> Vec<String> {
    let ask = |path| of_daemon(&mut Client::connect(path, LIMIT).ok()?).ok().flatten();
    usual_sockets().iter().find_map(|path| ask(path)).map(|robots| names(&robots)).unwrap_or_default()
}

/// Returns the texts that name the robots that are present. Other robots choose their names, so names with characters
/// that mean something to a shell are left out.
fn names(robots: &[Robot]) -> Vec<String> {
    let named = robots.iter().zip(handles(robots)).filter(|(robot, _)| robot.place != Place::Away);
    let mut names: Vec<String> =
        named.filter_map(|(_, handle)| handle).filter(|name| is_plain(name)).collect();
    names.sort();
    names.dedup();
    names
}

fn is_plain(name: &str) -> bool {
    let is_inner = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-' | '~');
    name.starts_with(|char: char| char.is_ascii_alphanumeric()) && name.chars().all(is_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robots::fixture::{peer, robot};

    #[test]
    fn present_robots_are_named_as_the_command_line_takes_them() {
        let twin = |who| Robot { shares_name: true, ..robot(who, "entebot208", Place::Elsewhere) };
        let all = [robot(1, "duckie1", Place::Here), twin(2), twin(3), robot(4, "old", Place::Away)];
        let names = names(&all);
        let end = |who| peer(who).to_string().split_off(peer(who).to_string().len() - 6);
        let mut expected = vec!["duckie1".to_owned()];
        expected.extend([2, 3].map(|who| format!("entebot208~{}", end(who))));
        expected.sort();
        assert_eq!(names, expected);
    }

    #[test]
    fn names_that_mean_something_to_a_shell_are_left_out() {
        for name in ["$(reboot)", "a b", "-x", "~root", "a;b", "a\nb", "`x`", "ente*", "é", ""] {
            assert!(names(&[robot(1, name, Place::Here)]).is_empty(), "{name:?}");
        }
    }
}
