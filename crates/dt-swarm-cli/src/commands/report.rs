//! `report`: lists the files that are shared in the swarm.

mod dropped;
mod hidden;
mod left_out;

use self::dropped::Dropped;
use self::left_out::LeftOut;
use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::output::answered::Answered;
use crate::output::fields::{FileRef, PeerRef, Timestamp};
use crate::output::names::{HOSTNAMES, Names};
use crate::output::recording::{FileKind, Recording};
use crate::output::shared_folders::SharedFolders;
use crate::output::uploaded::UploadedCopy;
use crate::period::period;
use crate::robots::Selector;
use crate::shared_files::{self, KEPT, UPLOADED};
use crate::tables::table;
use crate::text::{clean, count, size};
use clap::{Args, ValueHint};
use dcache::{Time, buckets};
use logs::{SharedFile, State};
use serde::Serialize;
use std::time::Duration;

/// Maximum number of characters of a file's name that the table shows.
const MAX_NAME_SHOWN: usize = 48;
/// Maximum number of holders that the table names for each file.
const MAX_HOLDERS_SHOWN: usize = 4;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost report
  dt-swarm-cli localhost report --robot duckie7 --since 1d
  dt-swarm-cli localhost report --kind bag --state shared --json

`log FILE` shows everything that is known about one file.";

/// Lists the shared files with name, size, uploader, state, holders and CID.
///
/// A file is `shared` by its uploader. It is `verified` once another robot has checked it. Then robots keep copies. The
/// report shows `1 of 3 copies` while there are fewer copies than the swarm should have (the setting `copies`), and
/// `safe` when there are enough. The copy of the uploader counts. A file is `uploaded` once a robot states that it is in a
/// storage; --json shows where. A `discarded` file is listed below the table, with the peers that discarded it. A ? after
/// the uploader means that the uploader did not sign this entry itself.
///
/// For the daemon on this computer, the report also shows which files of its shared folders are not shared, and why, and
/// which files are on a disk that is not there.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Report {
    /// Shows only files that this robot shared
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Hostname)]
    robot: Option<String>,
    /// Shows only files that were changed or recorded within this time, such as 2h or 1d
    #[arg(long, value_name = "DURATION", value_parser = period)]
    since: Option<Duration>,
    /// Shows only files of this kind
    #[arg(long, value_enum)]
    kind: Option<FileKind>,
    /// Shows only files in this state
    #[arg(long, value_enum)]
    state: Option<FileState>,
}

/// State of a file, as an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FileState {
    /// No other robot has checked it yet
    Shared,
    /// Another robot has checked it
    Verified,
    /// Robots keep it, but too few
    Kept,
    /// Enough robots keep it
    Safe,
    /// It is in a storage
    Uploaded,
    /// It was found bad, or removed from the swarm
    Discarded,
}

impl FileState {
    const fn name(self) -> &'static str {
        match self {
            Self::Shared => State::Shared.name(),
            Self::Verified => State::Verified.name(),
            Self::Kept => KEPT,
            Self::Safe => State::Safe.name(),
            Self::Uploaded => UPLOADED,
            Self::Discarded => State::Discarded.name(),
        }
    }
}

/// The shared files.
#[derive(Debug, Serialize)]
pub(crate) struct Files {
    #[serde(flatten)]
    answered: Answered,
    /// The number of all shared files, also those that the options leave out.
    shared_files: usize,
    /// The files, sorted by name and CID. Files without a name are last.
    files: Vec<File>,
    #[serde(flatten)]
    folders: SharedFolders,
    /// The number of copies that the swarm should have of each file, as the daemon states it.
    wanted_copies: usize,
    /// The numbers of files that the daemon leaves out for now; `null` when it runs on another computer, or its control
    /// socket cannot be used.
    left_out: Option<LeftOut>,
    /// The copies that the daemon let go of lately, the newest first; `null` as for `left_out`.
    dropped_files: Option<Vec<Dropped>>,
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
    /// The state: `shared`, `verified`, `kept` (some robots keep it, but too few), `safe`, `uploaded` or `discarded`.
    state: &'static str,
    /// The places where the file was uploaded to.
    uploads: Vec<UploadedCopy>,
    /// The content of the recording in short; `null` if nothing is known.
    recording: Option<Recording>,
    /// The peers that keep a copy.
    holders: Vec<PeerRef>,
    /// The peers that discarded it.
    discarders: Vec<PeerRef>,
}

impl Command for Report {
    type Output = Files;

    fn run(&self, context: &Context) -> Result<Files, CliError> {
        let patterns = [HOSTNAMES, buckets::KEEPS.pattern(), buckets::UPLOADS.pattern()];
        let reading = context.read_shared(&patterns)?;
        let (set, now, peer) = (&reading.answer.set, reading.answer.now, reading.answer.pong.peer);
        let wanted_copies = shared_files::wanted_copies(set, peer, now);
        let file = |file: &SharedFile| {
            let uploads = UploadedCopy::read(set, &file.cid, now, &reading.names);
            File::new(file, uploads, wanted_copies, &reading.names)
        };
        let mut files: Vec<File> = shared_files::list(set, now).iter().map(file).collect();
        let shared_files = files.len();
        files.retain(|file| self.takes(file, now));
        let answered = Answered::new(&reading.answer, &reading.names);
        let (left_out, folders) = (LeftOut::ask(context), SharedFolders::ask(context));
        let dropped_files = dropped::ask(context);
        Ok(Files { answered, shared_files, files, wanted_copies, left_out, folders, dropped_files })
    }
}

impl Report {
    /// Returns whether the options choose this file.
    fn takes(&self, file: &File, now: Time) -> bool {
        let is_of = |name: &String| {
            file.uploader
                .as_ref()
                .is_some_and(|peer| Selector::new(name).means(peer.hostname.as_deref(), peer.peer))
        };
        let is_recent = |within: &Duration| {
            let begin = now.0.saturating_sub(within.as_secs());
            file.latest().is_some_and(|time| time.0 >= begin)
        };
        let kind = file.recording.as_ref().map_or(FileKind::Other, |recording| recording.kind);
        self.robot.as_ref().is_none_or(is_of)
            && self.since.as_ref().is_none_or(is_recent)
            && self.kind.is_none_or(|wanted| wanted == kind)
            && self.state.is_none_or(|state| state.name() == file.state)
    }
}

impl File {
    /// Returns the latest of the times at which the file was changed and at which its recording ended.
    fn latest(&self) -> Option<Time> {
        let recorded = self.recording.as_ref().and_then(Recording::end);
        self.modified_time.map(|time| time.0).into_iter().chain(recorded).max()
    }

    fn new(file: &SharedFile, uploads: Vec<UploadedCopy>, wanted_copies: usize, names: &Names) -> Self {
        let known = file.description.as_ref();
        Self {
            file: FileRef {
                cid: file.cid.to_string(),
                name: known.map(|known| known.filename.clone()),
                bytes: known.map(|known| known.size),
            },
            modified_time: known.map(|known| Timestamp(known.changed)),
            uploader: known.map(|known| names.of(known.uploader)),
            is_signed_by_uploader: known.map(|_| file.is_described_by_uploader),
            state: shared_files::state(file, wanted_copies, !uploads.is_empty()),
            uploads,
            recording: known.and_then(|known| Some(Recording::from(known.recording.as_ref()?))),
            holders: file.holders.keys().map(|peer| names.of(*peer)).collect(),
            discarders: file.discarders.keys().map(|peer| names.of(*peer)).collect(),
        }
    }

    fn row(&self, wanted_copies: usize) -> [String; 6] {
        let unknown = || "?".to_owned();
        let doubt = if self.is_signed_by_uploader == Some(false) { " ?" } else { "" };
        let FileRef { cid, name, bytes } = &self.file;
        [
            name.as_ref().map_or_else(unknown, |name| clean(name, MAX_NAME_SHOWN)),
            bytes.map_or_else(unknown, size),
            self.uploader.as_ref().map_or_else(unknown, |uploader| uploader.show() + doubt),
            self.show_state(wanted_copies),
            self.show_holders(),
            cid.clone(),
        ]
    }

    fn show_state(&self, wanted_copies: usize) -> String {
        match self.state {
            KEPT => format!("{} of {wanted_copies} copies", self.holders.len()),
            state => state.to_owned(),
        }
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
            table.add_row(file.row(self.wanted_copies));
        }
        let shown = match listed.is_empty() {
            true if self.shared_files > self.files.len() => {
                format!("No file fits the options; {} in total.", count(self.shared_files, "file"))
            }
            true => {
                "No files are shared. Put one into the shared folder of any host of the swarm.".to_owned()
            }
            false => format!("{}\n\n{}", table.trim_fmt(), count(listed.len(), "file")),
        };
        let shown = shown + &hidden::show(&hidden);
        let folder = self.folders.show();
        let left_out = self.left_out.as_ref().map_or_else(String::new, LeftOut::show);
        let dropped = self.dropped_files.as_deref().map_or_else(String::new, dropped::show);
        format!("{shown}\n{folder}{left_out}{dropped}{}", self.answered.footer())
    }
}
