//! `revoke`: takes a role away from a peer.

use super::Command;
use crate::context::Context;
use crate::discarding::{self, Change, label};
use crate::error::CliError;
use crate::output::Output;
use crate::output::fields::FileRef;
use crate::roles::RoleArguments;
use crate::signing::Signed;
use crate::text::count;
use clap::Args;
use dcache::{Kind, Role};
use serde::Serialize;
use std::collections::BTreeSet;

/// Maximum number of files that are listed.
const MAX_FILES_SHOWN: usize = 10;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost revoke trusted 12D3KooW…
  dt-swarm-cli localhost revoke peer 12D3KooW… --discard-files      also removes the logs that it shared

`grant` with the same arguments takes it back.";

/// Takes a role away from a peer, forever unless an option says otherwise.
///
/// Revoking also affects the past: earlier statements of the peer that need the role no longer count. `revoke peer`
/// excludes a robot from the swarm. The files that it shared stay, unless --discard-files discards them.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Revoke {
    #[command(flatten)]
    role: RoleArguments,
    /// Also discards the files that the peer shared.
    #[arg(long)]
    discard_files: bool,
}

/// The statement that takes the role away, and the files of the peer.
#[derive(Debug, Serialize)]
pub(crate) struct Revoked {
    #[serde(flatten)]
    signed: Signed,
    /// The files that the peer shared and that are in the swarm.
    files: Vec<FileRef>,
    /// Whether these files were discarded.
    is_discarded: bool,
}

impl Command for Revoke {
    type Output = Revoked;

    fn run(&self, context: &Context) -> Result<Revoked, CliError> {
        context.require_here()?;
        let is_about_files = self.discard_files || self.role.role() == Role::Peer;
        let files = match is_about_files {
            true => discarding::of_peer(context, self.role.peer(context)?)?,
            false => Vec::new(),
        };
        let signed = self.role.sign(context, Kind::Dismiss)?;
        let files = match self.discard_files {
            // Files that the peer had withdrawn appear again when its statements cease to count.
            true => merged(files, discarding::of_peer(context, self.role.peer(context)?)?),
            false => files,
        };
        if self.discard_files {
            discarding::change(
                context,
                &Change::Discard { reason: None },
                files.clone(),
                self.role.signing(),
            )
            .map_err(|error| CliError::FilesStay(Box::new(error)))?;
        }
        Ok(Revoked { signed, files, is_discarded: self.discard_files })
    }
}

/// Returns the files of both lists, each once.
fn merged(mut files: Vec<FileRef>, more: Vec<FileRef>) -> Vec<FileRef> {
    let known: BTreeSet<String> = files.iter().map(|file| file.cid.clone()).collect();
    files.extend(more.into_iter().filter(|file| !known.contains(&file.cid)));
    files
}

impl Output for Revoked {
    fn show(&self) -> String {
        self.signed.show() + &show_files(&self.files, self.is_discarded)
    }
}

fn show_files(files: &[FileRef], is_discarded: bool) -> String {
    if files.is_empty() {
        return String::new();
    }
    let number = count(files.len(), "file");
    let what = match is_discarded {
        true => format!("{number} that it shared: discarded, until `undiscard`.\n"),
        false => format!(
            "{number} that it shared: still in the swarm. The same command with --discard-files discards all of its files.\n"
        ),
    };
    let lines = files.iter().take(MAX_FILES_SHOWN).map(|file| format!("  {}\n", label(file)));
    let more = if files.len() > MAX_FILES_SHOWN { "  …\n" } else { "" };
    format!("{what}{}{more}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_peer_are_listed_with_their_state() {
        let file = |name: &str| FileRef { cid: "bafy".into(), name: Some(name.into()), bytes: None };
        let files: Vec<FileRef> = (0..11).map(|number| file(&format!("{number}.bag"))).collect();
        assert_eq!(show_files(&[], false), "");
        let shown = show_files(&files, false);
        assert!(shown.starts_with("11 files that it shared: still in the swarm"), "{shown}");
        assert!(shown.contains("--discard-files") && shown.ends_with("  9.bag (bafy)\n  …\n"), "{shown}");
        assert!(show_files(&files[..1], true).starts_with("1 file that it shared: discarded"));
    }
}
