//! The shared folder of a daemon, and the files in it that are not shared.

use crate::context::Context;
use crate::text::{clean, count};
use logs::{Answer, FolderRow, LeftOutRow, Logs, Request};
use serde::Serialize;
use std::fmt::Write as _;

/// Maximum number of characters of a path that are shown.
const MAX_PATH_SHOWN: usize = 100;
/// Maximum number of characters of a reason that are shown.
const MAX_REASON_SHOWN: usize = 300;

/// The shared folder of the daemon on this computer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SharedFolder {
    /// The path of the folder.
    path: String,
    /// Why no file of the folder is shared; `null` when its files are shared.
    reason: Option<String>,
    /// The files that are not shared, one row for each reason. Hidden files and files that are being recorded
    /// (`*.active`) are not counted.
    left_out: Vec<LeftOut>,
}

/// Files and folders that are not shared for one reason.
#[derive(Clone, Debug, Serialize)]
struct LeftOut {
    /// The code of the reason: `not_utf8`, `control_characters`, `reserved_name`, `too_deep`, `too_many`, `link`,
    /// `special`, `unreadable` or `private`.
    code: String,
    /// The reason, as a sentence.
    reason: String,
    /// The number of these files and folders.
    total: usize,
    /// Paths of the first few, relative to the shared folder.
    examples: Vec<String>,
}

impl SharedFolder {
    /// Asks the daemon at HOST. Returns `None` when it runs on another computer, or does not know the request because
    /// it is older.
    pub(crate) fn ask(context: &Context) -> Option<Self> {
        match context.client().ok()?.call::<Logs>(&Request::Folder {}) {
            Ok(Answer::Folder(folder)) => Some(folder.into()),
            _ => None,
        }
    }

    /// Returns a line for each reason why files are not shared. Returns an empty text when all files are shared.
    pub(crate) fn show(&self) -> String {
        let path = clean(&self.path, MAX_PATH_SHOWN);
        let mut shown = String::new();
        // Writing to a String does not fail.
        if let Some(reason) = &self.reason {
            let _ = writeln!(shown, "Nothing is shared from {path}: {}.", clean(reason, MAX_REASON_SHOWN));
        }
        for LeftOut { reason, total, examples, .. } in &self.left_out {
            let mut names: Vec<String> = examples.iter().map(|name| clean(name, MAX_PATH_SHOWN)).collect();
            if *total > names.len() {
                names.push("…".to_owned());
            }
            let (number, names) = (count(*total, "file"), names.join(", "));
            let _ = writeln!(
                shown,
                "Not shared from {path}: {number} ({names}): {}.",
                clean(reason, MAX_REASON_SHOWN)
            );
        }
        shown
    }
}

impl From<FolderRow> for SharedFolder {
    fn from(FolderRow { path, reason, left_out }: FolderRow) -> Self {
        Self { path, reason, left_out: left_out.into_iter().map(LeftOut::from).collect() }
    }
}

impl From<LeftOutRow> for LeftOut {
    fn from(LeftOutRow { code, reason, total, examples }: LeftOutRow) -> Self {
        Self { code, reason, total, examples }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;

    #[test]
    fn says_how_many_are_left_out_and_why() {
        let left_out = LeftOutRow {
            code: "link".into(),
            reason: "links are not followed".into(),
            total: 2,
            examples: vec!["a\u{1b}.bag".into()],
        };
        let path = "/home/duckie/shared-logs".to_owned();
        let folder = SharedFolder::from(FolderRow { path, reason: None, left_out: vec![left_out] });
        vocabulary::checked(&folder);
        assert_eq!(
            folder.show(),
            "Not shared from /home/duckie/shared-logs: 2 files (a\\u{1b}.bag, …): links are not followed.\n"
        );
        let gone = SharedFolder { reason: Some("it is not there".into()), left_out: Vec::new(), ..folder };
        assert_eq!(gone.show(), "Nothing is shared from /home/duckie/shared-logs: it is not there.\n");
    }
}
