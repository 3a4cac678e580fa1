//! `gc`: deletes all blocks that are not pinned.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::text::{count, size};
use clap::Args;
use content::{Answer, Content, Request};
use serde::Serialize;

/// Deletes all blocks that are not pinned, and shows how much space that freed.
///
/// Blocks of fetches that did not complete are deleted, too.
#[derive(Debug, Args)]
pub(crate) struct Gc {}

/// The amount of data that was deleted.
#[derive(Debug, Serialize)]
pub(crate) struct Freed {
    /// The number of deleted blocks.
    blocks: usize,
    /// The size of the deleted blocks in bytes.
    bytes: u64,
    /// The number of files that are no longer served in place. The files themselves stay.
    unserved_files: usize,
}

impl Command for Gc {
    type Output = Freed;

    fn run(&self, context: &Context) -> Result<Freed, CliError> {
        let mut client = context.client()?;
        match client.call::<Content>(&Request::CollectGarbage {})? {
            Answer::Freed(content::Freed { blocks, bytes, files }) => {
                Ok(Freed { blocks, bytes, unserved_files: files })
            }
            other => Err(client.unexpected(&other).into()),
        }
    }
}

impl Output for Freed {
    fn show(&self) -> String {
        let freed = format!("Freed {}: {}.\n", size(self.bytes), count(self.blocks, "block"));
        match self.unserved_files {
            0 => freed,
            1 => freed + "1 file is no longer served in place. The file itself stays.\n",
            files => {
                format!("{freed}{files} files are no longer served in place. The files themselves stay.\n")
            }
        }
    }
}
