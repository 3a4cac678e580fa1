//! A shared file, as `report` describes it.

use crate::output::discarder::Discarder;
use crate::output::fields::{FileRef, PeerRef, Timestamp};
use crate::output::names::Names;
use crate::output::recording::{FileKind, Recording};
use crate::output::uploaded::UploadedCopy;
use crate::shared_files;
use dcache::Time;
use logs::{SharedFile, State};
use serde::Serialize;

/// A shared file.
#[derive(Debug, Serialize)]
pub(super) struct File {
    #[serde(flatten)]
    pub(super) file: FileRef,
    /// The path below the shared folder; `null` if the file is in no subfolder.
    pub(super) path: Option<String>,
    /// When the file was last changed; `null` if it is not known.
    pub(super) modified_time: Option<Timestamp>,
    /// The peer that shared the file; `null` if it is not known.
    pub(super) uploader: Option<PeerRef>,
    /// Whether the uploader itself signed the name, size and time; `null` if no peer signed them.
    pub(super) is_signed_by_uploader: Option<bool>,
    /// The state: `shared`, `verified`, `kept` (some robots keep it, but too few), `safe`, `uploaded` or `discarded`.
    pub(super) state: &'static str,
    /// The places where the file was uploaded to.
    pub(super) uploads: Vec<UploadedCopy>,
    /// The content of the recording in short; `null` if nothing is known.
    pub(super) recording: Option<Recording>,
    /// The peers that keep a copy.
    pub(super) holders: Vec<PeerRef>,
    /// The peers that discarded it, with their reasons.
    pub(super) discarders: Vec<Discarder>,
}

impl File {
    /// Returns the latest of the times at which the file was changed and at which its recording ended.
    pub(super) fn latest(&self) -> Option<Time> {
        let recorded = self.recording.as_ref().and_then(Recording::end);
        self.modified_time.map(|time| time.0).into_iter().chain(recorded).max()
    }

    pub(super) fn new(
        file: &SharedFile,
        (uploads, discarders): (Vec<UploadedCopy>, Vec<Discarder>),
        wanted_copies: usize,
        names: &Names,
    ) -> Self {
        let known = file.description.as_ref();
        Self {
            file: shared_files::reference(file),
            path: known.and_then(|known| Some(known.path.as_ref()?.to_string())),
            modified_time: known.map(|known| Timestamp(known.changed)),
            uploader: known.map(|known| names.of(known.uploader)),
            is_signed_by_uploader: known.map(|_| file.is_described_by_uploader),
            state: shared_files::state(file, wanted_copies, !uploads.is_empty()),
            uploads,
            recording: known.and_then(|known| Some(Recording::from(known.recording.as_ref()?))),
            holders: file.holders.keys().map(|peer| names.of(*peer)).collect(),
            discarders,
        }
    }

    /// Returns the text that names the file for people: its path below the shared folder, or else its name.
    pub(super) fn label(&self) -> Option<&str> {
        self.path.as_deref().or(self.file.name.as_deref())
    }

    /// Returns the kind of the file.
    pub(super) fn kind(&self) -> FileKind {
        self.recording.as_ref().map_or(FileKind::Other, |recording| recording.kind)
    }

    /// Returns whether the file is left out of the table.
    pub(super) fn is_discarded(&self) -> bool {
        self.state == State::Discarded.name()
    }
}

#[cfg(test)]
pub(super) mod fixture {
    use super::*;
    use dcache::PeerId;

    pub(in crate::commands::report) fn peer(number: u8, hostname: Option<&str>) -> PeerRef {
        PeerRef { peer: PeerId::from_public_key([number; 32]), hostname: hostname.map(str::to_owned) }
    }

    pub(in crate::commands::report) fn discarder(number: u8, reason: Option<&str>) -> Discarder {
        Discarder { peer: peer(number, None), reason: reason.map(str::to_owned) }
    }

    /// Makes a file with this name, of which nothing else is known.
    pub(in crate::commands::report) fn file(name: &str) -> File {
        File {
            file: FileRef { cid: "bafy".into(), name: Some(name.into()), bytes: None },
            path: None,
            modified_time: None,
            uploader: None,
            is_signed_by_uploader: None,
            state: State::Shared.name(),
            recording: None,
            uploads: Vec::new(),
            holders: Vec::new(),
            discarders: Vec::new(),
        }
    }
}
