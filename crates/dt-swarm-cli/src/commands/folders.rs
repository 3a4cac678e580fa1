//! `folders`: shows the shared folders of this robot, and forgets disks that will not come back.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::output::shared_folders::SharedFolders;
use crate::text::{clean, count};
use clap::{Args, Subcommand};
use logs::{Answer, Logs, Request};
use serde::Serialize;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost folders
  dt-swarm-cli localhost folders forget 5f1c09e3a77b42d8

The robot recognises a shared folder by the small hidden file .dt-swarm-folder in it, wherever it is mounted. Do not copy this file.";

/// Shows the shared folders of this robot, and the disks with shared files that are not there.
///
/// A folder that vanishes is not taken for a folder whose files were deleted: a stick may have been pulled, or a disk not
/// been mounted. Nothing is withdrawn, and other robots keep their copies. The files are shared again when the folder is
/// back, at any path that is shared.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Folders {
    #[command(subcommand)]
    command: Option<FoldersCommand>,
}

#[derive(Debug, Subcommand)]
enum FoldersCommand {
    /// States that the files of a missing disk are gone: they count as deleted from the shared folder.
    ///
    /// This robot does not state any more that it keeps them. Other robots keep their copies. If the disk comes back after
    /// all, its files are shared again.
    Forget {
        /// The ID of the disk, as `folders` and `report` show it.
        #[arg(value_name = "DISK")]
        disk: String,
    },
}

/// The output of `folders` and `folders forget`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum FoldersOutput {
    List(SharedFolders),
    Forgotten(ForgottenDisk),
}

/// A disk whose files count as deleted.
#[derive(Debug, Serialize)]
pub(crate) struct ForgottenDisk {
    /// The ID of the disk.
    disk: String,
    /// The number of its files.
    files: usize,
}

impl Command for Folders {
    type Output = FoldersOutput;

    fn run(&self, context: &Context) -> Result<FoldersOutput, CliError> {
        context.require_here()?;
        match &self.command {
            None => SharedFolders::require(context).map(FoldersOutput::List),
            Some(FoldersCommand::Forget { disk }) => forget(context, disk).map(FoldersOutput::Forgotten),
        }
    }
}

fn forget(context: &Context, disk: &str) -> Result<ForgottenDisk, CliError> {
    let mut client = context.client()?;
    match client.call::<Logs>(&Request::ForgetDisk { disk: disk.to_owned() })? {
        Answer::DiskForgotten { files } => Ok(ForgottenDisk { disk: disk.to_owned(), files }),
        other => Err(client.unexpected(&other).into()),
    }
}

impl Output for FoldersOutput {
    fn show(&self) -> String {
        match self {
            Self::List(folders) => list(folders),
            Self::Forgotten(ForgottenDisk { disk, files }) => format!(
                "{} of the disk {} now {} as deleted: this robot does not keep them any more. Other robots keep their \
                 copies.\n",
                count(*files, "file"),
                clean(disk, 100),
                if *files == 1 { "counts" } else { "count" }
            ),
        }
    }
}

fn list(folders: &SharedFolders) -> String {
    let line = |path: &str, reason: &Option<String>| match reason {
        None => format!("{} is shared.\n", clean(path, 100)),
        Some(_) => String::new(),
    };
    let shared = folders.shared_folders.iter().flatten();
    let shared: String = shared.map(|folder| line(&folder.path, &folder.reason)).collect();
    shared + &folders.show()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;

    #[test]
    fn each_folder_is_shown_once_with_its_state() {
        let folder = |path: &str, reason: Option<&str>| {
            let row = logs::FolderRow {
                path: path.into(),
                reason: reason.map(str::to_owned),
                left_out: Vec::new(),
            };
            row.into()
        };
        let folders = vec![folder("/a", None), folder("/b", Some("it is not there"))];
        let folders = SharedFolders { shared_folders: Some(folders), missing_disks: Some(Vec::new()) };
        let document = FoldersOutput::List(folders);
        assert_eq!(vocabulary::checked(&document)["shared_folders"][1]["path"], "/b");
        assert_eq!(document.show(), "/a is shared.\nNothing is shared from /b: it is not there.\n");
    }

    #[test]
    fn a_forgotten_disk_is_named_with_the_number_of_its_files() {
        let document = FoldersOutput::Forgotten(ForgottenDisk { disk: "ab".into(), files: 1 });
        vocabulary::checked(&document);
        assert!(document.show().starts_with("1 file of the disk ab now counts as deleted"));
    }
}
