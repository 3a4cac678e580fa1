//! `add`: adds a file to what this robot keeps and gives to others.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::jobs;
use crate::output::Output;
use crate::text::{clean, size};
use clap::Args;
use content::{Pinned, Request};
use serde::Serialize;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost add run7.bag
  dt-swarm-cli localhost add /media/stick/run7.bag --copy

Files in the shared folder need not be added: they are shared by themselves.";

/// Add a file to what this robot keeps and gives to others, and show its CID. It is not copied, but served where it
/// is, until somebody changes it; the daemon has to be able to read it there.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Add {
    /// The file.
    file: PathBuf,
    /// Copy it into the daemon's store, so that it is kept whatever becomes of the file.
    #[arg(long)]
    copy: bool,
}

/// A file that was added.
#[derive(Debug, Serialize)]
pub(crate) struct Added {
    /// Its CID.
    cid: String,
    /// The bytes of all its blocks.
    bytes: u64,
    /// Where it is.
    path: String,
    /// Whether it is served where it is. Otherwise it was copied into the store.
    is_in_place: bool,
}

impl Command for Add {
    type Output = Added;

    fn run(&self, context: &Context) -> Result<Added, CliError> {
        context.require_here()?;
        let unread = |source| CliError::Unread { path: self.file.clone(), source };
        let path = self.file.canonicalize().map_err(unread)?;
        let path = path.to_str().ok_or_else(|| CliError::NotUnicode(path.clone()))?.to_owned();
        let mut client = context.client()?;
        let request = Request::Add { path: path.clone(), copy: self.copy };
        let Pinned { cid, bytes } = jobs::run(&mut client, &request)?;
        Ok(Added { cid, bytes, path, is_in_place: !self.copy })
    }
}

impl Output for Added {
    fn show(&self) -> String {
        let how = match self.is_in_place {
            true => "served where it is, as long as it stays as it is",
            false => "copied into the store",
        };
        format!("{}\n{}: {}, {how}\n", self.cid, clean(&self.path, 300), size(self.bytes))
    }
}
