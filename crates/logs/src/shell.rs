//! The I/O shell of the service: its settings, its requests, and its two supervised tasks.

use crate::folder::FolderSettings;
use crate::index::index_of;
use crate::ledger::{Ledger, NoRoom};
use crate::left_out::{LeftOutFor, Reason};
use crate::proposer::{ProposerSettings, run_proposer};
use crate::protocol::{
    Answer, FolderRow, LeftOutFiles, LeftOutRow, MAX_NAMES, MAX_WAITING, Request, WaitingFile,
};
use crate::replicator::{ReplicatorSettings, run_replicator};
use crate::{buckets, discarding};
use dcache::Set;
use ipfs::Cid;
use ipfs::node::Node;
use serde::{Deserialize, Serialize};
use service::{Banner, Context, Endpoint, Failure, FailureKind, Protocol, Service, ServiceError};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

/// Number of files that are fetched at a time. More fetches would only compete for the bandwidth of the same sender.
const PARALLEL_FETCHES: usize = 2;
/// Number of rescan intervals of the shared folder between two checks that all blocks and files are still readable.
const CHECKS: u32 = 5;
/// Number of bytes in a mebibyte.
const MIB: u64 = 1024 * 1024;

/// The section `[logs]` of the configuration: the shared folder, and files of other robots.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Folder whose files are shared. Default: `~/shared-logs`.
    pub shared_folder: Option<PathBuf>,
    /// Whether this robot keeps files of other robots.
    pub keep_others: bool,
    /// Maximum size, in MiB, of a file that is fetched from other robots.
    pub max_file_mib: u64,
    /// Time, in seconds, that a file must not change before it is shared.
    pub settle_seconds: u64,
    /// Time, in seconds, after which the folder is scanned although no change was reported.
    pub rescan_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shared_folder: None,
            keep_others: true,
            max_file_mib: 4096,
            settle_seconds: 2,
            rescan_seconds: 60,
        }
    }
}

/// The service `logs`.
pub struct Logs {
    context: Context,
    ledger: Ledger,
    proposer: ProposerSettings,
    replicator: ReplicatorSettings,
}

impl Protocol for Logs {
    const NAME: &'static str = "logs";
    type Request = Request;
    type Answer = Answer;
}

impl Endpoint for Logs {
    async fn handle(&self, request: Request) -> Result<Answer, Failure> {
        let (swarm, ledger, folder) = (&self.context.swarm, &self.ledger, &self.proposer.folder.path);
        match request {
            Request::Waiting {} => Ok(self.waiting()),
            Request::Folder {} => Ok(Answer::Folder(self.folder())),
            Request::LeftOut {} => {
                let left_out = *self.ledger.left_out().borrow();
                let (own, others, open) = (left_out.own.left_out, left_out.others, left_out.open);
                Ok(Answer::LeftOut(LeftOutFiles { own, others, open }))
            }
            Request::Names { cids } => self.names(cids).await,
            Request::Discard { cids } => discarding::discard(swarm, ledger, folder, &cids).await,
            Request::Undiscard { cids } => discarding::undiscard(swarm, ledger, folder, &cids).await,
        }
    }
}

impl Service for Logs {
    type Settings = Settings;

    fn open(context: Context, settings: Settings) -> Result<Self, ServiceError> {
        let environment = &context.environment;
        let folder = match settings.shared_folder {
            Some(folder) => environment.expand(folder),
            None => environment.in_home("shared-logs")?,
        };
        let folder = FolderSettings::open(folder, context.private.clone()).map_err(ServiceError::other)?;
        let proposer = ProposerSettings {
            folder,
            settle: Duration::from_secs(settings.settle_seconds),
            rescan: Duration::from_secs(settings.rescan_seconds.max(1)),
        };
        let replicator = ReplicatorSettings {
            keep_others: settings.keep_others,
            wanted_files: context.wanted_files.clone(),
            max_file_bytes: settings.max_file_mib.saturating_mul(MIB),
            parallel: PARALLEL_FETCHES,
            check: proposer.rescan * CHECKS,
        };
        let ledger = Ledger::open(&context)?;
        Ok(Self { context, ledger, proposer, replicator })
    }

    async fn run(&self) -> Result<Infallible, ServiceError> {
        self.context.with_node(|node| self.run_with(node)).await
    }

    fn banner(&self) -> Banner {
        let FolderRow { path: folder, reason, .. } = self.folder();
        let hint = format!("put a file into {folder} and see which robots keep it");
        let shown = reason.map_or(folder.clone(), |reason| format!("{folder} (nothing is shared: {reason})"));
        Banner { lines: vec![("shared folder", shown)], hints: vec![(hint, "report")] }
    }
}

impl Logs {
    async fn run_with(&self, node: Node) -> Result<Infallible, ServiceError> {
        let parts = || (self.context.swarm.clone(), node.clone(), self.ledger.clone());
        let (swarm, node_of, ledger) = parts();
        let settings = self.proposer.clone();
        let proposer = self.context.supervise("proposer", move || {
            run_proposer(settings.clone(), swarm.clone(), node_of.clone(), ledger.clone())
        });
        let (swarm, node_of, ledger) = parts();
        let settings = self.replicator.clone();
        let replicator = self.context.supervise("replicator", move || {
            run_replicator(settings.clone(), swarm.clone(), node_of.clone(), ledger.clone())
        });
        tokio::select! {
            never = proposer => match never {},
            never = replicator => match never {},
        }
    }

    fn folder(&self) -> FolderRow {
        let FolderSettings { path, status, .. } = &self.proposer.folder;
        let status = status.borrow();
        let row = |(reason, LeftOutFor { total, examples }): (&Reason, &LeftOutFor)| LeftOutRow {
            code: reason.code().to_owned(),
            reason: reason.sentence(),
            total: *total,
            examples: examples.clone(),
        };
        FolderRow {
            path: path.display().to_string(),
            reason: status.problem.clone(),
            left_out: status.left_out.0.iter().map(row).collect(),
        }
    }

    fn waiting(&self) -> Answer {
        let waiting = self.ledger.no_room().borrow().clone();
        let row = |file: &NoRoom| WaitingFile {
            cid: file.cid.to_string(),
            name: file.name.clone(),
            bytes: file.bytes,
            reason: file.reason.clone(),
        };
        Answer::Waiting { files: waiting.iter().take(MAX_WAITING).map(row).collect(), count: waiting.len() }
    }

    /// Returns the names of files: from the kept files of this node, or else from the descriptions in the swarm.
    async fn names(&self, cids: Vec<String>) -> Result<Answer, Failure> {
        if cids.len() > MAX_NAMES {
            let message = format!("one request can ask for at most {MAX_NAMES} names, not {}", cids.len());
            return Err(Failure::new(FailureKind::Wrong, message));
        }
        let kept = self.ledger.kept();
        let reading = move |set: &Set, now| {
            let asked: BTreeSet<Cid> = cids.iter().filter_map(|text| buckets::parse(text)).collect();
            let files = index_of(set, &asked, now);
            let name = |text: &String| {
                let cid = buckets::parse(text)?;
                let kept = || kept.get(&cid).map(|description| description.filename.clone());
                let known = files.get(&cid).and_then(|file| file.description.as_ref());
                kept().or_else(|| known.map(|description| description.filename.clone()))
            };
            cids.iter().map(name).collect()
        };
        Ok(Answer::Names { names: self.context.swarm.read(reading).await? })
    }
}
