//! `uploads`: shows the uploads to the destination of the daemon on this computer.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::output::fields::{FileRef, PeerRef};
use crate::output::names::Names;
use crate::tables::table;
use crate::text::{clean, count, size};
use clap::Args;
use serde::Serialize;
use std::fmt::Write as _;
use uploads::{Answer, Request, UploadList, UploadRow, UploadState};

/// Maximum number of characters of a name that the table shows.
const MAX_NAME_SHOWN: usize = 48;
/// Maximum number of characters of a reason that is shown.
const MAX_REASON_SHOWN: usize = 300;

/// Shows the files that this robot uploads, and those that are not uploaded yet, with the reason why they wait.
///
/// It also shows whether the logs of this robot may be uploaded. `report` shows the files that are uploaded.
#[derive(Debug, Args)]
pub(crate) struct Uploads {}

/// The uploads of the daemon.
#[derive(Debug, Serialize)]
pub(crate) struct UploadTable {
    /// The destination of this robot; `null` if it uploads nothing.
    destination: Option<String>,
    /// Why this robot uploads nothing at the moment; `null` if it can upload.
    reason: Option<String>,
    /// Whether the logs of this robot may be uploaded.
    is_allowed: bool,
    /// The permission file that says so; `null` if the configuration does.
    permission_path: Option<String>,
    /// Why the permission file cannot be read; `null` if it can.
    permission_error: Option<String>,
    /// The first files: those that are being uploaded, then those that failed, then those that wait.
    uploads: Vec<FileToUpload>,
    /// The number of all files.
    count: usize,
}

/// A file to upload.
#[derive(Debug, Serialize)]
struct FileToUpload {
    #[serde(flatten)]
    file: FileRef,
    /// The robot that shared the file.
    uploader: PeerRef,
    /// Number of bytes that the destination has confirmed.
    uploaded_bytes: u64,
    /// `uploading`, `failed` or `waiting`.
    state: UploadState,
    /// The step of an upload under way; `null` otherwise.
    step: Option<&'static str>,
    /// Why the upload waits or failed; `null` when it does neither.
    reason: Option<String>,
}

impl Command for Uploads {
    type Output = UploadTable;

    fn run(&self, context: &Context) -> Result<UploadTable, CliError> {
        let mut client = context.client()?;
        match client.call::<uploads::Uploads>(&Request::List {})? {
            Answer::Uploads(list) => Ok(UploadTable::new(list, &context.names())),
            other => Err(client.unexpected(&other).into()),
        }
    }
}

impl UploadTable {
    fn new(list: UploadList, names: &Names) -> Self {
        Self {
            destination: list.destination,
            reason: list.reason,
            is_allowed: list.is_allowed,
            permission_path: list.permission_file,
            permission_error: list.permission_error,
            uploads: list.uploads.into_iter().map(|row| FileToUpload::new(row, names)).collect(),
            count: list.count,
        }
    }

    fn show_permission(&self) -> String {
        let permitted = if self.is_allowed { "may be uploaded" } else { "may not be uploaded" };
        let by = match (&self.permission_error, &self.permission_path) {
            (Some(error), Some(path)) => {
                format!("{} cannot be read: {}", clean(path, 200), clean(error, 200))
            }
            (_, Some(path)) => clean(path, 200),
            _ => "`allow` in the section [uploads]".to_owned(),
        };
        format!("The logs of this robot {permitted} ({by}).\n")
    }
}

impl FileToUpload {
    fn new(row: UploadRow, names: &Names) -> Self {
        Self {
            file: FileRef { cid: row.cid, name: Some(row.name), bytes: Some(row.size) },
            uploader: names.of(row.uploader),
            uploaded_bytes: row.bytes,
            state: row.state,
            step: row.step.map(uploads::Step::name),
            reason: row.reason,
        }
    }

    fn row(&self) -> [String; 5] {
        let FileRef { name, bytes, .. } = &self.file;
        let whole = bytes.unwrap_or_default();
        let state = match (self.state, self.step) {
            (UploadState::Uploading, Some("sending")) => {
                format!("{} of {}", size(self.uploaded_bytes), size(whole))
            }
            (UploadState::Uploading, Some(step)) => step.to_owned(),
            (state, _) => state.name().to_owned(),
        };
        [
            clean(name.as_deref().unwrap_or_default(), MAX_NAME_SHOWN),
            size(whole),
            self.uploader.show(),
            state,
            self.reason.as_deref().map_or_else(String::new, |reason| clean(reason, MAX_REASON_SHOWN)),
        ]
    }
}

impl Output for UploadTable {
    fn show(&self) -> String {
        let mut shown = String::new();
        let to = self.destination.as_deref().map(|to| clean(to, 300));
        // Writing to a String does not fail.
        let _ = match to {
            Some(to) => writeln!(shown, "This robot uploads to {to}."),
            None => writeln!(shown, "This robot has no `destination` in the section [uploads]."),
        };
        if let Some(reason) = &self.reason {
            let _ = writeln!(shown, "Nothing is uploaded now: {}.", clean(reason, MAX_REASON_SHOWN));
        }
        shown += &self.show_permission();
        if self.uploads.is_empty() {
            let none = match self.destination.is_some() {
                true => "No file waits for an upload.\n",
                false => {
                    "It uploads no files itself. Robots with a destination upload its files, if it permits that.\n"
                }
            };
            return shown + none;
        }
        let mut rows = table(&["name", "size", "uploader", "state", "reason"]);
        for upload in &self.uploads {
            rows.add_row(upload.row());
        }
        let _ = write!(shown, "{}\n\n{}\n", rows.trim_fmt(), count(self.count, "file"));
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;
    use dcache::Keypair;

    fn row(state: UploadState) -> UploadRow {
        UploadRow {
            cid: "bafy".into(),
            name: "a\u{1b}.bag".into(),
            uploader: Keypair::from_seed([1; 32]).peer_id(),
            size: 200_000_000,
            bytes: 50_000_000,
            state,
            step: (state == UploadState::Uploading).then_some(uploads::Step::Sending),
            reason: (state != UploadState::Uploading).then(|| "the bucket is missing".to_owned()),
        }
    }

    #[test]
    fn uploads_are_shown_with_their_progress_and_their_reasons() {
        let uploads = [UploadState::Uploading, UploadState::Failed].map(row).into();
        let list =
            UploadList { destination: Some("s3://logs".into()), uploads, count: 2, ..UploadList::default() };
        let table = UploadTable::new(list, &Names::default());
        let shown = table.show();
        for part in [
            "to s3://logs.",
            "may not be uploaded",
            "50.0 MB of 200 MB",
            "failed",
            "bucket is missing",
            "2 files",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(!shown.contains('\u{1b}'));
        let json = vocabulary::checked(&table);
        assert_eq!(json["uploads"][0]["uploaded_bytes"], 50_000_000);
        assert_eq!(json["uploads"][1]["state"], "failed");
    }

    #[test]
    fn a_robot_without_a_destination_says_so() {
        let table =
            UploadTable::new(UploadList { is_allowed: true, ..UploadList::default() }, &Names::default());
        let shown = table.show();
        assert!(shown.contains("no `destination`") && shown.contains("may be uploaded (`allow`"), "{shown}");
    }
}
