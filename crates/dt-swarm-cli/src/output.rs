//! The output of a command: text for people, JSON for programs.
//!
//! Each command has a documented struct that implements [`Output`]. [`Print`] writes it in the form that the command
//! line asks for.
//!
//! # Vocabulary of the JSON documents
//! A field has the same meaning and the same unit in the documents of all commands. [`fields`] has the structs that
//! several documents share.
//!
//! | field | value |
//! |---|---|
//! | `time` | The time at which the data of the object was true. All times are RFC 3339 in UTC, such as `2027-01-01T00:00:00Z`. A time after the year 9999 is `@` and its seconds since 1970. |
//! | `from`, `until` | Start and end of a validity, as times. `null` is an open end. |
//! | `…_time` | Another time. |
//! | `age_seconds`, `left_seconds`, `…_seconds` | A duration in seconds. |
//! | `bytes` | The size of the file or of the content. |
//! | `…_bytes` | Another number of bytes. |
//! | `bytes_per_second`, `…_bytes_per_second` | A rate. |
//! | `peer`, `hostname` | A peer: its ID, and its host name. `hostname` is `null` if it is not known. Any peer may use any name. |
//! | `daemon` | The daemon that answered, see [`fields::Daemon`]. |
//! | `signers`, `holders`, `discarders`, `sources` | Lists of peers. |
//! | `cid` | The CID of content. |
//! | `name` | A name for people; `null` if it is not known. |
//! | `path` | A path on this computer. |
//! | `bucket`, `data` | An item. |
//! | `kind` | Of a statement: `propose` or `dismiss`. |
//! | `role` | `root`, `admin`, `trusted` or `peer`; `null` is none. |
//! | `level` | A level of health: `ok`, `warn`, `stale` or `error`. |
//! | `state` | A state, as one of a few words that the field lists. |
//! | `reason` | A sentence that says why something fails, waits or does not count. |
//! | `origin` | How a fact was learned: `record`, `line`, `dns_sd` or `pong`. |
//! | `is_…`, `has_…` | `true` or `false`. |
//!
//! Texts from other peers are in the document unchanged. Characters that could control a terminal are written as
//! `\uXXXX`.

pub(crate) mod access;
pub(crate) mod answered;
pub(crate) mod channel;
pub(crate) mod discarder;
pub(crate) mod fields;
pub(crate) mod health;
pub(crate) mod names;
pub(crate) mod path;
pub(crate) mod recording;
pub(crate) mod robot;
pub(crate) mod shared_folders;
pub(crate) mod transfer;
pub(crate) mod unshared;
pub(crate) mod uploaded;
pub(crate) mod usage;
#[cfg(test)]
pub(crate) mod vocabulary;

use crate::error::CliError;
use crate::text::clean_json;
use serde::Serialize;
use std::io::{self, ErrorKind, Write as _};

/// The form of the output: text for people, or JSON for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
}

/// A document. Its JSON form follows the [vocabulary](self).
pub(crate) trait Output: Serialize {
    /// Returns the text for people, with its line ends. Dangerous characters in texts from other peers are escaped.
    fn show(&self) -> String;
}

/// The value that a command returns: one [`Output`], or a [`Live`] sequence of them.
pub(crate) trait Print {
    /// Prints the value in this form.
    fn print(self, form: Form) -> Result<(), CliError>;
}

/// Prints one document; JSON is indented over several lines.
impl<T: Output> Print for T {
    fn print(self, form: Form) -> Result<(), CliError> {
        let text = match form {
            Form::Text => self.show(),
            Form::Json => json_text(serde_json::to_string_pretty(&self))?,
        };
        write_out(&text).map(drop)
    }
}

/// A sequence of documents, each printed as soon as it exists. In JSON, each document is on its own line.
pub(crate) struct Live<T>(Box<dyn Iterator<Item = Result<T, CliError>>>);

impl<T> Live<T> {
    /// Makes the sequence from an iterator. Printing stops when the iterator ends or fails, or when the reader of
    /// standard output closes it.
    pub(crate) fn new(documents: impl Iterator<Item = Result<T, CliError>> + 'static) -> Self {
        Self(Box::new(documents))
    }
}

impl<T: Output> Print for Live<T> {
    fn print(self, form: Form) -> Result<(), CliError> {
        for document in self.0 {
            let document = document?;
            let text = match form {
                Form::Text => document.show(),
                Form::Json => json_text(serde_json::to_string(&document))?,
            };
            if !write_out(&text)? {
                break;
            }
        }
        Ok(())
    }
}

/// The output of a command that only confirms its success.
#[derive(Debug, Serialize)]
pub(crate) struct Done {
    /// Always `true`: on failure the program prints an error instead.
    is_done: bool,
    #[serde(skip)]
    sentence: String,
}

impl Done {
    /// Makes the confirmation from a sentence for people, given without a line end.
    pub(crate) fn new(sentence: &str) -> Self {
        Self { is_done: true, sentence: sentence.to_owned() }
    }
}

impl Output for Done {
    fn show(&self) -> String {
        format!("{}\n", self.sentence)
    }
}

fn json_text(json: serde_json::Result<String>) -> Result<String, CliError> {
    let json = json.map_err(|error| CliError::Output(error.into()))?;
    Ok(clean_json(json) + "\n")
}

/// Prints and flushes a text. Returns `false` if the reader closed the pipe early, as `head` does. This is not an
/// error.
fn write_out(text: &str) -> Result<bool, CliError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CliError::Output(error)),
    }
}

/// Prints a warning to stderr. Ignores a failure to write it, so that the answer is still shown.
pub(crate) fn warn(message: &str) {
    let _ = writeln!(io::stderr(), "dt-swarm-cli: {message}");
}
