//! `share`: shares an unshared file again.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::output::fields::FileRef;
use crate::text::clean;
use clap::Args;
use logs::{Answer, Logs, Request};
use serde::Serialize;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost share run/example.bag
  dt-swarm-cli localhost unshare                     lists the files that can be shared again

To share a new file, put it into a shared folder. No command is needed.";

/// Undoes `unshare`: the file is shared again.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Share {
    /// The file: its path or the end of it, its name, or its CID as `unshare` shows it.
    #[arg(value_name = "FILE|CID")]
    file: String,
}

/// A file that is shared again.
#[derive(Debug, Serialize)]
pub(crate) struct SharedAgain {
    #[serde(flatten)]
    file: FileRef,
    /// The path of the file in a shared folder of this robot; `null` when it is not there now.
    path: Option<String>,
}

impl Command for Share {
    type Output = SharedAgain;

    fn run(&self, context: &Context) -> Result<SharedAgain, CliError> {
        context.require_here()?;
        let mut client = context.client()?;
        match client.call::<Logs>(&Request::Share { file: self.file.clone() })? {
            Answer::SharedAgain { file } => Ok(SharedAgain {
                file: FileRef { cid: file.cid, name: Some(file.name), bytes: Some(file.bytes) },
                path: file.path,
            }),
            other => Err(client.unexpected(&other).into()),
        }
    }
}

impl Output for SharedAgain {
    fn show(&self) -> String {
        let name = self.file.name.as_deref().unwrap_or(&self.file.cid);
        match &self.path {
            Some(path) => format!("{} is shared again, from {}.\n", clean(name, 120), clean(path, 300)),
            None => format!(
                "{} may be shared again. It is not in a shared folder now: put it there to share it.\n",
                clean(name, 120)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;

    #[test]
    fn says_from_where_the_file_is_shared() {
        let file = FileRef { cid: "bafy".into(), name: Some("a\x1b.bag".into()), bytes: Some(5) };
        let mut document = SharedAgain { file, path: Some("/home/duckie/shared-logs/a.bag".into()) };
        vocabulary::checked(&document);
        assert_eq!(document.show(), "a\\u{1b}.bag is shared again, from /home/duckie/shared-logs/a.bag.\n");
        document.path = None;
        assert!(document.show().contains("put it there to share it"), "{}", document.show());
    }
}
