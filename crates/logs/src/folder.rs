//! The shared folder: whatever lies at its path, now and later.

use crate::left_out::{LeftOut, Reason};
use crate::scan::{Known, Scan, Unseen, scan};
use crate::settle::Found;
use crate::watch::{FolderWatch, Marking};
use service::{FileId, Overlap, PrivatePlaces};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Minimum time between a report of a change and the scan: several reports in this time are one.
const GATHER: Duration = Duration::from_millis(200);
/// Minimum time between a report of a change and the scan, as a multiple of what the scan before took. In a folder that
/// changes all the time, scans take at most a fifth of a core.
const GATHER_BY_SCAN: u32 = 4;

/// Why a folder cannot be shared, and never will be as things are configured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    /// There is something else at the path.
    #[error("the shared folder {0} cannot be made, since {1} is a file; name a folder with --shared")]
    NotAFolder(PathBuf, PathBuf),
    /// Something of the daemon itself would be shared.
    #[error("{0}")]
    Private(Overlap),
    /// There is no current folder, and the path is relative to it.
    #[error("the shared folder {0} cannot be found: {1}; name it with its whole path")]
    Relative(PathBuf, #[source] io::Error),
}

/// How the shared folder is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FolderStatus {
    /// Why nothing of it can be shared, as a sentence; `None` when it can.
    pub(crate) problem: Option<String>,
    /// Files of the folder that are not shared, by reason.
    pub(crate) left_out: LeftOut,
}

/// Which folder is shared. A clone refers to the same status.
#[derive(Clone, Debug)]
pub(crate) struct FolderSettings {
    /// Its absolute path.
    pub(crate) path: PathBuf,
    /// Places that belong to the daemon and are never shared.
    pub(crate) private: Arc<PrivatePlaces>,
    /// State of the folder at the last look.
    pub(crate) status: watch::Sender<FolderStatus>,
}

impl FolderSettings {
    /// Takes the folder at `path`, and makes it if that can be done now. Otherwise it is shared as soon as it is there.
    ///
    /// # Errors
    /// When it can never be shared as things are configured.
    pub(crate) fn open(path: PathBuf, private: Arc<PrivatePlaces>) -> Result<Self, FolderError> {
        let path = std::path::absolute(&path).map_err(|error| FolderError::Relative(path, error))?;
        let made = std::fs::create_dir_all(&path);
        let is_file = |path: &&Path| path.metadata().is_ok_and(|metadata| !metadata.is_dir());
        if let Some(file) = path.ancestors().find(is_file) {
            return Err(FolderError::NotAFolder(path.clone(), file.to_owned()));
        }
        if let Some(overlap) = private.overlap(&path) {
            return Err(FolderError::Private(overlap));
        }
        let status = watch::Sender::default();
        let settings = Self { path, private, status };
        if let Err(error) = made {
            // Of a link that leads nowhere only that it is there would be told.
            let error = settings.path.metadata().err().filter(|_| is_there(&error)).unwrap_or(error);
            settings.tell(FolderStatus { problem: Some(problem(&error)), ..FolderStatus::default() });
        }
        Ok(settings)
    }

    /// Says how the folder is now; a new problem is logged once.
    fn tell(&self, status: FolderStatus) {
        let before = self.status.send_replace(status);
        let (now, folder) = (self.status.borrow(), self.path.display());
        match (&before.problem, &now.problem) {
            (before, Some(problem)) if before.as_ref() != Some(problem) => {
                tracing::warn!(%folder, problem, "nothing is shared from the shared folder");
            }
            (Some(_), None) => tracing::info!(%folder, "the shared folder is there again"),
            _ => {}
        }
    }
}

/// Returns the sentence for people.
fn problem(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it is not there; make it, or mount what holds it".to_owned(),
        io::ErrorKind::NotADirectory => "it is a file, not a folder; put a folder there".to_owned(),
        _ => format!("it cannot be used: {error}"),
    }
}

/// What one look at the folder shows.
#[derive(Debug)]
pub(crate) struct Look {
    /// Where the folder really is: its path without links.
    pub(crate) folder: PathBuf,
    /// The files in it; `None` when that cannot be told now.
    pub(crate) found: Option<Found>,
    /// Which files that were there before may be there although they are not found.
    pub(crate) unseen: Unseen,
    /// Whether this is another folder than at the look before.
    pub(crate) is_other: bool,
}

/// Looks at the shared folder again and again.
pub(crate) struct SharedFolder {
    settings: FolderSettings,
    /// `None` when the system gives no watches; then the folder is only looked at now and then.
    watch: Option<FolderWatch>,
    /// What the folder was at the look before; `None` before the first look.
    seen: Option<Option<FileId>>,
    /// What the scan before took.
    took: Duration,
    /// Why files are left out, as far as it was logged.
    told: BTreeSet<Reason>,
}

impl SharedFolder {
    pub(crate) fn new(settings: FolderSettings) -> Self {
        let watch = FolderWatch::new(settings.path.clone());
        let watch = watch.inspect_err(|error| {
            tracing::warn!(%error, "no reports of changes in the shared folder; looking now and then");
        });
        let (seen, took, told) = (None, Duration::ZERO, BTreeSet::new());
        Self { settings, watch: watch.ok(), seen, took, told }
    }

    /// Waits until something was changed in the folder, or another folder took its place.
    pub(crate) async fn changed(&self) {
        match &self.watch {
            Some(watch) => watch.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Returns how long to wait for more changes before the next look.
    pub(crate) fn gather(&self) -> Duration {
        GATHER.max(self.took * GATHER_BY_SCAN)
    }

    /// Looks at the folder, in which these files were before.
    pub(crate) async fn look(&mut self, known: Known) -> Look {
        let (path, private) = (self.settings.path.clone(), self.settings.private.clone());
        let marking = self.watch.as_ref().map(FolderWatch::mark);
        let begun = Instant::now();
        let looked = tokio::task::spawn_blocking(move || look(&path, &private, &known, marking)).await;
        let (at, scanned) = looked.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        self.took = begun.elapsed();
        let problem = scanned.as_ref().err().map(problem);
        let (found, unseen) = match scanned {
            Ok(Scan { found, left_out, unseen }) => {
                left_out.tell(&mut self.told);
                self.settings.tell(FolderStatus { problem, left_out });
                (Some(found), unseen)
            }
            Err(error) => {
                self.settings.tell(FolderStatus { problem, ..FolderStatus::default() });
                (is_gone(&error).then(Found::new), Unseen::default())
            }
        };
        let (folder, id) = at.unwrap_or_else(|| (self.settings.path.clone(), None));
        let is_other = self.seen.replace(id).is_some_and(|before| before != id);
        Look { folder, found, unseen, is_other }
    }
}

fn is_there(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AlreadyExists
}

/// Whether an error says that the folder is not there, and not only that it cannot be read.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

type At = Option<(PathBuf, Option<FileId>)>;

/// Scans the folder at `path` and watches what it finds. Also returns where and what the folder is.
fn look(
    path: &Path,
    private: &PrivatePlaces,
    known: &Known,
    mut marking: Option<Marking>,
) -> (At, io::Result<Scan>) {
    if let Some(marking) = &mut marking {
        marking.way(path);
    }
    let real = path.canonicalize();
    let at = real.as_ref().ok().map(|real| (real.clone(), FileId::at(real)));
    let id = at.as_ref().and_then(|(_, id)| *id);
    let scanned = real.and_then(|real| {
        let enter = &mut |folder: &Path| marking.iter_mut().for_each(|marking| marking.shared(folder));
        let private = private_in(&real, private, id)?;
        scan(&real, &private, known, enter)
    });
    if let Some(marking) = marking {
        marking.finish();
    }
    (at, scanned)
}

/// Returns what is never shared of this folder.
fn private_in(real: &Path, private: &PrivatePlaces, id: Option<FileId>) -> io::Result<BTreeSet<FileId>> {
    match private.overlap(real) {
        // It is left out by the scan where it lies in the folder.
        Some(overlap) if overlap.is_inside || FileId::at(&overlap.place.path) == id => {
            Err(io::Error::other(overlap.to_string()))
        }
        _ => Ok(private.ids(id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use service::PrivatePlace;
    use std::fs;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn open(path: PathBuf) -> SharedFolder {
        SharedFolder::new(FolderSettings::open(path, Arc::default()).unwrap())
    }

    fn names(look: &Look) -> Vec<&str> {
        look.found.iter().flat_map(|found| found.keys().map(String::as_str)).collect()
    }

    #[tokio::test]
    async fn another_folder_in_its_place_is_noticed_at_once_and_its_files_found() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("shared");
        let mut folder = open(path.clone());
        fs::write(path.join("a.bag"), "").unwrap();
        let look = folder.look(Known::new()).await;
        assert_eq!((names(&look), look.is_other), (vec!["a.bag"], false));
        fs::rename(&path, root.path().join("aside")).unwrap();
        tokio::time::timeout(DEADLINE, folder.changed()).await.unwrap();
        let look = folder.look(Known::new()).await;
        assert_eq!((look.found, look.is_other), (Some(Found::new()), true));
        let status = folder.settings.status.borrow().clone();
        assert!(status.problem.is_some_and(|problem| problem.contains("not there")));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("b.bag"), "").unwrap();
        tokio::time::timeout(DEADLINE, folder.changed()).await.unwrap();
        let look = folder.look(Known::new()).await;
        assert_eq!((names(&look), look.is_other), (vec!["b.bag"], true));
        assert_eq!(folder.settings.status.borrow().problem, None);
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_refused_with_the_way_out() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("notes.txt");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("logs")] {
            let error = FolderSettings::open(path, Arc::default()).unwrap_err().to_string();
            assert!(error.contains("notes.txt is a file") && error.contains("--shared"), "{error}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_now_is_told() {
        let root = tempfile::tempdir().unwrap();
        let link = root.path().join("link");
        std::os::unix::fs::symlink(root.path().join("not mounted"), &link).unwrap();
        let settings = FolderSettings::open(link, Arc::default()).unwrap();
        let told = settings.status.borrow().problem.clone();
        assert!(told.is_some_and(|problem| problem.contains("not there")));
    }

    #[tokio::test]
    async fn what_belongs_to_the_daemon_is_refused_and_never_shared_if_it_comes_later() {
        let root = tempfile::tempdir().unwrap();
        let (shared, data) = (root.path().join("shared"), root.path().join("data"));
        fs::create_dir(&data).unwrap();
        fs::write(data.join("identity.key"), "secret").unwrap();
        let place = |path: &Path| PrivatePlace {
            path: path.to_owned(),
            what: "the data folder",
            option: "--data-dir",
            may_hold_others: true,
        };
        let private = Arc::new(PrivatePlaces::new(vec![place(&data)]));
        let refused = FolderSettings::open(root.path().to_owned(), private.clone()).unwrap_err();
        assert!(refused.to_string().contains("--data-dir"), "{refused}");
        let mut folder = SharedFolder::new(FolderSettings::open(shared.clone(), private).unwrap());
        fs::hard_link(data.join("identity.key"), shared.join("a.bag")).unwrap();
        fs::write(shared.join("b.bag"), "").unwrap();
        assert_eq!(names(&folder.look(Known::new()).await), ["b.bag"]);
        let left_out = folder.settings.status.borrow().left_out.clone();
        assert_eq!(left_out.0[&Reason::Private].total, 1);
        // The path leads to the data folder itself.
        fs::rename(&shared, root.path().join("aside")).unwrap();
        std::os::unix::fs::symlink(&data, &shared).unwrap();
        let look = folder.look(Known::new()).await;
        assert!(names(&look).is_empty(), "{look:?}");
        assert!(folder.settings.status.borrow().problem.is_some());
    }
}
