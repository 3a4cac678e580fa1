//! Removes namespaces of labs and the processes in them, including those of test processes that were killed.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use crate::tool::ip;

/// Returns the prefix of the names of all namespaces of one process.
pub(crate) fn prefix(process: u32) -> String {
    format!("dts{process}-")
}

/// Removes the labs of processes that no longer exist.
pub fn leftovers() {
    let names = names();
    let abandoned = names.iter().filter(|name| owner(name).is_some_and(|process| !is_alive(process)));
    abandoned.for_each(|name| remove_namespace(name));
}

/// Removes all namespaces whose names begin with this prefix.
pub(crate) fn remove(prefix: &str) {
    names().iter().filter(|name| name.starts_with(prefix)).for_each(|name| remove_namespace(name));
}

/// Kills the processes in a namespace, then deletes it together with its interfaces. Another process may be doing the
/// same at this moment, so failures are ignored.
fn remove_namespace(name: &str) {
    let processes = ip(&["netns", "pids", name]).unwrap_or_default();
    for process in processes.lines().filter_map(|line| line.trim().parse().ok()).filter_map(Pid::from_raw) {
        let _ = kill_process(process, Signal::KILL);
    }
    let _ = ip(&["netns", "delete", name]);
}

fn names() -> Vec<String> {
    let list = ip(&["netns", "list"]).unwrap_or_default();
    list.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Returns the id of the process whose lab made this namespace; none if no lab made it.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix("dts")?.split_once('-')?.0.parse().ok()
}

fn is_alive(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_labs_have_an_owner() {
        assert_eq!(owner("dts17-0-a"), Some(17));
        for other in ["blue", "dts", "dts-a", "dtsx-a", "dts17", "dts17x-a", "my-dts17-a"] {
            assert_eq!(owner(other), None, "{other}");
        }
    }

    #[test]
    fn a_prefix_names_its_owner() {
        assert_eq!(owner(&format!("{}0-switch", prefix(4321))), Some(4321));
    }

    #[test]
    fn this_process_is_alive_and_an_impossible_one_is_not() {
        assert!(is_alive(std::process::id()));
        assert!(!is_alive(u32::MAX));
    }
}
