//! Output of a process: the last lines in memory, and all of it, up to a limit, in a log file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// Maximum number of lines kept in memory.
const LINES: usize = 10_000;
/// Maximum length of a line in bytes. A longer line is split into several.
const LINE_BYTES: u64 = 64 * 1024;
/// Maximum size of the log file in bytes. Later lines are only kept in memory.
const LOG_BYTES: u64 = 64 * 1024 * 1024;
/// Number of lines shown in the error when an awaited line did not come.
const SHOWN_LINES: usize = 30;

/// The stream of a process that a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The standard output.
    Out,
    /// The standard error.
    Err,
}

/// A place in the output: everything written after it was taken comes after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark(u64);

#[derive(Debug)]
pub(crate) struct Output {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    lines: VecDeque<(Stream, String)>,
    /// The number of the first line in memory, counted from the start of the process.
    first: u64,
    /// Number of streams that have not ended.
    open: usize,
    log: File,
    logged: u64,
}

/// Reason why an awaited line did not come.
pub(crate) enum Missed {
    Deadline,
    Ended,
}

impl Output {
    pub(crate) fn new(log: &Path) -> Result<Arc<Self>> {
        let opened = File::options().create(true).append(true).open(log);
        let log = opened.map_err(Error::io(format!("opening the log {}", log.display())))?;
        let state = State { lines: VecDeque::new(), first: 0, open: 0, log, logged: 0 };
        Ok(Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() }))
    }

    /// Reads a stream to its end in a thread of its own.
    pub(crate) fn follow(self: &Arc<Self>, stream: Stream, source: impl Read + Send + 'static) {
        self.lock().open += 1;
        let output = Arc::clone(self);
        // The thread is not joined: a grandchild may hold the stream open after the process has ended.
        thread::spawn(move || {
            let mut reader = BufReader::new(source);
            while let Some(line) = next_line(&mut reader) {
                output.push(stream, line);
            }
            output.lock().open -= 1;
            output.changed.notify_all();
        });
    }

    fn push(&self, stream: Stream, line: String) {
        let mut state = self.lock();
        state.write_log(stream, &line);
        state.lines.push_back((stream, line));
        if state.lines.len() > LINES {
            state.lines.pop_front();
            state.first += 1;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Returns the place after the last line so far.
    pub(crate) fn mark(&self) -> Mark {
        let state = self.lock();
        Mark(state.first + state.lines.len() as u64)
    }

    /// Returns the first line in memory from `mark` on for which `wanted` holds, and waits for it if necessary.
    pub(crate) fn wait(
        &self,
        mark: Mark,
        wanted: impl Fn(Stream, &str) -> bool,
        within: Duration,
    ) -> Result<String, Missed> {
        let deadline = Instant::now() + within;
        let mut next = mark.0;
        let mut state = self.lock();
        loop {
            let skip = usize::try_from(next.saturating_sub(state.first)).unwrap_or(usize::MAX);
            let found = state.lines.iter().skip(skip).find(|(stream, line)| wanted(*stream, line));
            if let Some((_, line)) = found {
                return Ok(line.clone());
            }
            next = state.first + state.lines.len() as u64;
            let left = deadline.saturating_duration_since(Instant::now());
            if state.open == 0 {
                return Err(Missed::Ended);
            }
            if left.is_zero() {
                return Err(Missed::Deadline);
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Returns the last lines, for a message.
    pub(crate) fn tail(&self) -> String {
        let state = self.lock();
        let skip = state.lines.len().saturating_sub(SHOWN_LINES);
        state.lines.iter().skip(skip).map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// Returns all lines in memory, of both streams.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lock().lines.iter().map(|(_, line)| line.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // If a test's predicate panicked, the lines are still complete.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write_log(&mut self, stream: Stream, line: &str) {
        if self.logged >= LOG_BYTES {
            return;
        }
        let tag = if stream == Stream::Err { "! " } else { "  " };
        self.logged += (tag.len() + line.len() + 1) as u64;
        // A full disk must not stop the test: it asserts on the lines in memory.
        let _ = writeln!(self.log, "{tag}{line}");
    }
}

fn next_line(reader: &mut impl BufRead) -> Option<String> {
    let mut bytes = Vec::new();
    let read = reader.by_ref().take(LINE_BYTES).read_until(b'\n', &mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    (read > 0).then(|| text.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn output_of(text: String) -> (tempfile::TempDir, Arc<Output>) {
        let folder = tempfile::tempdir().unwrap();
        let output = Output::new(&folder.path().join("log")).unwrap();
        output.follow(Stream::Out, Cursor::new(text.into_bytes()));
        (folder, output)
    }

    fn wait(output: &Output, mark: Mark, wanted: &str) -> Option<String> {
        output.wait(mark, |_, line| line.contains(wanted), Duration::from_secs(10)).ok()
    }

    #[test]
    fn memory_keeps_the_last_lines_only() {
        let text = (0..LINES + 5).map(|number| format!("line {number};\n")).collect();
        let (_folder, output) = output_of(text);
        assert!(wait(&output, Mark(0), "never").is_none(), "the end of the stream ends the wait");
        assert_eq!(output.lines().len(), LINES);
        assert!(wait(&output, Mark(0), "line 4;").is_none());
        assert!(wait(&output, Mark(0), "line 5;").is_some());
    }

    #[test]
    fn a_mark_hides_the_lines_before_it() {
        let (_folder, output) = output_of("same\nother\n".to_owned());
        assert!(wait(&output, Mark(0), "same").is_some());
        assert!(wait(&output, Mark(1), "same").is_none());
        assert_eq!(output.mark(), Mark(2));
    }

    #[test]
    fn an_overlong_line_is_split_and_invalid_utf8_is_replaced() {
        let length = usize::try_from(LINE_BYTES).unwrap() + 3;
        let mut reader = Cursor::new([vec![b'x'; length], vec![b'\n', 0xff, b'\r', b'\n']].concat());
        let lengths: Vec<_> = std::iter::from_fn(|| next_line(&mut reader)).map(|line| line.len()).collect();
        assert_eq!(lengths, [length - 3, 3, "\u{fffd}".len()]);
    }
}
