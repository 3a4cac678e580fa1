//! Resource usage of a process, from /proc (proc(5)).

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::{Error, Result};

/// Places of user time after the program's name in /proc/PID/stat: of the process, and of its children.
const OWN_TIMES: usize = 11;
const TIMES_OF_CHILDREN: usize = 13;

/// Returns the bytes in RAM: `VmRSS` of /proc/PID/status.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
    parse_resident(&text).ok_or_else(|| Error::answer(path, "no VmRSS: the process has ended"))
}

/// Returns the maximum of the bytes in RAM so far: `VmHWM` of /proc/PID/status.
pub(crate) fn peak_resident_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
    parse_kibibytes(&text, "VmHWM:").ok_or_else(|| Error::answer(path, "no VmHWM: the process has ended"))
}

/// Returns user plus system time: fields 14 and 15 of /proc/PID/stat.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
    let ticks = parse_ticks(&text, OWN_TIMES).ok_or_else(|| Error::answer(path, text))?;
    Ok(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
}

/// Returns user plus system time of the programs that this one has started and that have ended: fields 16 and 17 of
/// /proc/self/stat.
pub(crate) fn children_cpu_time() -> Result<Duration> {
    let path = "/proc/self/stat";
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    let ticks = parse_ticks(&text, TIMES_OF_CHILDREN).ok_or_else(|| Error::answer(path, text))?;
    Ok(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
}

/// Returns the number of threads, and how often they slept until an event woke them: the sum of the lines
/// `voluntary_ctxt_switches` of /proc/PID/task/*/status.
pub(crate) fn threads_and_sleeps(pid: u32) -> Result<(usize, u64)> {
    let path = format!("/proc/{pid}/task");
    let tasks = fs::read_dir(&path).map_err(Error::io(&path))?;
    // A thread that ends meanwhile is not counted.
    let statuses = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    let sleeps: Vec<u64> = statuses.filter_map(|status| parse_sleeps(&status)).collect();
    Ok((sleeps.len(), sleeps.iter().sum()))
}

/// Returns the bytes sent to a disk: `write_bytes` of /proc/WHOSE/io.
pub(crate) fn written_bytes(whose: &str) -> Result<u64> {
    let path = format!("/proc/{whose}/io");
    let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
    parse_written(&text).ok_or_else(|| Error::answer(path, text))
}

/// Returns whether the system counts writes into this folder. It does not count writes to a file system in memory.
///
/// # Errors
/// When nothing can be written there.
pub fn counts_writes(folder: &Path) -> Result<bool> {
    // Only this thread's writes count; other threads may write meanwhile.
    let written = || written_bytes("thread-self");
    let before = written()?;
    let file = tempfile::tempfile_in(folder).and_then(|mut file| {
        file.write_all(&[1; 4096])?;
        file.sync_all()
    });
    file.map_err(Error::io(format!("writing in {}", folder.display())))?;
    Ok(written()? > before)
}

fn parse_written(io: &str) -> Option<u64> {
    io.lines().find_map(|line| line.strip_prefix("write_bytes:"))?.trim().parse().ok()
}

fn parse_sleeps(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?.trim().parse().ok()
}

fn parse_resident(status: &str) -> Option<u64> {
    parse_kibibytes(status, "VmRSS:")
}

fn parse_kibibytes(status: &str, what: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn parse_ticks(stat: &str, first: usize) -> Option<u64> {
    // The program's name is in brackets and may itself contain spaces and brackets, so the fields are counted from the
    // last bracket.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(first).map(|field| field.parse::<u64>().ok());
    Some(times.next()?? + times.next()??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_in_kibibytes() {
        assert_eq!(parse_resident("Name:\tx\nVmRSS:\t    1236 kB\nThreads:\t1\n"), Some(1236 * 1024));
        assert_eq!(parse_resident("Name:\tzombie\n"), None);
    }

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 25 17 0 0 20 0 1 0 5 9 9";
        assert_eq!(parse_ticks(stat, OWN_TIMES), Some(42));
    }

    #[test]
    fn only_voluntary_sleeps_count() {
        let status = "Threads:\t1\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t5\n";
        assert_eq!(parse_sleeps(status), Some(12));
        assert_eq!(parse_sleeps("Threads:\t1\n"), None);
    }

    #[test]
    fn a_sleep_of_a_thread_is_counted_as_a_wake_up() {
        let (threads, before) = threads_and_sleeps(std::process::id()).unwrap();
        assert!(threads >= 1);
        let is_woken = || (threads_and_sleeps(std::process::id()).ok()?.1 > before).then_some(());
        crate::wait_until(Duration::from_secs(10), "a wake-up", is_woken).unwrap();
    }

    #[test]
    fn cancelled_writes_are_another_line() {
        let io = "wchar: 9\nread_bytes: 1\nwrite_bytes: 8192\ncancelled_write_bytes: 4096\n";
        assert_eq!(parse_written(io), Some(8192));
        assert_eq!(parse_written("rchar: 1\n"), None);
    }

    #[test]
    fn writes_to_a_file_system_in_memory_are_not_counted() {
        // On Linux this file system is in memory on every machine.
        assert!(!counts_writes(Path::new("/dev/shm")).unwrap());
    }

    #[test]
    fn this_process_uses_memory_and_time() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).unwrap() > 100_000);
        let start = cpu_time(pid).unwrap();
        while cpu_time(pid).unwrap() == start {}
    }
}
