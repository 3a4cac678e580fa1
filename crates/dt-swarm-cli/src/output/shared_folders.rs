//! The shared folders of a daemon, the files in them that are not shared, and the disks that are missing.

use crate::context::Context;
use crate::error::CliError;
use crate::output::fields::Timestamp;
use crate::text::{clean, count, date, size};
use logs::{Answer, FolderRow, LeftOutRow, Logs, MissingRow, Request};
use serde::Serialize;
use std::fmt::Write as _;

/// Maximum number of characters of a path that are shown.
const MAX_PATH_SHOWN: usize = 100;
/// Maximum number of characters of a reason that are shown.
const MAX_REASON_SHOWN: usize = 300;

/// The shared folders of the daemon on this computer.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct SharedFolders {
    /// The folders, in the order of the configuration; `null` when the daemon runs on another computer or does not
    /// report them.
    pub(crate) shared_folders: Option<Vec<SharedFolder>>,
    /// The disks with shared files that no shared folder shows now; `null` like `shared_folders`.
    pub(crate) missing_disks: Option<Vec<MissingDisk>>,
}

/// A shared folder.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SharedFolder {
    /// The path of the folder.
    pub(crate) path: String,
    /// Why no file of the folder is shared; `null` when its files are shared.
    pub(crate) reason: Option<String>,
    /// The files that are not shared, one row for each reason. Hidden files and files that are being recorded
    /// (`*.active`) are not counted.
    left_out: Vec<LeftOut>,
}

/// Files and folders that are not shared for one reason.
#[derive(Clone, Debug, Serialize)]
struct LeftOut {
    /// The code of the reason: `not_utf8`, `control_characters`, `reserved_name`, `too_deep`, `too_many`, `link`,
    /// `special`, `unreadable`, `private`, `unshared` or `excluded`.
    code: String,
    /// The reason, as a sentence.
    reason: String,
    /// The number of these files and folders.
    total: usize,
    /// Paths of the first few, relative to the shared folder.
    examples: Vec<String>,
}

/// A disk, or any other folder, with shared files that no shared folder shows now. Its files are still listed in the
/// swarm.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MissingDisk {
    /// The ID of the disk, for `folders forget`.
    pub(crate) disk: String,
    /// The shared folder that showed it last; `null` if it is not known.
    pub(crate) path: Option<String>,
    /// When it was there; `null` if it is not known.
    pub(crate) seen_time: Option<Timestamp>,
    /// The number of shared files on it.
    files: usize,
    /// The sum of their sizes.
    bytes: u64,
    /// Paths of the first few, relative to the folder.
    examples: Vec<String>,
}

impl SharedFolders {
    /// Asks the daemon at HOST. Nothing is known when it runs on another computer, or does not know the request because
    /// it is older.
    pub(crate) fn ask(context: &Context) -> Self {
        Self::require(context).unwrap_or_default()
    }

    /// Asks the daemon at HOST, which has to be this computer.
    pub(crate) fn require(context: &Context) -> Result<Self, CliError> {
        let mut client = context.client()?;
        match client.call::<Logs>(&Request::Folders {})? {
            Answer::Folders { folders, missing } => Ok(Self {
                shared_folders: Some(folders.into_iter().map(SharedFolder::from).collect()),
                missing_disks: Some(missing.into_iter().map(MissingDisk::from).collect()),
            }),
            other => Err(client.unexpected(&other).into()),
        }
    }

    /// Returns a line for each reason why files are not shared, and for each missing disk. Returns an empty text when
    /// all files are shared.
    pub(crate) fn show(&self) -> String {
        let folders = self.shared_folders.iter().flatten().map(SharedFolder::show);
        folders.chain(self.missing_disks.iter().flatten().map(MissingDisk::show)).collect()
    }
}

impl MissingDisk {
    /// Says which files are missing, and what a user can do.
    pub(crate) fn show(&self) -> String {
        let mut names: Vec<String> = self.examples.iter().map(|name| clean(name, MAX_PATH_SHOWN)).collect();
        if self.files > names.len() {
            names.push("…".to_owned());
        }
        let (number, names, bytes) = (count(self.files, "file"), names.join(", "), size(self.bytes));
        let verb = if self.files == 1 { "is" } else { "are" };
        let path = self.path.as_ref().map(|path| format!(" It was {}", clean(path, MAX_PATH_SHOWN)));
        let seen = self.seen_time.map(|Timestamp(time)| format!(", last seen {}", date(time)));
        let place = path.map(|path| path + &seen.unwrap_or_default() + ".").unwrap_or_default();
        format!(
            "{number} {verb} on a disk that is not there: {names} ({bytes}).{place} Nothing is withdrawn. If its files are \
             gone for good: folders forget {}\n",
            clean(&self.disk, MAX_PATH_SHOWN)
        )
    }
}

impl SharedFolder {
    /// Returns a line for each reason why files are not shared. Returns an empty text when all files are shared.
    fn show(&self) -> String {
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

impl From<MissingRow> for MissingDisk {
    fn from(MissingRow { disk, folder, seen, files, bytes, examples }: MissingRow) -> Self {
        Self { disk, path: folder, seen_time: seen.map(Timestamp), files, bytes, examples }
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
    #[test]
    fn says_which_files_are_on_a_missing_disk_and_how_to_forget_it() {
        let missing = |files, folder: Option<&str>| {
            MissingDisk::from(MissingRow {
                disk: "00000000000000ab".into(),
                folder: folder.map(str::to_owned),
                seen: folder.map(|_| dcache::Time(0)),
                files,
                bytes: 1500,
                examples: vec!["a\u{1b}.bag".into()],
            })
        };
        let folders = SharedFolders { shared_folders: None, missing_disks: Some(vec![missing(1, None)]) };
        assert_eq!(vocabulary::checked(&folders)["missing_disks"][0]["seen_time"], serde_json::Value::Null);
        assert_eq!(
            folders.show(),
            "1 file is on a disk that is not there: a\\u{1b}.bag (1.5 kB). Nothing is withdrawn. If its files are gone \
             for good: folders forget 00000000000000ab\n"
        );
        let shown = missing(3, Some("/media/stick")).show();
        assert!(
            shown.starts_with("3 files are on a disk that is not there: a\\u{1b}.bag, … (1.5 kB)"),
            "{shown}"
        );
        assert!(shown.contains("It was /media/stick, last seen 1970-01-01T00:00:00Z."), "{shown}");
    }
}
