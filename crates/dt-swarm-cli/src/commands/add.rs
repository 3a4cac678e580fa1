//! `add`: adds a file to the content that this robot keeps and serves to other peers.

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

Files in the shared folder need not be added: the daemon shares them by itself.";

/// Adds a file to the content that this robot keeps and serves to other peers, and shows its CID.
///
/// The file is not copied. The daemon serves it from its present path until the file is changed, so the daemon must be
/// able to read it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Add {
    /// The path of the file.
    file: PathBuf,
    /// Copies the file into the daemon's store, so that the file itself may be changed or deleted.
    #[arg(long)]
    copy: bool,
}

/// A file that was added.
#[derive(Debug, Serialize)]
pub(crate) struct Added {
    /// The CID of the file.
    cid: String,
    /// The total size of its blocks in bytes.
    bytes: u64,
    /// The absolute path of the file.
    path: String,
    /// Whether the file is served from its place. Otherwise it was copied into the store.
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
            true => "served from its place until it is changed",
            false => "copied into the store",
        };
        format!("{}\n{}: {}, {how}\n", self.cid, clean(&self.path, 300), size(self.bytes))
    }
}
