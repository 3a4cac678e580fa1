//! `report`: lists the files that are shared in the swarm.

mod hidden;
mod left_out;
mod uploaded;

use self::left_out::LeftOut;
use self::uploaded::{UPLOADED, UploadedCopy};
use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::output::answered::Answered;
use crate::output::fields::{FileRef, PeerRef, Timestamp};
use crate::output::names::{HOSTNAMES, Names};
use crate::output::shared_folder::SharedFolder;
use crate::shared_files;
use crate::tables::table;
use crate::text::{clean, count, size};
use clap::Args;
use dcache::buckets;
use logs::{SharedFile, State};
use serde::Serialize;

/// Maximum number of characters of a file's name that the table shows.
const MAX_NAME_SHOWN: usize = 48;
/// Maximum number of holders that the table names for each file.
const MAX_HOLDERS_SHOWN: usize = 4;

/// Lists the shared files with name, size, uploader, state, holders and CID.
///
/// A file is `shared` by its uploader. It is `verified` once another robot has checked it, and `safe` once a robot
/// states that it keeps a copy. It is `uploaded` once a robot states that it is in a storage; --json shows where. A `discarded` file is listed below the table, with the peers that discarded it. A ?
/// after the uploader means that the uploader did not sign this entry itself.
///
/// For the daemon on this computer, the report also shows which files of its shared folder are not shared, and why.
#[derive(Debug, Args)]
pub(crate) struct Report {}

/// The shared files.
#[derive(Debug, Serialize)]
pub(crate) struct Files {
    #[serde(flatten)]
    answered: Answered,
    /// The files, sorted by name and CID. Files without a name are last.
    files: Vec<File>,
    /// The shared folder; `null` when the daemon runs on another computer or does not report it.
    shared_folder: Option<SharedFolder>,
    /// The numbers of files that the daemon leaves out for now; `null` when it runs on another computer, or its control
    /// socket cannot be used.
    left_out: Option<LeftOut>,
}

/// A shared file.
#[derive(Debug, Serialize)]
struct File {
    #[serde(flatten)]
    file: FileRef,
    /// When the file was last changed; `null` if it is not known.
    modified_time: Option<Timestamp>,
    /// The peer that shared the file; `null` if it is not known.
    uploader: Option<PeerRef>,
    /// Whether the uploader itself signed the name, size and time; `null` if no peer signed them.
    is_signed_by_uploader: Option<bool>,
    /// The state: `shared`, `verified`, `safe`, `uploaded` or `discarded`.
    state: &'static str,
    /// Where the file was uploaded to.
    uploads: Vec<UploadedCopy>,
    /// The peers that keep a copy.
    holders: Vec<PeerRef>,
    /// The peers that discarded it.
    discarders: Vec<PeerRef>,
}

impl Command for Report {
    type Output = Files;

    fn run(&self, context: &Context) -> Result<Files, CliError> {
        let reading = context.read_shared(&[HOSTNAMES, buckets::UPLOADS.pattern()])?;
        let (set, now) = (&reading.answer.set, reading.answer.now);
        let file = |file: &SharedFile| {
            let uploads = UploadedCopy::read(set, &file.cid, now, &reading.names);
            File::new(file, uploads, &reading.names)
        };
        let files = shared_files::list(set, now).iter().map(file).collect();
        let answered = Answered::new(&reading.answer, &reading.names);
        let (left_out, shared_folder) = (LeftOut::ask(context), SharedFolder::ask(context));
        Ok(Files { answered, files, left_out, shared_folder })
    }
}

impl File {
    fn new(file: &SharedFile, uploads: Vec<UploadedCopy>, names: &Names) -> Self {
        let known = file.description.as_ref();
        let is_uploaded = !uploads.is_empty() && file.state != State::Discarded;
        Self {
            file: FileRef {
                cid: file.cid.to_string(),
                name: known.map(|known| known.filename.clone()),
                bytes: known.map(|known| known.size),
            },
            modified_time: known.map(|known| Timestamp(known.changed)),
            uploader: known.map(|known| names.of(known.uploader)),
            is_signed_by_uploader: known.map(|_| file.is_described_by_uploader),
            state: if is_uploaded { UPLOADED } else { file.state.name() },
            uploads,
            holders: file.holders.keys().map(|peer| names.of(*peer)).collect(),
            discarders: file.discarders.keys().map(|peer| names.of(*peer)).collect(),
        }
    }

    fn row(&self) -> [String; 6] {
        let unknown = || "?".to_owned();
        let doubt = if self.is_signed_by_uploader == Some(false) { " ?" } else { "" };
        let FileRef { cid, name, bytes } = &self.file;
        [
            name.as_ref().map_or_else(unknown, |name| clean(name, MAX_NAME_SHOWN)),
            bytes.map_or_else(unknown, size),
            self.uploader.as_ref().map_or_else(unknown, |uploader| uploader.show() + doubt),
            self.state.to_owned(),
            self.show_holders(),
            cid.clone(),
        ]
    }

    fn show_holders(&self) -> String {
        let shown = self.holders.iter().take(MAX_HOLDERS_SHOWN);
        let list: Vec<String> = shown.map(PeerRef::show).collect();
        match self.holders.len() {
            0 => "nobody".to_owned(),
            number @ 0..=MAX_HOLDERS_SHOWN => format!("{number}: {}", list.join(", ")),
            number => format!("{number}: {}, …", list.join(", ")),
        }
    }
}

impl Output for Files {
    fn show(&self) -> String {
        let mut table = table(&["name", "size", "uploader", "state", "holders", "CID"]);
        let (hidden, listed): (Vec<&File>, Vec<&File>) =
            self.files.iter().partition(|file| file.is_discarded());
        for file in &listed {
            table.add_row(file.row());
        }
        let shown = match listed.is_empty() {
            true => {
                "No files are shared. Put one into the shared folder of any host of the swarm.".to_owned()
            }
            false => format!("{}\n\n{}", table.trim_fmt(), count(listed.len(), "file")),
        };
        let shown = shown + &hidden::show(&hidden);
        let folder = self.shared_folder.as_ref().map_or_else(String::new, SharedFolder::show);
        let left_out = self.left_out.as_ref().map_or_else(String::new, LeftOut::show);
        format!("{shown}\n{folder}{left_out}{}", self.answered.footer())
    }
}
