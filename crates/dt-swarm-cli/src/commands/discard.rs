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
  dt-swarm-cli localhost discard example.bag
  dt-swarm-cli localhost discard bafy… --key class-root     signed by a key file, where this robot has not the role

To free this robot's own disk alone, delete the file from its shared folder, or `unpin` it: other robots may keep it.";

/// Remove a log from the swarm: it is not listed, and nobody fetches it any more. Robots that keep it let go of it when the
/// robot that shared it says so, or in a swarm with roles a peer that may; in the open swarm they keep their copies
/// otherwise. A file in a shared folder stays there, unshared where a role or this robot itself said so. This robot says so
/// until `undiscard`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Discard {
    /// The file's name, or its CID as `report` shows it.
    #[arg(value_name = "FILE|CID")]
    file: String,
    /// Sign with this key file instead of having the robot say it: its name, as `keys` shows it, or its path
    #[arg(long, value_name = "NAME|FILE")]
    key: Option<String>,
}

/// Files that are discarded.
#[derive(Debug, Serialize)]
pub(crate) struct Discarded {
    /// The files.
    files: Vec<ChangedFile>,
    /// Whether this robot goes on saying it; otherwise it holds for as long as the key file signed.
    is_renewed: bool,
}

impl Command for Discard {
    type Output = Discarded;

    fn run(&self, context: &Context) -> Result<Discarded, CliError> {
        context.require_here()?;
        let file = discarding::find(context, &self.file)?;
        let options = SigningOptions::by(self.key.clone());
        let files = discarding::change(context, Change::Discard, vec![file], &options)?;
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
            "{} stays there and is not shared any more; delete it if nobody needs it.\n",
            clean(path, 300)
        ),
        None => String::new(),
    };
    format!(
        "{} is discarded: it is not listed, and nobody fetches it. In the open swarm robots that found it good keep their \
         copies, unless the robot that shared it discards it. `undiscard` undoes that.\n{place}",
        file.label()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::fields::FileRef;
    use crate::output::vocabulary;

    #[test]
    fn what_stays_on_the_disk_is_said() {
        let file = FileRef { cid: "bafy".into(), name: Some("a\x1b.bag".into()), bytes: Some(5) };
        let path = Some("/home/duckie/shared-logs/a.bag".into());
        let document = Discarded { files: vec![ChangedFile { file, path }], is_renewed: true };
        let shown = document.show();
        assert!(shown.starts_with("a\\u{1b}.bag (bafy) is discarded"), "{shown}");
        assert!(shown.contains("/shared-logs/a.bag stays there"), "{shown}");
        assert_eq!(vocabulary::checked(&document)["files"][0]["cid"], "bafy");
    }
}
