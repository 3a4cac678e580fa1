//! `pin`: fetches the missing blocks of content and pins it.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::jobs;
use crate::output::Output;
use crate::text::{clean, size};
use clap::Args;
use content::Request;
use serde::Serialize;

/// Keeps content until `unpin`: fetches its missing blocks and pins it.
///
/// Ctrl-C cancels this. Example: `dt-swarm-cli localhost pin bafy…`
#[derive(Debug, Args)]
pub(crate) struct Pin {
    /// The CID of the content, as `report --wide` and `add` show it.
    cid: String,
}

/// Content that is pinned now.
#[derive(Debug, Serialize)]
pub(crate) struct Pinned {
    /// The CID of the content.
    cid: String,
    /// The total size of its blocks in bytes.
    bytes: u64,
}

impl Command for Pin {
    type Output = Pinned;

    fn run(&self, context: &Context) -> Result<Pinned, CliError> {
        let request = Request::Pin { cid: self.cid.clone() };
        let content::Pinned { cid, bytes } = jobs::run(&mut context.client()?, &request)?;
        Ok(Pinned { cid, bytes })
    }
}

impl Output for Pinned {
    fn show(&self) -> String {
        format!("{}: {}, pinned\n", clean(&self.cid, 200), size(self.bytes))
    }
}
