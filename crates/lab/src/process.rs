//! Processes of a test: their output, their resource usage and their end.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::output::{Missed, Output};
use crate::tool::show;
use crate::usage;
use crate::{Error, Mark, Result, Stream};

/// Interval at which the end of a process is polled: the standard library cannot wait with a deadline.
const POLL: Duration = Duration::from_millis(5);

/// A running process. Dropping it kills it, and shows its last lines if the test panics.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    output: Arc<Output>,
}

/// Result of a command that ran to its end.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The exit status.
    pub status: ExitStatus,
    /// The standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// The standard error.
    pub stderr: String,
}

impl Process {
    /// Starts a command and captures its output in memory and in the file `log`. `name` appears in messages.
    ///
    /// # Errors
    /// When the log cannot be written or the command cannot be started.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let output = Output::new(log)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(Error::io(show(&command)))?;
        if let Some(stream) = child.stdout.take() {
            output.follow(Stream::Out, stream);
        }
        if let Some(stream) = child.stderr.take() {
            output.follow(Stream::Err, stream);
        }
        Ok(Self { name: name.to_owned(), stdin: child.stdin.take(), child, output })
    }

    /// Returns the process id. On a host it is the program's own, because `ip netns exec` replaces itself.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of either stream for which `wanted` holds. A line that was already written counts.
    ///
    /// # Errors
    /// When no such line comes in time, or the process ends without it. Both errors show the last lines.
    pub fn wait_for_line(&self, wanted: impl Fn(&str) -> bool, within: Duration) -> Result<String> {
        self.wait_for_line_after(Mark::default(), |_, line| wanted(line), within)
    }

    /// Like [`Self::wait_for_line`], but looks only at the lines after a mark.
    ///
    /// # Errors
    /// The same as those of [`Self::wait_for_line`].
    pub fn wait_for_line_after(
        &self,
        mark: Mark,
        wanted: impl Fn(Stream, &str) -> bool,
        within: Duration,
    ) -> Result<String> {
        let what = || format!("a line of {}", self.name);
        self.output.wait(mark, wanted, within).map_err(|missed| match missed {
            Missed::Deadline => Error::Deadline { what: what(), within, seen: self.tail() },
            Missed::Ended => Error::Ended { process: self.name.clone(), what: what(), seen: self.tail() },
        })
    }

    /// Returns the place after the last line so far.
    pub fn mark(&self) -> Mark {
        self.output.mark()
    }

    /// Returns the lines in memory: the last 10 000 of both streams together.
    pub fn lines(&self) -> Vec<String> {
        self.output.lines()
    }

    /// Returns the last few lines, for a message.
    pub fn tail(&self) -> String {
        self.output.tail()
    }

    /// Writes one line to the process's standard input.
    ///
    /// # Errors
    /// When the process has closed its input.
    pub fn write_line(&mut self, line: &str) -> Result {
        let what = format!("writing to {}", self.name);
        let stdin = self.stdin.as_mut().ok_or_else(|| Error::answer(&what, "its input is closed"))?;
        writeln!(stdin, "{line}").map_err(Error::io(what))
    }

    /// Returns the bytes of memory that the process has in RAM now (VmRSS).
    ///
    /// # Errors
    /// When the process has ended.
    pub fn resident_bytes(&self) -> Result<u64> {
        usage::resident_bytes(self.pid())
    }

    /// Returns the maximum number of bytes of memory that the process has had in RAM (VmHWM).
    ///
    /// # Errors
    /// When the process has ended.
    pub fn peak_resident_bytes(&self) -> Result<u64> {
        usage::peak_resident_bytes(self.pid())
    }

    /// Returns the processor time used since the start, user and system, by all threads.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn cpu_time(&self) -> Result<Duration> {
        usage::cpu_time(self.pid())
    }

    /// Returns the number of threads, and how often the present threads have been woken since their start.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn threads_and_wake_ups(&self) -> Result<(usize, u64)> {
        usage::threads_and_sleeps(self.pid())
    }

    /// Returns the bytes written to disks since the process's start, in whole pages of memory. Writes that the file
    /// system adds (journal, directories) are not counted. It is 0 where [`crate::counts_writes`] returns false.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn written_bytes(&self) -> Result<u64> {
        usage::written_bytes(&self.pid().to_string())
    }

    /// Returns whether the process is still running.
    ///
    /// # Errors
    /// When the operating system cannot tell.
    pub fn is_running(&mut self) -> Result<bool> {
        let status =
            self.child.try_wait().map_err(Error::io(format!("reading the state of {}", self.name)))?;
        Ok(status.is_none())
    }

    /// Sends SIGKILL, which ends the process at once, as a power cut would.
    ///
    /// # Errors
    /// When the operating system refuses. A process that has already ended is not an error.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        let what = || format!("killing {}", self.name);
        self.child.kill().map_err(Error::io(what()))?;
        self.child.wait().map_err(Error::io(what()))
    }

    /// Sends SIGTERM, and waits for the end of the process.
    ///
    /// # Errors
    /// When the process does not end in time; it keeps running then.
    pub fn terminate(&mut self, within: Duration) -> Result<ExitStatus> {
        if self.is_running()? {
            signal(&self.child, Signal::TERM).map_err(Error::io(format!("stopping {}", self.name)))?;
        }
        self.wait_for_end(within)
    }

    /// Waits for the end of the process.
    ///
    /// # Errors
    /// When the process does not end in time; it keeps running then.
    pub fn wait_for_end(&mut self, within: Duration) -> Result<ExitStatus> {
        let status =
            ended(&mut self.child, within).map_err(Error::io(format!("waiting for {}", self.name)))?;
        let what = || format!("the end of {}", self.name);
        status.ok_or_else(|| Error::Deadline { what: what(), within, seen: self.tail() })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- last lines of {} ---\n{}", self.name, self.tail());
        }
        // Fails only when the process has already ended.
        let _ = self.kill();
    }
}

fn signal(child: &Child, signal: Signal) -> std::io::Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // A child keeps its process id until it is waited for, so the signal cannot reach another process.
    pid.map_or(Ok(()), |pid| Ok(kill_process(pid, signal)?))
}

/// Returns the exit status, or none when the process still runs after this time.
fn ended(child: &mut Child, within: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + within;
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(Some(status)),
            None if Instant::now() >= deadline => return Ok(None),
            None => thread::sleep(POLL),
        }
    }
}

/// Runs a command to its end, or kills it after the time limit.
///
/// # Errors
/// When it cannot be started or does not end in time. A failing exit status is not an error.
pub fn run(mut command: Command, within: Duration) -> Result<Finished> {
    let shown = show(&command);
    // Files are used instead of pipes, so the command never waits for a reader, even if it writes much.
    let mut finish = || {
        let (out, err) = (tempfile::tempfile()?, tempfile::tempfile()?);
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?);
        let mut child = command.spawn()?;
        let status = ended(&mut child, within)?;
        if status.is_none() {
            child.kill()?;
            child.wait()?;
        }
        Ok((status, whole(out)?, whole(err)?))
    };
    let (status, stdout, stderr) = finish().map_err(Error::io(&shown))?;
    match status {
        Some(status) => Ok(Finished { status, stdout, stderr }),
        None => {
            Err(Error::Deadline { what: format!("the end of `{shown}`"), within, seen: stdout + &stderr })
        }
    }
}

fn whole(mut file: File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Finished {
    /// Returns the standard output if the command succeeded.
    ///
    /// # Errors
    /// When the exit status is not 0; the error shows both streams.
    pub fn success(self, what: &str) -> Result<String> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        let problem = format!("{}\n{}{}", self.status, self.stdout, self.stderr);
        Err(Error::Command { command: what.to_owned(), problem })
    }
}
