//! `undiscard`: undoes `discard`, and every way in which a robot let go of a log.

use super::Command;
use crate::context::Context;
use crate::discarding::{self, Change, ChangedFile};
use crate::error::CliError;
use crate::output::Output;
use crate::signing::SigningOptions;
use clap::Args;
use serde::Serialize;

/// Undo `discard`, whoever did it: the log may be shared and kept again. Whoever still has it shares it again.
///
/// This robot then also keeps it again if it was deleted or unpinned here.
#[derive(Debug, Args)]
pub(crate) struct Undiscard {
    /// The file's name, or its CID as `report` shows it.
    #[arg(value_name = "FILE|CID")]
    file: String,
    /// Sign with this key file instead of having the robot say it: its name, as `keys` shows it, or its path
    #[arg(long, value_name = "NAME|FILE")]
    key: Option<String>,
}

/// Files that are not discarded any more.
#[derive(Debug, Serialize)]
pub(crate) struct Undiscarded {
    /// The files.
    files: Vec<ChangedFile>,
}

impl Command for Undiscard {
    type Output = Undiscarded;

    fn run(&self, context: &Context) -> Result<Undiscarded, CliError> {
        context.require_here()?;
        let file = discarding::find_discarded(context, &self.file, self.key.is_some())?;
        let options = SigningOptions::by(self.key.clone());
        let files = discarding::change(context, Change::Undiscard, vec![file], &options)?;
        Ok(Undiscarded { files })
    }
}

impl Output for Undiscarded {
    fn show(&self) -> String {
        let line = |file: &ChangedFile| {
            format!(
                "{} may be kept again. Whoever still has it shares it; if nobody has it, put it into a shared folder.\n",
                file.label()
            )
        };
        self.files.iter().map(line).collect()
    }
}
