//! `gc`: throws away all blocks that are not pinned.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::text::{count, size};
use clap::Args;
use content::{Answer, Content, Request};
use serde::Serialize;

/// Throw away all blocks that are not pinned, those that half a fetch left among them, and show what that freed.
#[derive(Debug, Args)]
pub(crate) struct Gc {}

/// What was thrown away.
#[derive(Debug, Serialize)]
pub(crate) struct Freed {
    /// The number of blocks.
    blocks: usize,
    /// Their bytes.
    bytes: u64,
    /// The number of files that are served in place no more. They are not touched.
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
            1 => freed + "1 file is served in place no more, and not touched.\n",
            files => format!("{freed}{files} files are served in place no more, and not touched.\n"),
        }
    }
}
