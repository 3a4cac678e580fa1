//! Adds one log of a shared folder to IPFS, in place.

use super::take_error::TakeError;
use crate::info::{Description, INFO_NAME, Summary, Whole};
use crate::ledger::Ledger;
use crate::log_files::LogFiles;
use crate::settle::Fingerprint;
use crate::versions::describe;
use crate::volume::SharedPath;
use ipfs::node::Node;
use ipfs::unixfs::{Added, Content, DirectoryEntry, Format};
use swarm::Swarm;
use tokio::sync::watch;

/// A file that was added to IPFS but is not pinned yet.
pub(super) struct New {
    pub(super) path: SharedPath,
    pub(super) fingerprint: Fingerprint,
    pub(super) description: Description,
    pub(super) added: Added,
}

/// The parts with which a file is added.
#[derive(Clone)]
pub(super) struct Taker {
    pub(super) swarm: Swarm,
    pub(super) node: Node,
    pub(super) ledger: Ledger,
}

impl Taker {
    /// Adds a log in place. Its content is not copied.
    pub(super) async fn take(
        &self,
        path: &SharedPath,
        files: LogFiles,
        fingerprint: Fingerprint,
    ) -> Result<New, TakeError> {
        if files.paths().iter().any(|file| service::holds_key(file, self.swarm.me())) {
            return Err(TakeError::Key);
        }
        let before = self.ledger.taken().get(path).copied();
        let before = before.filter(|before| {
            before.fingerprint.is_like(&fingerprint) && !self.ledger.is_foreign(&before.cid)
        });
        let plain = describe(&path.path, fingerprint, self.swarm.me());
        let whole = read_recording(files.clone(), plain.filename.clone()).await?;
        let recording = whole.as_ref().map(|whole| Summary::of(&whole.content));
        let description = Description { recording, ..plain.clone() }.fitting();
        let new = self.take_as(path, &files, fingerprint, (description, whole)).await?;
        let Some(before) = before.filter(|before| before.cid != new.added.root) else { return Ok(new) };
        // Earlier versions of the daemon did not read recordings, and the first of them did not tell paths.
        for description in [plain.clone(), Description { path: None, ..plain }] {
            let new = self.take_as(path, &files, fingerprint, (description, None)).await?;
            if new.added.root == before.cid {
                return Ok(new);
            }
        }
        Err(TakeError::Damaged)
    }

    /// Adds a log in place, with this description.
    async fn take_as(
        &self,
        path: &SharedPath,
        files: &LogFiles,
        fingerprint: Fingerprint,
        (description, whole): (Description, Option<Whole>),
    ) -> Result<New, TakeError> {
        let mut entries = files.entries(&description.filename);
        entries.push(DirectoryEntry {
            path: INFO_NAME.to_owned(),
            content: Content::Bytes(description.to_yaml(whole.as_ref())?.into_bytes().into()),
        });
        let added = self.node.add_directory(entries, Format::V1, watch::Sender::default()).await?;
        if !files.is_unchanged(fingerprint) {
            return Err(TakeError::Changed);
        }
        Ok(New { path: path.clone(), fingerprint, description, added })
    }
}

/// Reads what a recording contains. Returns `None` for a file of which nothing is known.
async fn read_recording(files: LogFiles, name: String) -> Result<Option<Whole>, TakeError> {
    let describing = move || files.describe(&name);
    let described = tokio::task::spawn_blocking(describing).await;
    let described = described.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    let content = described.map_err(TakeError::Describe)?;
    let is_known = content.kind != recordings::Kind::Other || content.fault.is_some();
    Ok(is_known.then(|| Whole::new(content)))
}
