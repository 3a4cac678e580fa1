//! What can go wrong in the lab, told so that a failed test explains itself.

use std::fmt;
use std::io;
use std::time::Duration;

/// The machine cannot give what was asked for: no rights for namespaces, a program that is not installed.
///
/// A test turns it into a loud omission with [`crate::or_skip`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unavailable {
    /// A sentence for people: what is missing, and the way out.
    pub reason: String,
}

impl Unavailable {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// Every error of the lab. `Debug` shows the same text as `Display`, because that is what a test
/// that returns an error prints.
#[derive(thiserror::Error)]
pub enum Error {
    /// The machine cannot give what was asked for.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A name that would not fit an interface or a namespace.
    #[error("the name {0:?} is not 1 to 32 of a-z, 0-9 and '-'")]
    Name(String),
    /// More networks or hosts than addresses.
    #[error("no address is left for {0}")]
    Full(String),
    /// A program that was run to its end answered with a failure.
    #[error("`{command}` failed: {problem}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit status and what it wrote to stderr.
        problem: String,
    },
    /// Something awaited did not happen in time.
    #[error("not within {within:?}: {what}{}", told(seen))]
    Deadline {
        /// What was awaited.
        what: String,
        /// How long.
        within: Duration,
        /// What was there instead, such as the last lines of a process.
        seen: String,
    },
    /// A process ended while something was awaited from it.
    #[error("{process} ended before this: {what}{}", told(seen))]
    Ended {
        /// The name of the process.
        process: String,
        /// What was awaited.
        what: String,
        /// Its last lines.
        seen: String,
    },
    /// An answer that is not what the asked one promises.
    #[error("{what}: unexpected answer {answer:?}")]
    Answer {
        /// What was asked.
        what: String,
        /// What came.
        answer: String,
    },
    /// A request over the control socket of a daemon failed.
    #[error("{what}: {source}")]
    Control {
        /// The request.
        what: String,
        /// The client's error.
        source: control::ClientError,
    },
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        source: io::Error,
    },
}

/// The result of every call of the lab, and of a test that uses it.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Error {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    pub(crate) fn control(what: impl Into<String>) -> impl FnOnce(control::ClientError) -> Self {
        let what = what.into();
        move |source| Self::Control { what, source }
    }

    pub(crate) fn answer(what: impl Into<String>, answer: impl Into<String>) -> Self {
        Self::Answer { what: what.into(), answer: answer.into() }
    }
}

fn told(seen: &str) -> String {
    if seen.is_empty() { String::new() } else { format!("\n--- seen instead ---\n{seen}") }
}
