//! `undiscard`: undoes `discard`, and makes this robot keep a log again that was deleted or unpinned here.

use super::Command;
use crate::context::Context;
use crate::discarding::{self, Change, ChangedFile};
use crate::error::CliError;
use crate::output::Output;
use crate::signing::SigningOptions;
use clap::Args;
use serde::Serialize;

/// Undoes `discard`: the log may be shared and kept again, also if another peer discarded it.
///
/// Robots that still have the log share it again. This robot also keeps it again if it was deleted or unpinned here.
#[derive(Debug, Args)]
pub(crate) struct Undiscard {
    /// The name of the file, or its CID as `report` shows it.
    #[arg(value_name = "FILE|CID")]
    file: String,
    /// Signs with this key file instead of the robot's key: its name, as `keys` shows it, or its path
    #[arg(long, value_name = "NAME|FILE")]
    key: Option<String>,
}

/// The files whose discard was undone.
#[derive(Debug, Serialize)]
pub(crate) struct Undiscarded {
    /// The files; at present always one.
    files: Vec<ChangedFile>,
}

impl Command for Undiscard {
    type Output = Undiscarded;

    fn run(&self, context: &Context) -> Result<Undiscarded, CliError> {
        context.require_here()?;
        let file = discarding::find_discarded(context, &self.file, self.key.is_some())?;
        let options = SigningOptions::by(self.key.clone());
        let files = discarding::change(context, &Change::Undiscard, vec![file], &options)?;
        Ok(Undiscarded { files })
    }
}

impl Output for Undiscarded {
    fn show(&self) -> String {
        let line = |file: &ChangedFile| {
            format!(
                "{} may be kept again. Robots that still have it share it. If no robot has it, put it into a shared folder.\n",
                file.label()
            )
        };
        self.files.iter().map(line).collect()
    }
}
