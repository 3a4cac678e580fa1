//! `discard`: removes a log from the swarm.

use super::Command;
use crate::context::Context;
use crate::discarding::{self, Change, ChangedFile};
use crate::error::CliError;
use crate::output::Output;
use crate::signing::SigningOptions;
use crate::text::clean;
use clap::Args;
use serde::Serialize;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost discard example.bag --reason 'the camera was covered'
  dt-swarm-cli localhost discard bafy… --key class-root     signs with a key file, if this robot does not have the role

To free only the disk of this robot, delete the file from its shared folder, or `unpin` it. Other robots may keep the file.";

/// Removes a log from the swarm: it is no longer listed, and no robot fetches it any more.
///
/// If the robot that shared the log discards it, the robots that keep it stop keeping it. In a swarm with roles, they
/// also stop if a peer with the required role discards it. In all other cases they keep their copies. A robot without a
/// role withdraws its own log with `unshare`.
///
/// A file in a shared folder is never deleted. A robot stops sharing its file if the robot itself or a peer with the
/// required role discards the file. This robot renews the discard until `undiscard`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Discard {
    /// The name of the file, or its CID as `report` shows it.
    #[arg(value_name = "FILE|CID")]
    file: String,
    /// The reason, for the users of other robots: `report` and `log` show it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Signs with this key file instead of the robot's key: its name, as `keys` shows it, or its path
    #[arg(long, value_name = "NAME|FILE")]
    key: Option<String>,
}

/// The files that were discarded.
#[derive(Debug, Serialize)]
pub(crate) struct Discarded {
    /// The files; at present always one.
    files: Vec<ChangedFile>,
    /// Whether this robot renews the discard. Otherwise a key file signed it, and it is valid for the signed time.
    is_renewed: bool,
}

impl Command for Discard {
    type Output = Discarded;

    fn run(&self, context: &Context) -> Result<Discarded, CliError> {
        context.require_here()?;
        let file = discarding::find(context, &self.file)?;
        let options = SigningOptions::by(self.key.clone());
        let change = Change::Discard { reason: self.reason.clone() };
        let files = discarding::change(context, &change, vec![file], &options)?;
        Ok(Discarded { files, is_renewed: self.key.is_none() })
    }
}

impl Output for Discarded {
    fn show(&self) -> String {
        self.files.iter().map(show).collect()
    }
}

fn show(file: &ChangedFile) -> String {
    let place = match &file.path {
        Some(path) => format!(
            "{} stays there and is no longer shared; delete it if it is not needed.\n",
            clean(path, 300)
        ),
        None => String::new(),
    };
    format!(
        "{} is discarded: it is no longer listed, and no robot fetches it. In the open swarm, robots that checked the file keep \
         their copies, unless the robot that shared it discards it. `undiscard` undoes this.\n{place}",
        file.label()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::fields::FileRef;
    use crate::output::vocabulary;

    #[test]
    fn a_file_that_stays_in_the_shared_folder_is_named() {
        let file = FileRef { cid: "bafy".into(), name: Some("a\x1b.bag".into()), bytes: Some(5) };
        let path = Some("/home/duckie/shared-logs/a.bag".into());
        let document = Discarded { files: vec![ChangedFile { file, path }], is_renewed: true };
        let shown = document.show();
        assert!(shown.starts_with("a\\u{1b}.bag (bafy) is discarded"), "{shown}");
        assert!(shown.contains("/shared-logs/a.bag stays there"), "{shown}");
        assert_eq!(vocabulary::checked(&document)["files"][0]["cid"], "bafy");
    }
}
