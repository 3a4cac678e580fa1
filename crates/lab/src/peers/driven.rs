//! A program controlled by lines on its standard input. It answers each with a line that begins with OK or ERROR.

use std::process::Command;
use std::time::Duration;

use crate::{Error, Host, Mark, Process, Result, Stream};

const START_LIMIT: Duration = Duration::from_secs(60);

/// A running program of that kind. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Driven {
    process: Process,
    ready: String,
    asked: Mark,
}

impl Driven {
    /// Starts the program, and waits for its line READY.
    pub(crate) fn start(host: &Host, name: &str, command: Command) -> Result<Self> {
        let process = host.spawn(name, command)?;
        let ready = process.wait_for_line(|line| line.starts_with("READY"), START_LIMIT)?;
        let ready = ready.trim_start_matches("READY").trim().to_owned();
        Ok(Self { process, ready, asked: Mark::default() })
    }

    /// Returns the text after READY.
    pub(crate) fn ready(&self) -> &str {
        &self.ready
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    pub(crate) fn kill(&mut self) -> Result {
        self.process.kill().map(drop)
    }

    /// Sends a command. [`Driven::answer`] waits for the answer.
    pub(crate) fn tell(&mut self, line: &str) -> Result {
        self.asked = self.process.mark();
        self.process.write_line(line)
    }

    /// Returns the text after OK in the answer to the last command.
    pub(crate) fn answer(&self, within: Duration) -> Result<String> {
        let is_answer = |stream, line: &str| {
            stream == Stream::Out && (line.starts_with("OK") || line.starts_with("ERROR"))
        };
        let line = self.process.wait_for_line_after(self.asked, is_answer, within)?;
        match line.strip_prefix("OK") {
            Some(rest) => Ok(rest.trim().to_owned()),
            None => Err(Error::answer("a program controlled by the lab", line)),
        }
    }

    /// Sends a command and waits for its answer.
    pub(crate) fn call(&mut self, line: &str, within: Duration) -> Result<String> {
        self.tell(line)?;
        self.answer(within)
    }
}
