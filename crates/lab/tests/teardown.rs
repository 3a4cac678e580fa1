//! A lab leaves nothing behind, whether its test passes, panics or is killed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lab::{Host, Lab, Process, Result, or_skip, run, wait_until};

const SOON: Duration = Duration::from_secs(20);

fn namespaces() -> Result<Vec<String>> {
    let mut command = Command::new("ip");
    command.args(["netns", "list"]);
    let text = run(command, SOON)?.success("ip netns list")?;
    Ok(text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

fn left_of(prefix: &str) -> Result<Vec<String>> {
    Ok(namespaces()?.into_iter().filter(|name| name.starts_with(prefix)).collect())
}

/// Starts a shell whose child outlives it, like a helper of a daemon. Returns the shell, and the path in /proc of the
/// child's program.
fn spawn_with_grandchild(host: &Host) -> Result<(Process, PathBuf)> {
    let mut command = host.command("sh");
    command.args(["-c", "sleep 600 & echo $!; wait"]);
    let process = host.spawn("parent", command)?;
    let pid = process.wait_for_line(|line| !line.is_empty(), SOON)?;
    Ok((process, Path::new("/proc").join(pid).join("exe")))
}

fn wait_for_death(exe: &Path) -> Result {
    // A zombie that has not been waited for has no program any more.
    wait_until(SOON, "the grandchild's death", || exe.read_link().is_err().then_some(()))
}

#[test]
fn a_dropped_lab_is_gone_with_all_its_processes_and_files() -> Result {
    let Some(lab) = or_skip("teardown", Lab::new("teardown")) else {
        return Ok(());
    };
    let (prefix, folder) = (lab.prefix().to_owned(), lab.folder().to_owned());
    let host = lab.host("a")?;
    let (parent, grandchild) = spawn_with_grandchild(&host)?;
    assert_eq!(left_of(&prefix)?.len(), 2, "there are not exactly the switch and the host");
    drop(parent);
    assert!(grandchild.read_link().is_ok(), "the shell's child ended with the shell");
    drop(lab);
    wait_for_death(&grandchild)?;
    assert_eq!(left_of(&prefix)?, Vec::<String>::new());
    assert!(!folder.exists());
    Ok(())
}

#[test]
fn a_test_that_panics_leaves_nothing_behind() -> Result {
    let Some(lab) = or_skip("teardown after a panic", Lab::new("panic")) else {
        return Ok(());
    };
    let prefix = lab.prefix().to_owned();
    let (_parent, grandchild) = spawn_with_grandchild(&lab.host("a")?)?;
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        let _lab = lab;
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    wait_for_death(&grandchild)?;
    assert_eq!(left_of(&prefix)?, Vec::<String>::new());
    Ok(())
}

/// Starts a process that represents a test process to be killed, with a folder for logs.
fn stand_in() -> Result<(tempfile::TempDir, Process)> {
    let logs =
        tempfile::tempdir().map_err(|source| lab::Error::Io { what: "a temporary folder".into(), source })?;
    // The process ends with its standard input, in case this test itself is killed.
    let owner = Process::start("owner", Command::new("cat"), &logs.path().join("owner"))?;
    Ok((logs, owner))
}

#[test]
fn a_killed_test_is_cleaned_up_by_the_next_lab() -> Result {
    if or_skip("sweep", Lab::new("before")).is_none() {
        return Ok(());
    }
    let (logs, owner) = stand_in()?;
    // While the owner lives, no lab of a concurrent test removes the namespace.
    let abandoned = format!("dts{}-0-a", owner.pid());
    let mut add = Command::new("ip");
    add.args(["netns", "add", &abandoned]);
    run(add, SOON)?.success("ip netns add")?;
    let mut sleep = Command::new("ip");
    sleep.args(["netns", "exec", &abandoned, "sleep", "600"]);
    let mut sleep = Process::start("abandoned", sleep, &logs.path().join("abandoned"))?;
    wait_until(SOON, "sleep runs in the namespace", || {
        let exe = PathBuf::from(format!("/proc/{}/exe", sleep.pid())).read_link().ok()?;
        exe.ends_with("sleep").then_some(())
    })?;

    drop(owner);
    let lab = Lab::new("after")?;

    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&sleep.wait_for_end(SOON)?), Some(9));
    assert_eq!(left_of(&abandoned)?, Vec::<String>::new());
    assert_eq!(left_of(lab.prefix())?.len(), 1, "its own switch was removed");
    Ok(())
}
