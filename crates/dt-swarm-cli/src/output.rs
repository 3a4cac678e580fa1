//! What a command gives: text for people, JSON for programs.
//!
//! Each command has a documented struct that implements [`Output`]. [`Print`] writes it in the form that was asked for.
//!
//! # Vocabulary of the JSON documents
//! A field means the same, in the same unit, in the document of every command. [`fields`] has the structs that several
//! documents share.
//!
//! | field | value |
//! |---|---|
//! | `time` | The time for which the object around it holds. All times are RFC 3339 in UTC, such as `2027-01-01T00:00:00Z`; a time after the year 9999 is `@` and its seconds since 1970. |
//! | `from`, `until` | Start and end of a validity, as times. `null` is an open end. |
//! | `…_time` | Another time. |
//! | `age_seconds`, `left_seconds`, `…_seconds` | A duration in seconds. |
//! | `bytes` | The size of the file or of the content. |
//! | `…_bytes` | Another number of bytes. |
//! | `bytes_per_second`, `…_bytes_per_second` | A rate. |
//! | `peer`, `hostname` | A peer: its ID, and the name that it gives itself. `hostname` is `null` where it is not known; anybody may use any name. |
//! | `daemon` | The daemon that answered, see [`fields::Daemon`]. |
//! | `signers`, `holders`, `discarders`, `sources` | Lists of peers. |
//! | `cid` | The CID of content. |
//! | `name` | What people call it; `null` where that is not known. |
//! | `path` | A path on this computer. |
//! | `bucket`, `data` | An item. |
//! | `kind` | Of a statement: `propose` or `dismiss`. |
//! | `role` | `root`, `admin`, `trusted` or `peer`; `null` is none. |
//! | `state` | How far something is, as one of a few words. |
//! | `reason` | A sentence that says why something is not so. |
//! | `is_…`, `has_…` | `true` or `false`. |
//!
//! Texts from others are in the document as they came. What could steer a terminal is written as `\uXXXX`.

pub(crate) mod answered;
pub(crate) mod channel;
pub(crate) mod fields;
pub(crate) mod names;
pub(crate) mod shared_folder;
pub(crate) mod transfer;
#[cfg(test)]
pub(crate) mod vocabulary;

use crate::error::CliError;
use crate::text::clean_json;
use serde::Serialize;
use std::io::{self, ErrorKind, Write as _};

/// Whether people or programs read the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
}

/// A document. Its JSON form keeps to the [vocabulary](self).
pub(crate) trait Output: Serialize {
    /// Returns the text for people, with its line ends. Texts from others are neutralised in it.
    fn show(&self) -> String;
}

/// What a command returns: one [`Output`], or [`Live`] ones.
pub(crate) trait Print {
    /// Prints it in this form.
    fn print(self, form: Form) -> Result<(), CliError>;
}

/// One document, in JSON over several lines.
impl<T: Output> Print for T {
    fn print(self, form: Form) -> Result<(), CliError> {
        let text = match form {
            Form::Text => self.show(),
            Form::Json => json_text(serde_json::to_string_pretty(&self))?,
        };
        write_out(&text).map(drop)
    }
}

/// Documents that are printed as they come, in JSON each on a line of its own.
pub(crate) struct Live<T>(Box<dyn Iterator<Item = Result<T, CliError>>>);

impl<T> Live<T> {
    /// Takes the documents of this iterator. They are printed until it ends or fails, or until nobody reads any more.
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

/// Says that something was done; nothing else is to be told of it.
#[derive(Debug, Serialize)]
pub(crate) struct Done {
    /// Always `true`: otherwise the program fails.
    is_done: bool,
    #[serde(skip)]
    sentence: String,
}

impl Done {
    /// Makes it with the sentence for people, given without its line end.
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
    Ok(clean_json(&json) + "\n")
}

/// Prints a text at once. Returns false when the reader closed the pipe early, as `head` does; that is no error.
fn write_out(text: &str) -> Result<bool, CliError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CliError::Output(error)),
    }
}

/// Prints a warning to stderr. Without a place for warnings the answer is still worth showing.
pub(crate) fn warn(message: &str) {
    let _ = writeln!(io::stderr(), "dt-swarm-cli: {message}");
}
