//! Errors of the lab. Each explains by itself why a test failed.

use std::fmt;
use std::io;
use std::time::Duration;

/// The machine lacks something that the lab needs, such as the right to make namespaces or an installed program.
///
/// [`crate::or_skip`] turns it into a skipped test with a loud message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unavailable {
    /// Message for people: the missing thing, and how to get it.
    pub reason: String,
}

impl Unavailable {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// Every error of the lab.
///
/// `Debug` shows the same text as `Display`, because a test that returns an error prints it with `Debug`.
#[derive(thiserror::Error)]
pub enum Error {
    /// The machine lacks something that the lab needs.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A name does not fit an interface or a namespace.
    #[error("the name {0:?} is not 1 to 32 of a-z, 0-9 and '-'")]
    Name(String),
    /// All networks, or all addresses of a network, are in use.
    #[error("no address is left for {0}")]
    Full(String),
    /// A command ran to its end and reported a failure.
    #[error("`{command}` failed: {problem}")]
    Command {
        /// The whole command line.
        command: String,
        /// The exit status and the text on stderr.
        problem: String,
    },
    /// An awaited event did not happen in time.
    #[error("timed out after {within:?} waiting for this: {what}{}", told(seen))]
    Deadline {
        /// The awaited event.
        what: String,
        /// The time limit that passed.
        within: Duration,
        /// The output seen instead, such as the last lines of a process.
        seen: String,
    },
    /// A process ended before an awaited event.
    #[error("{process} ended while the lab waited for it: {what}{}", told(seen))]
    Ended {
        /// The name of the process.
        process: String,
        /// The awaited event.
        what: String,
        /// The last lines of the process.
        seen: String,
    },
    /// A peer or program gave an unexpected answer.
    #[error("{what}: unexpected answer {answer:?}")]
    Answer {
        /// The question that was asked.
        what: String,
        /// The answer as it arrived.
        answer: String,
    },
    /// A request over the control socket of a daemon failed.
    #[error("{what}: {source}")]
    Control {
        /// The request that failed.
        what: String,
        /// The error of the client.
        source: control::ClientError,
    },
    /// A call of the operating system failed.
    #[error("{what}: {source}")]
    Io {
        /// The operation that failed.
        what: String,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Result of every call of the lab, and of a test that uses it.
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
