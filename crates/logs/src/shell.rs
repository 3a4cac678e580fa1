//! The I/O shell of the service: its settings, its requests, and its supervised tasks.

use crate::catalog::publisher::run_publisher;
use crate::catalog::reader::run_reader;
use crate::catalog::rows::CatalogRows;
use crate::dropped::{Dropped, DroppedFiles};
use crate::folder::FolderSettings;
use crate::freeing::{Freeing, OwnRule};
use crate::index::index_of;
use crate::info::{Description, INFO_NAME, MAX_INFO_BYTES};
use crate::ledger::{ForgetError, Ledger, Missing, NoRoom};
use crate::left_out::{LeftOutFor, Reason};
use crate::period::Period;
use crate::proposer::{ProposerSettings, run_proposer};
use crate::protocol::{
    Answer, DroppedFile, FolderRow, LeftOutFiles, LeftOutRow, MAX_FREE_ROWS, MAX_NAMES, MAX_WAITING,
    MissingRow, Request, WaitingFile,
};
use crate::receipts::OwnReceipts;
use crate::replicate::{CopyRules, USUAL_COPIES, USUAL_HEAL};
use crate::replicator::{ReplicatorSettings, run_replicator};
use crate::select::{SelectedFolder, SharedFolder};
use crate::{buckets, discarding, unshare};
use dcache::Set;
use ipfs::Cid;
use ipfs::node::Node;
use serde::{Deserialize, Serialize};
use service::{
    Banner, Context, Endpoint, Environment, Failure, FailureKind, Protocol, Service, ServiceError,
};
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

/// The section `[logs]` of the configuration: the shared folders, and files of other robots.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Folder whose files are shared. Default: `~/shared-logs`, unless `folders` names others.
    pub shared_folder: Option<PathBuf>,
    /// More folders whose files are shared, such as `["/data/logs", { path = "/data/bags", include = ["*.bag"], exclude =
    /// ["tmp/*"] }]`. A pattern is compared with the path below the folder; a `*` in it also matches `/`. Without
    /// `include`, all files are shared; `exclude` goes before it. A file that is left out later counts as deleted from the
    /// folder. A table with the path of `shared_folder` gives that folder its patterns.
    pub folders: Vec<SharedFolder>,
    /// Whether this robot keeps files of other robots.
    pub keep_others: bool,
    /// Maximum size, in MiB, of a file that is fetched from other robots.
    pub max_file_mib: u64,
    /// Number of robots that should keep each file, the uploader included. With 0, every robot keeps every file. All
    /// robots of a swarm should have the same value.
    pub copies: usize,
    /// Time, in seconds, after which the copy of a robot that is away no longer counts, so that another robot makes a
    /// copy. The presence of a robot that was switched off ends up to ten minutes later, and this time begins then.
    pub heal_seconds: u64,
    /// Free space of the disk, in MiB, below which copies for other robots go: first those of which other robots have
    /// enough copies, and the oldest of these first. The last known copy never goes. Default: a tenth of the disk, at
    /// most 2048.
    pub free_floor_mib: Option<u64>,
    /// Time after its last change at which a file of this robot is deleted from its shared folder, such as `7d`, or `off`. The
    /// file must be safe elsewhere: enough other robots keep it and are heard (one fewer than `copies`, but at least one), or a
    /// robot with a role has uploaded it.
    pub free_after: Period,
    /// Whether files of this robot that are safe elsewhere are deleted from its shared folders when a disk has less free space
    /// than `free_floor_mib`, the oldest first.
    pub free_own: bool,
    /// Whether `free_after` and `free_own` also rely on other robots in the open swarm. There any computer on the network can
    /// state that it keeps a file, and the only copy could be deleted.
    pub free_in_open_swarm: bool,
    /// Time, in seconds, that a file must not change before it is shared.
    pub settle_seconds: u64,
    /// Time, in seconds, after which the folder is scanned although no change was reported.
    pub rescan_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shared_folder: None,
            folders: Vec::new(),
            keep_others: true,
            max_file_mib: 4096,
            copies: USUAL_COPIES,
            heal_seconds: USUAL_HEAL,
            free_floor_mib: None,
            free_after: Period(None),
            free_own: false,
            free_in_open_swarm: false,
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
    freeing: Freeing,
    catalog_rows: CatalogRows,
}

impl Protocol for Logs {
    const NAME: &'static str = "logs";
    type Request = Request;
    type Answer = Answer;
}

impl Endpoint for Logs {
    async fn handle(&self, request: Request) -> Result<Answer, Failure> {
        let (swarm, ledger) = (&self.context.swarm, &self.ledger);
        match request {
            Request::Waiting {} => Ok(self.waiting()),
            Request::Folders {} => Ok(self.folders()),
            Request::ForgetDisk { disk } => self.forget_disk(&disk).await,
            Request::LeftOut {} => {
                let left_out = *self.ledger.left_out().borrow();
                let (own, others, open) = (left_out.own.left_out, left_out.others, left_out.open);
                Ok(Answer::LeftOut(LeftOutFiles { own, others, open }))
            }
            Request::Recording { cid } => self.recording(&cid).await,
            Request::Dropped {} => Ok(Answer::Dropped { files: self.dropped() }),
            Request::Names { cids } => self.names(cids).await,
            Request::Unshare { file } => unshare::unshare(swarm, ledger, &file).await,
            Request::Share { file } => unshare::share(ledger, &file).await,
            Request::Unshared { cid } => unshare::list(swarm, ledger, cid).await,
            Request::Discard { cids, reason } => discarding::discard(swarm, ledger, &cids, reason).await,
            Request::Freeable { older_than, until_free, believes_strangers } => {
                let node = self.context.current_node()?;
                self.freeing.list(&node, (older_than, until_free), believes_strangers).await
            }
            Request::Free { cids, believes_strangers } => self.free(&cids, believes_strangers).await,
            Request::Catalog { after } => self.catalog(after),
            Request::Undiscard { cids } => discarding::undiscard(swarm, ledger, &cids).await,
        }
    }
}

impl Service for Logs {
    type Settings = Settings;

    fn open(context: Context, settings: Settings) -> Result<Self, ServiceError> {
        let environment = &context.environment;
        let folders = folders(environment, settings.shared_folder, settings.folders)?;
        let ledger = Ledger::open(&context)?;
        let open = |folder| FolderSettings::open(folder, context.private.clone(), &ledger);
        let folders = folders.into_iter().map(open).collect::<Result<Vec<_>, _>>();
        let folders = folders.map_err(ServiceError::other)?;
        FolderSettings::check_apart(&folders).map_err(ServiceError::other)?;
        let proposer = ProposerSettings {
            folders,
            settle: Duration::from_secs(settings.settle_seconds),
            rescan: Duration::from_secs(settings.rescan_seconds.max(1)),
        };
        let replicator = ReplicatorSettings {
            keep_others: settings.keep_others,
            wanted_files: context.wanted_files.clone(),
            may_leave: context.may_leave.clone(),
            max_file_bytes: settings.max_file_mib.saturating_mul(MIB),
            copies: CopyRules { copies: settings.copies, heal: settings.heal_seconds },
            free_floor: settings.free_floor_mib,
            dropped: DroppedFiles::open(context.table("dropped"))?,
            parallel: PARALLEL_FETCHES,
            check: proposer.rescan * CHECKS,
            catalogs: context.shared.get(),
        };
        let freeing = Freeing {
            swarm: context.swarm.clone(),
            ledger: ledger.clone(),
            copies: settings.copies,
            catalogs: context.shared.get(),
            wanted_files: context.wanted_files.clone(),
            dropped: replicator.dropped.clone(),
            rule: OwnRule {
                after: settings.free_after.0,
                is_for_floor: settings.free_own,
                floor: settings.free_floor_mib,
                believes_strangers: settings.free_in_open_swarm,
            },
        };
        let catalog_rows = CatalogRows::open(&context);
        let catalogs = replicator.catalogs.clone();
        context.listed_by.set(move |cid| catalogs.current().robots_of(cid).collect());
        Ok(Self { context, ledger, proposer, replicator, freeing, catalog_rows })
    }

    async fn run(&self) -> Result<Infallible, ServiceError> {
        self.context.with_node(|node| self.run_with(node)).await
    }

    fn banner(&self) -> Banner {
        let line = |folder: &FolderSettings| {
            let FolderRow { path, reason, .. } = folder_row(folder);
            let problem = reason.map(|reason| format!(" (nothing is shared: {reason})")).unwrap_or_default();
            ("shared folder", path + &problem)
        };
        let folders = &self.proposer.folders;
        let hint = |folder: &FolderSettings| {
            (format!("put a file into {} and see which robots keep it", folder.path.display()), "report")
        };
        Banner {
            lines: folders.iter().map(line).collect(),
            hints: folders.first().map(hint).into_iter().collect(),
        }
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
        let (freeing, node_of) = (self.freeing.clone(), node.clone());
        let freeing = self.context.supervise("freeing", move || freeing.clone().run(node_of.clone()));
        let catalogs = || (self.replicator.catalogs.clone(), self.catalog_rows.clone());
        let (node_parts, (known, rows)) = (parts(), catalogs());
        let receipts: OwnReceipts = self.context.shared.get();
        let publisher = self.context.supervise("catalogue", move || {
            run_publisher(node_parts.clone(), (known.clone(), receipts.subscribe()), rows.clone())
        });
        let ((swarm, node_of, _), (known, rows)) = (parts(), catalogs());
        let reader = self.context.supervise("catalogues", move || {
            run_reader((swarm.clone(), node_of.clone()), known.clone(), rows.clone())
        });
        tokio::select! {
            never = proposer => match never {},
            never = replicator => match never {},
            never = publisher => match never {},
            never = reader => match never {},
            never = freeing => match never {},
        }
    }

    /// Deletes files of the shared folders that are safe elsewhere.
    async fn free(&self, cids: &[String], believes_strangers: bool) -> Result<Answer, Failure> {
        if cids.len() > MAX_FREE_ROWS {
            let message = format!("one request can free at most {MAX_FREE_ROWS} files, not {}", cids.len());
            return Err(Failure::new(FailureKind::Wrong, message));
        }
        let wrong =
            |cid| Failure::new(FailureKind::Wrong, format!("{cid:?} is not the CID of a shared file"));
        let cids: Vec<Cid> =
            cids.iter().map(|cid| buckets::parse(cid).ok_or_else(|| wrong(cid))).collect::<Result<_, _>>()?;
        self.freeing.free(&self.context.current_node()?, &cids, believes_strangers).await
    }

    fn folders(&self) -> Answer {
        let missing = |Missing { id, volume, files, bytes, examples }: Missing| MissingRow {
            disk: id.to_string(),
            folder: volume.as_ref().map(|volume| volume.folder.clone()),
            seen: volume.map(|volume| volume.seen),
            files,
            bytes,
            examples,
        };
        Answer::Folders {
            folders: self.proposer.folders.iter().map(folder_row).collect(),
            missing: self.ledger.missing().into_iter().map(missing).collect(),
        }
    }

    /// Has the files of a missing disk count as deleted.
    async fn forget_disk(&self, disk: &str) -> Result<Answer, Failure> {
        let id =
            disk.parse().map_err(|error| Failure::new(FailureKind::Wrong, format!("{disk:?} is {error}")))?;
        let time = self.context.swarm.read(|_, now| now).await?;
        let files = self.ledger.forget_volume(id, time).await.map_err(|error| {
            let kind = match error {
                ForgetError::Unknown(_) => FailureKind::Wrong,
                ForgetError::IsThere(..) => FailureKind::Refused,
                ForgetError::Disk(_) => FailureKind::Disk,
            };
            Failure::new(kind, error)
        })?;
        tracing::info!(disk, files, "a user said that the files of a missing disk are gone");
        Ok(Answer::DiskForgotten { files })
    }

    /// Returns the next page of the catalogues that this node has read.
    fn catalog(&self, after: Option<String>) -> Result<Answer, Failure> {
        let wrong = |text: &str| {
            Failure::new(FailureKind::Wrong, format!("{text:?} is not the CID of a shared file"))
        };
        let after = after.map(|text| buckets::parse(&text).ok_or_else(|| wrong(&text))).transpose()?;
        let page = self.replicator.catalogs.current().page(after);
        Ok(Answer::Catalog(page))
    }

    /// Returns what a file contains, from its info file in the store.
    async fn recording(&self, cid: &str) -> Result<Answer, Failure> {
        let wrong = || Failure::new(FailureKind::Wrong, format!("{cid:?} is not the CID of a shared file"));
        let root = buckets::parse(cid).ok_or_else(wrong)?;
        let node = self.context.current_node()?;
        // A file whose blocks are not here is not fetched for this.
        let yaml = node.cat(root, INFO_NAME.to_owned(), MAX_INFO_BYTES).await.ok();
        let read =
            yaml.as_deref().and_then(|yaml| Description::from_yaml(std::str::from_utf8(yaml).ok()?).ok());
        Ok(Answer::Recording { whole: read.and_then(|(_, whole)| whole).map(Box::new) })
    }

    /// Returns the copies that this node let go of lately, the newest first.
    fn dropped(&self) -> Vec<DroppedFile> {
        let row = |(cid, dropped): (Cid, Dropped)| DroppedFile {
            cid: cid.to_string(),
            name: dropped.description.filename,
            bytes: dropped.description.size,
            time: dropped.time,
            was_for_space: dropped.was_for_space,
            was_own: dropped.was_own,
        };
        self.replicator.dropped.list().into_iter().map(row).collect()
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

/// Returns the shared folders of the configuration, the first one first. A folder that is named twice is shared once, with
/// the patterns of the table.
fn folders(
    environment: &Environment,
    first: Option<PathBuf>,
    others: Vec<SharedFolder>,
) -> Result<Vec<SelectedFolder>, ServiceError> {
    let first = match first {
        None if others.is_empty() => Some(environment.in_home("shared-logs")?),
        first => first,
    };
    let mut folders: Vec<SelectedFolder> = Vec::new();
    for folder in first.map(SharedFolder::Whole).into_iter().chain(others) {
        let folder = SelectedFolder::from(folder);
        let folder = SelectedFolder { path: environment.expand(folder.path), ..folder };
        match folders.iter_mut().find(|known| known.path == folder.path) {
            Some(known) => *known = folder,
            None => folders.push(folder),
        }
    }
    Ok(folders)
}

fn folder_row(FolderSettings { path, status, .. }: &FolderSettings) -> FolderRow {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        let places = service::Places { home: Some("/home/duckie".into()), ..Default::default() };
        Environment { places, ..Environment::default() }
    }

    fn paths(first: Option<&str>, others: &[&str]) -> Vec<String> {
        let others = others.iter().map(|path| SharedFolder::Whole(path.into())).collect();
        let folders = folders(&environment(), first.map(PathBuf::from), others).unwrap();
        folders.into_iter().map(|folder| folder.path.display().to_string()).collect()
    }

    #[test]
    fn the_usual_folder_is_shared_unless_others_are_named() {
        assert_eq!(paths(None, &[]), ["/home/duckie/shared-logs"]);
        assert_eq!(paths(None, &["~/a", "/b"]), ["/home/duckie/a", "/b"]);
        assert_eq!(paths(Some("/a"), &["/b", "/a"]), ["/a", "/b"]);
    }

    #[test]
    fn a_table_gives_the_first_folder_its_patterns() {
        let table = SelectedFolder { path: "~/a".into(), include: vec!["*.bag".into()], exclude: Vec::new() };
        let folders =
            folders(&environment(), Some("~/a".into()), vec![SharedFolder::Selected(table)]).unwrap();
        assert_eq!((folders.len(), folders[0].include.len()), (1, 1));
    }
}
