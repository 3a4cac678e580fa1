//! Deletes files of the shared folders that are safe elsewhere, when a user asks for it or by a rule. A deleted file counts
//! as deleted by a user: this robot does not fetch it back, and the swarm keeps it.

use crate::catalog::known::Counting;
use crate::catalog::shared::SharedCatalogs;
use crate::dropped::DroppedFiles;
use crate::free::{Elsewhere, FreeRule, Freeable, Terms, choose_freed, safe_elsewhere};
use crate::index::index_of;
use crate::info::Description;
use crate::ledger::Ledger;
use crate::log_files::deleted_in;
use crate::protocol::{Answer, FreeRow, FreedRow, MAX_FREE_ROWS};
use crate::settle::Fingerprint;
use crate::space::Floor;
use crate::versions::Replaced;
use crate::volume::SharedPath;
use dcache::{Moment, Set, Time};
use ipfs::Cid;
use ipfs::node::Node;
use ipfs::unixfs::ReadError;
use service::{Failure, FailureKind, WantedFiles};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use swarm::Swarm;
use tokio::sync::watch;

/// Time between two applications of the rule.
const EVERY: Duration = Duration::from_secs(60);

/// The rule by which files are freed without a user.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnRule {
    /// Age, in seconds, at which files are freed; `None` for never.
    pub(crate) after: Option<u64>,
    /// Whether files are freed when the disk has less free space than the floor.
    pub(crate) is_for_floor: bool,
    /// The floor in MiB that a user set, if any.
    pub(crate) floor: Option<u64>,
    /// Whether the rule applies in the open swarm, where strangers can state that they keep a file.
    pub(crate) believes_strangers: bool,
}

/// The parts with which files are freed.
#[derive(Clone)]
pub(crate) struct Freeing {
    pub(crate) swarm: Swarm,
    pub(crate) ledger: Ledger,
    /// Number of copies of a file that the swarm should have; 0 if each robot keeps every file.
    pub(crate) copies: usize,
    /// The catalogues that this node has read.
    pub(crate) catalogs: SharedCatalogs,
    pub(crate) wanted_files: watch::Sender<WantedFiles>,
    pub(crate) dropped: DroppedFiles,
    pub(crate) rule: OwnRule,
}

/// A file of this robot that is safe elsewhere.
#[derive(Clone, Debug)]
struct Own {
    /// Its places in the shared folders.
    places: Vec<(SharedPath, Fingerprint)>,
    /// Path of its first place.
    path: PathBuf,
    description: Description,
    disk: u64,
    elsewhere: Elsewhere,
}

/// Reason why a file is not deleted.
#[derive(Debug, thiserror::Error)]
enum FreeError {
    #[error("it is not safe elsewhere now, or not in a shared folder")]
    NotSafe,
    #[error("its content cannot be read: {0}")]
    Content(#[from] ReadError),
    #[error("it cannot be deleted: {0}")]
    Delete(#[from] std::io::Error),
}

impl Freeing {
    /// Returns the files that a user may free.
    ///
    /// # Errors
    /// When the daemon is stopping, or the pins cannot be read.
    pub(crate) async fn list(
        &self,
        node: &Node,
        (older_than, until_free): (u64, Option<u64>),
        believes_strangers: bool,
    ) -> Result<Answer, Failure> {
        let (own, now) = self.own(node, believes_strangers).await?;
        let disks = until_free.map(|wanted| {
            let free = |root: &PathBuf| Some((disk_of(root)?, (free_bytes(root)?.0, wanted)));
            self.ledger.shown().iter().filter_map(free).collect()
        });
        let rule = FreeRule { older_than, until_free: disks };
        let chosen = choose_freed(own.iter().map(freeable).collect(), &rule, now);
        let bytes = chosen.iter().map(|file| file.bytes).fold(0, u64::saturating_add);
        let row = |file: &Freeable| own.get(&file.cid).map(|own| row_of(&file.cid, own));
        let files = chosen.iter().filter_map(row).take(MAX_FREE_ROWS).collect();
        let is_open = self.swarm.read(|set, _| set.policy().roots().is_empty()).await?;
        let needs_trust = is_open && !believes_strangers;
        Ok(Answer::Freeable { files, count: chosen.len(), bytes, needs_trust })
    }

    /// Deletes these files, if they are safe elsewhere.
    ///
    /// # Errors
    /// When the daemon is stopping, or the pins cannot be read.
    pub(crate) async fn free(
        &self,
        node: &Node,
        cids: &[Cid],
        believes_strangers: bool,
    ) -> Result<Answer, Failure> {
        let (own, now) = self.own(node, believes_strangers).await?;
        let mut files = Vec::new();
        for cid in cids {
            let freed = match own.get(cid) {
                Some(file) => self.delete(node, cid, file, now).await,
                None => Err(FreeError::NotSafe),
            };
            let (bytes, reason) = match freed {
                Ok(bytes) => (bytes, None),
                Err(error) => (0, Some(error.to_string())),
            };
            files.push(FreedRow { cid: cid.to_string(), bytes, reason });
        }
        Ok(Answer::Freed { files })
    }

    /// Applies the rule repeatedly, if there is one.
    ///
    /// # Errors
    /// When the daemon is stopping, or the pins cannot be read.
    pub(crate) async fn run(self, node: Node) -> Result<Infallible, Failure> {
        if self.rule.after.is_none() && !self.rule.is_for_floor {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(EVERY).await;
            self.apply(&node).await?;
        }
    }

    async fn apply(&self, node: &Node) -> Result<(), Failure> {
        let OwnRule { after, is_for_floor, floor, believes_strangers } = self.rule;
        let mut rules = Vec::new();
        rules.extend(after.map(|older_than| FreeRule { older_than, until_free: None }));
        let roots = if is_for_floor { self.ledger.shown() } else { Vec::new() };
        let lacking: BTreeMap<u64, (u64, u64)> = roots
            .iter()
            .filter_map(|root| {
                let (free, size) = free_bytes(root)?;
                Some((disk_of(root)?, (free, Floor::new(floor, size).wanted(free)?)))
            })
            .collect();
        if !lacking.is_empty() {
            rules.push(FreeRule { older_than: 0, until_free: Some(lacking) });
        }
        for rule in rules {
            let (own, now) = self.own(node, believes_strangers).await?;
            for file in choose_freed(own.iter().map(freeable).collect(), &rule, now) {
                let Some(own) = own.get(&file.cid) else { continue };
                if let Err(error) = self.delete(node, &file.cid, own, now).await {
                    tracing::warn!(file = %own.path.display(), %error, "a file that is safe elsewhere is not deleted");
                }
            }
        }
        Ok(())
    }

    /// Returns the files of this robot that are safe elsewhere and that nobody needs here.
    async fn own(
        &self,
        node: &Node,
        believes_strangers: bool,
    ) -> Result<(BTreeMap<Cid, Own>, Time), Failure> {
        let pinned = node.pins_by_persons().await.map_err(|error| Failure::new(FailureKind::Disk, error))?;
        let (kept, away, me) = (self.ledger.kept(), self.ledger.away(), self.swarm.me());
        let ((replaced, changing), withheld) = (self.ledger.replaced(), self.ledger.withheld());
        let needed = [&pinned, &self.wanted_files.borrow().wanted.clone(), &away, &changing, &withheld]
            .into_iter()
            .flatten()
            .copied()
            .collect::<BTreeSet<Cid>>();
        let is_current = |cid: &Cid| replaced.get(cid).is_none_or(|state| *state == Replaced::IsBack);
        let mut places: BTreeMap<Cid, Vec<(SharedPath, Fingerprint)>> = BTreeMap::new();
        for (file, taken) in self.ledger.taken() {
            let is_own = kept.get(&taken.cid).is_some_and(|known| known.uploader == me);
            if is_own && is_current(&taken.cid) && !needed.contains(&taken.cid) {
                places.entry(taken.cid).or_default().push((file, taken.fingerprint));
            }
        }
        let size = |cid: &Cid| kept.get(cid).map_or(u64::MAX, |known| known.size);
        let cids: Vec<(Cid, u64)> = places.keys().map(|cid| (*cid, size(cid))).collect();
        let terms = Terms { me, copies: self.copies, believes_strangers };
        let catalogs = self.catalogs.current();
        let read = move |set: &Set, now: Moment| {
            let files = index_of(set, cids.iter().map(|(cid, _)| cid), now.time);
            let counting = Counting::new(set, &catalogs, None, now.time);
            let safe = |(cid, size): &(Cid, u64)| {
                Some((*cid, safe_elsewhere(&counting, (cid, files.get(cid), *size), terms, now)?))
            };
            (cids.iter().filter_map(safe).collect::<BTreeMap<Cid, Elsewhere>>(), now.time)
        };
        let (safe, now) = self.swarm.read_at(read).await?;
        let own = |(cid, places): (Cid, Vec<(SharedPath, Fingerprint)>)| {
            let elsewhere = *safe.get(&cid)?;
            let path = self.ledger.file_at(&places.first()?.0)?;
            let disk = disk_of(path.parent()?)?;
            let description = kept.get(&cid)?.clone();
            Some((cid, Own { places, path, description, disk, elsewhere }))
        };
        Ok((places.into_iter().filter_map(own).collect(), now))
    }

    /// Deletes a file at all its places. Returns its size.
    async fn delete(&self, node: &Node, cid: &Cid, own: &Own, now: Time) -> Result<u64, FreeError> {
        let members = members(node, cid, &own.description.filename).await?;
        let mut places = Vec::new();
        for (file, fingerprint) in &own.places {
            let root = self.ledger.root_of(file).ok_or(FreeError::NotSafe)?;
            places.push((root, file.path.clone(), *fingerprint));
        }
        let deleting = move || {
            let delete = |(root, path, fingerprint): &(PathBuf, String, Fingerprint)| {
                deleted_in(root, (path, members.as_deref()), *fingerprint)
            };
            places.iter().try_for_each(delete)
        };
        let deleted = tokio::task::spawn_blocking(deleting).await;
        deleted.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        tracing::info!(file = %own.path.display(), %cid, "a file that is safe elsewhere was deleted to free space");
        if let Err(error) = self.dropped.note_freed(*cid, own.description.clone(), now).await {
            tracing::warn!(%error, "the list of freed files cannot be written");
        }
        Ok(own.description.size)
    }
}

/// Returns the names of the files of a folder; `None` for a file.
async fn members(node: &Node, root: &Cid, name: &str) -> Result<Option<Vec<String>>, ReadError> {
    let entries = node.list(*root).await?;
    let payload = entries.into_iter().find(|entry| entry.name == name);
    let payload = payload.ok_or_else(|| ReadError::NoSuchEntry(name.to_owned()))?;
    match node.list(payload.cid).await {
        Ok(members) => Ok(Some(members.into_iter().map(|member| member.name).collect())),
        Err(ReadError::WrongKind(..)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn freeable((cid, own): (&Cid, &Own)) -> Freeable {
    let Description { size: bytes, changed, .. } = own.description;
    Freeable { cid: *cid, bytes, changed, disk: own.disk }
}

fn row_of(cid: &Cid, own: &Own) -> FreeRow {
    FreeRow {
        cid: cid.to_string(),
        path: own.path.to_string_lossy().into_owned(),
        bytes: own.description.size,
        changed: own.description.changed,
        holders: own.elsewhere.holders,
        is_uploaded: own.elsewhere.is_uploaded,
    }
}

/// Returns the number of the disk that holds a folder.
fn disk_of(folder: &Path) -> Option<u64> {
    folder.metadata().ok().map(|metadata| metadata.dev())
}

/// Returns the free bytes and the size of the disk that holds a folder.
fn free_bytes(folder: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some((bytes(found.f_bavail), bytes(found.f_blocks)))
}
