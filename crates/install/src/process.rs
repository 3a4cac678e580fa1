//! Runs programs with a limit on their time and on their output.

use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command as Process, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Output of a program that is kept, in bytes. It is shown in a sentence.
const MAX_OUTPUT_BYTES: usize = 2048;
/// Time between two looks at a running program.
const POLL: Duration = Duration::from_millis(20);
/// Time for the rest of the output after a program has ended. A child of it that left its process group can keep the
/// pipe open.
const OUTPUT_WAIT: Duration = Duration::from_millis(500);

/// A program to run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Command {
    /// Path of the program, or its name.
    pub program: PathBuf,
    /// Arguments of the program.
    pub arguments: Vec<OsString>,
    /// Variables that are added to its environment, which only has the search path of this process.
    pub environment: Vec<(&'static str, String)>,
    /// Time after which the program and its children are killed.
    pub limit: Duration,
}

/// The end of a program.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ended {
    /// The exit status, if it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether it exceeded its time.
    pub is_late: bool,
    /// The last part of its output.
    pub output: String,
}

/// Runs programs with limits.
pub trait Runner: Send + Sync {
    /// Runs a program until it ends or is killed.
    ///
    /// # Errors
    /// Returns an error if it cannot be started.
    fn run(&self, command: &Command) -> io::Result<Ended>;
}

/// Runs programs on this computer, each in a process group of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealRunner;

impl Ended {
    /// Tells whether the program succeeded.
    pub fn is_success(&self) -> bool {
        self.code == Some(0) && !self.is_late
    }

    /// Returns a part of a sentence that says how the program ended.
    pub fn sentence(&self) -> String {
        let how = match (self.is_late, self.code, self.signal) {
            (true, ..) => "it took too long".to_owned(),
            (false, Some(code), _) => format!("exit status {code}"),
            (false, None, Some(signal)) => format!("signal {signal}"),
            (false, None, None) => "unknown end".to_owned(),
        };
        let output = self.output.trim();
        if output.is_empty() { how } else { format!("{how}: {output}") }
    }
}

impl Runner for RealRunner {
    fn run(&self, command: &Command) -> io::Result<Ended> {
        let (reader, writer) = io::pipe()?;
        // The command holds the writing end, and must be gone before the output can end.
        let mut child = Process::new(&command.program)
            .args(&command.arguments)
            .env_clear()
            .env("PATH", search_path())
            .envs(command.environment.iter().map(|(key, value)| (*key, value)))
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0)
            .spawn()?;
        let output = collect(reader);
        let (status, is_late) = wait(&mut child, command.limit)?;
        Ok(Ended {
            code: status.code(),
            signal: status.signal(),
            is_late,
            output: output.recv_timeout(OUTPUT_WAIT).unwrap_or_default(),
        })
    }
}

/// Returns the search path of this process, with the folders in which dpkg needs programs.
fn search_path() -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    format!("{own}:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin")
}

/// Reads all output in a thread, and sends its last part.
fn collect(mut stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            kept.extend_from_slice(&buffer[..read]);
            kept.drain(..kept.len().saturating_sub(MAX_OUTPUT_BYTES));
        }
        // Nobody waits for the output of a program that takes too long after its end.
        let _ = sender.send(String::from_utf8_lossy(&kept).into_owned());
    });
    receiver
}

/// Waits for the end. Kills the process group at the limit.
fn wait(child: &mut Child, limit: Duration) -> io::Result<(ExitStatus, bool)> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, false));
        }
        if began.elapsed() >= limit {
            kill_group(child);
            return Ok((child.wait()?, true));
        }
        std::thread::sleep(POLL);
    }
}

/// Kills a process and all processes of its group.
fn kill_group(child: &mut Child) {
    // Both fail only if the processes are gone. The second one is for a child that has left its group.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    let _ = child.kill();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Ended {
        let command = Command {
            program: "sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![("UPDATE_NAME", "model".to_owned())],
            limit,
        };
        RealRunner.run(&command).unwrap()
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn the_end_of_a_program_is_told() {
        assert!(shell("exit 0", LONG).is_success());
        let failed = shell("echo no such model >&2; exit 3", LONG);
        assert_eq!((failed.code, failed.is_success()), (Some(3), false));
        assert_eq!(failed.sentence(), "exit status 3: no such model");
        assert_eq!(shell("kill -9 $$", LONG).sentence(), "signal 9");
        assert!(shell("test $UPDATE_NAME = model && test -z $HOME", LONG).is_success());
    }

    #[test]
    fn a_program_that_takes_too_long_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sh -c 'echo $$ > {0}; exec sleep 60' & wait", file.display());
        let began = Instant::now();
        let ended = shell(&script, Duration::from_millis(300));
        assert!(ended.is_late && !ended.is_success());
        assert!(began.elapsed() < Duration::from_secs(20));
        let child = std::fs::read_to_string(file).unwrap();
        let state = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z"), "the child still runs: {state}");
    }

    #[test]
    fn a_daemon_that_keeps_the_output_open_does_not_keep_the_caller() {
        let began = Instant::now();
        assert!(shell("setsid sleep 20 & exit 0", LONG).is_success());
        assert!(began.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn only_the_last_part_of_the_output_is_kept() {
        let ended = shell("head -c 1000000 /dev/zero >&2; echo end >&2; exit 1", LONG);
        assert!(ended.output.len() <= MAX_OUTPUT_BYTES && ended.output.ends_with("end\n"));
    }
}
