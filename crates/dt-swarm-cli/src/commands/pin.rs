//! `pin`: keeps content, after fetching what is missing of it.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::jobs;
use crate::output::Output;
use crate::text::{clean, size};
use clap::Args;
use content::Request;
use serde::Serialize;

/// Keep this content whatever comes, after fetching what is missing of it. Ctrl-C gives up.
#[derive(Debug, Args)]
pub(crate) struct Pin {
    /// Its CID, as `report` and `add` show it.
    cid: String,
}

/// Content that is pinned now.
#[derive(Debug, Serialize)]
pub(crate) struct Pinned {
    /// Its CID.
    cid: String,
    /// The bytes of all its blocks.
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
