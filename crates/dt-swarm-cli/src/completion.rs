//! Names of robots, for shells that complete a command line.
//!
//! The completion scripts call `dt-swarm-cli --robot-names`. It prints `localhost` and the names of the robots that are
//! present, one on each line, as the daemon on this computer knows them. It takes at most [`LIMIT`], and says nothing
//! about errors, since it runs while somebody types.

use crate::local_daemon::usual_sockets;
use crate::robots::{Detail, handles, page_of_daemon};
use control::Client;
use discovery::protocol::{Place, Robot};
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The only argument of the call. It is not in the help, because people do not need it.
pub(crate) const ARGUMENT: &str = "--robot-names";
/// Maximum time of the call. A person who types does not notice a longer wait as part of typing.
const LIMIT: Duration = Duration::from_millis(200);
/// Maximum number of robots whose names are printed. A shell asks before it shows more than a hundred.
const MAX_ROBOTS: usize = 4096;
/// Name that always means this computer.
const HERE: &str = "localhost";

/// Prints the names.
pub(crate) fn print_names() -> ExitCode {
    let (sender, receiver) = mpsc::channel();
    // The thread may wait for the daemon. It ends with the program.
    std::thread::spawn(move || send_robots(&sender));
    let names = gather(&receiver, Instant::now() + LIMIT);
    let lines: String = [HERE.to_owned()].iter().chain(&names).map(|name| format!("{name}\n")).collect();
    // A shell that closed the pipe wants no names.
    let _ = io::stdout().write_all(lines.as_bytes());
    ExitCode::SUCCESS
}

/// Sends the table of robots of the first daemon that answers at a usual socket, page by page. An empty page is its end.
fn send_robots(sender: &mpsc::Sender<Vec<Robot>>) {
    for path in usual_sockets() {
        let Ok(mut client) = Client::connect(&path, LIMIT) else { continue };
        let mut from = 0;
        while let Ok(Some(page)) = page_of_daemon(&mut client, from, Detail::Brief) {
            from += page.len();
            let is_end = page.is_empty();
            if sender.send(page).is_err() || is_end {
                return;
            }
        }
        if from > 0 {
            return;
        }
    }
}

/// Returns the names of the robots that arrive until `end`, of at most [`MAX_ROBOTS`] robots. When the table is long or the
/// daemon is slow, these are the first robots of the table.
fn gather(pages: &mpsc::Receiver<Vec<Robot>>, end: Instant) -> Vec<String> {
    let (mut robots, mut is_whole) = (Vec::new(), false);
    while robots.len() < MAX_ROBOTS && !is_whole {
        let Ok(page) = pages.recv_timeout(end.saturating_duration_since(Instant::now())) else { break };
        is_whole = page.is_empty();
        robots.extend(page);
    }
    robots.truncate(MAX_ROBOTS);
    names(&robots, is_whole)
}

/// Returns the texts that name the robots that are present. Other robots choose their names, so names with characters
/// that mean something to a shell are left out. `is_whole` says that these are all robots. Otherwise a shared name is left
/// out, because the robots that share it may be missing.
fn names(robots: &[Robot], is_whole: bool) -> Vec<String> {
    let named = robots.iter().zip(handles(robots)).filter(|(robot, _)| robot.place != Place::Away);
    let named = named.filter(|(robot, _)| is_whole || !robot.shares_name);
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
        let names = names(&all, true);
        let end = |who| peer(who).to_string().split_off(peer(who).to_string().len() - 6);
        let mut expected = vec!["duckie1".to_owned()];
        expected.extend([2, 3].map(|who| format!("entebot208~{}", end(who))));
        expected.sort();
        assert_eq!(names, expected);
    }

    #[test]
    fn names_that_mean_something_to_a_shell_are_left_out() {
        for name in ["$(reboot)", "a b", "-x", "~root", "a;b", "a\nb", "`x`", "ente*", "é", ""] {
            assert!(names(&[robot(1, name, Place::Here)], true).is_empty(), "{name:?}");
        }
    }

    #[test]
    fn a_long_table_and_a_slow_daemon_yield_the_first_names_in_time() {
        let (sender, receiver) = mpsc::channel();
        let page =
            |from: usize| (from..from + 100).map(|n| robot(1, &format!("duckie{n}"), Place::Here)).collect();
        for from in (0..3000).step_by(100) {
            sender.send(page(from)).unwrap();
        }
        let begun = Instant::now();
        let names = gather(&receiver, begun + Duration::from_millis(50));
        assert_eq!(names.len(), 3000, "the end of the table is missing");
        assert!(begun.elapsed() < Duration::from_secs(5));
        for from in (0..10_000).step_by(100) {
            sender.send(page(from)).unwrap();
        }
        assert_eq!(gather(&receiver, Instant::now() + LIMIT).len(), MAX_ROBOTS);
    }

    #[test]
    fn of_a_table_without_its_end_no_shared_name_is_printed() {
        let twin = Robot { shares_name: true, ..robot(2, "entebot208", Place::Here) };
        assert!(names(std::slice::from_ref(&twin), false).is_empty());
        assert_eq!(names(&[twin], true).len(), 1);
    }
}
