//! The shared folder: its state, its scans, and the reports of changes. The folder at the path may appear, vanish or be
//! replaced at any time.

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

/// Minimum time between a report of a change and the scan. Reports in this time lead to one scan.
const GATHER: Duration = Duration::from_millis(200);
/// Minimum time between a report of a change and the scan, as a multiple of the duration of the last scan. In a folder
/// that changes all the time, scans take at most a fifth of a core.
const GATHER_BY_SCAN: u32 = 4;

/// Error for a folder that can never be shared with the present configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    /// A file is at the path, or at a path above it.
    #[error("the shared folder {0} cannot be created, since {1} is a file; choose a folder with --shared")]
    NotAFolder(PathBuf, PathBuf),
    /// Private files of the daemon would be shared.
    #[error("{0}")]
    Private(Overlap),
    /// The path is relative, and the current folder is unknown.
    #[error("the shared folder {0} cannot be found: {1}; use an absolute path")]
    Relative(PathBuf, #[source] io::Error),
}

/// State of the shared folder at the last scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FolderStatus {
    /// Reason why nothing of the folder can be shared, as a sentence; `None` when it can.
    pub(crate) problem: Option<String>,
    /// Files and folders in it that are not shared, by reason.
    pub(crate) left_out: LeftOut,
}

/// The shared folder's path and status. A clone refers to the same status.
#[derive(Clone, Debug)]
pub(crate) struct FolderSettings {
    /// Absolute path of the folder.
    pub(crate) path: PathBuf,
    /// Places that belong to the daemon and are never shared.
    pub(crate) private: Arc<PrivatePlaces>,
    /// State of the folder at the last scan.
    pub(crate) status: watch::Sender<FolderStatus>,
}

impl FolderSettings {
    /// Uses the folder at `path`, and tries to create it. If that fails, the folder is shared as soon as it exists.
    ///
    /// # Errors
    /// When the folder can never be shared with the present configuration.
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
            // For a dangling link, the error of `create_dir_all` would only say that it exists.
            let error = settings.path.metadata().err().filter(|_| is_there(&error)).unwrap_or(error);
            settings.tell(FolderStatus { problem: Some(problem(&error)), ..FolderStatus::default() });
        }
        Ok(settings)
    }

    /// Publishes the state of the folder. A new problem is logged once.
    fn tell(&self, status: FolderStatus) {
        let before = self.status.send_replace(status);
        let (now, folder) = (self.status.borrow(), self.path.display());
        match (&before.problem, &now.problem) {
            (before, Some(problem)) if before.as_ref() != Some(problem) => {
                tracing::warn!(%folder, problem, "no file of the shared folder is shared");
            }
            (Some(_), None) => tracing::info!(%folder, "the shared folder is available again"),
            _ => {}
        }
    }
}

/// Returns a sentence for people about an error of the folder, with advice where there is any.
fn problem(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it is not there; create it, or mount the disk that holds it".to_owned(),
        io::ErrorKind::NotADirectory => "it is a file, not a folder; put a folder there".to_owned(),
        _ => format!("it cannot be used: {error}"),
    }
}

/// The result of one scan of the folder.
#[derive(Debug)]
pub(crate) struct Look {
    /// Path of the folder without symbolic links.
    pub(crate) folder: PathBuf,
    /// Files in the folder; `None` when it cannot be read now.
    pub(crate) found: Option<Found>,
    /// Known files that may exist although the scan did not find them.
    pub(crate) unseen: Unseen,
    /// Whether this is another folder than at the last scan.
    pub(crate) is_other: bool,
}

/// Scans the shared folder repeatedly, and remembers its state between scans.
pub(crate) struct SharedFolder {
    settings: FolderSettings,
    /// Reports of changes; `None` when the system provides no watches. Then the folder is only scanned at intervals.
    watch: Option<FolderWatch>,
    /// Identity of the folder at the last scan; `None` before the first scan.
    seen: Option<Option<FileId>>,
    /// Duration of the last scan.
    took: Duration,
    /// Reasons for left-out files that were logged already.
    told: BTreeSet<Reason>,
}

impl SharedFolder {
    pub(crate) fn new(settings: FolderSettings) -> Self {
        let watch = FolderWatch::new(settings.path.clone());
        let watch = watch.inspect_err(|error| {
            tracing::warn!(%error, "changes in the shared folder are not reported; it is scanned at intervals only");
        });
        let (seen, took, told) = (None, Duration::ZERO, BTreeSet::new());
        Self { settings, watch: watch.ok(), seen, took, told }
    }

    /// Waits until a file of the folder changed, or another folder replaced it.
    pub(crate) async fn changed(&self) {
        match &self.watch {
            Some(watch) => watch.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Returns the time to wait for more changes before the next scan.
    pub(crate) fn gather(&self) -> Duration {
        GATHER.max(self.took * GATHER_BY_SCAN)
    }

    /// Scans the folder. `known` holds the files that were in it before.
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

/// Returns whether an error means that the folder does not exist, and not only that it cannot be read.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

type At = Option<(PathBuf, Option<FileId>)>;

/// Scans the folder at `path`, and sets watches on it and its subfolders. Also returns the real path and the identity
/// of the folder.
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

/// Returns the identities of private files and folders that are never shared from this folder.
fn private_in(real: &Path, private: &PrivatePlaces, id: Option<FileId>) -> io::Result<BTreeSet<FileId>> {
    match private.overlap(real) {
        // A private place inside the folder is left out by the scan. All other overlaps are errors.
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
    async fn a_folder_that_replaces_the_shared_one_is_noticed_at_once_and_scanned() {
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
    fn a_file_at_the_path_of_the_folder_is_refused_with_advice() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("notes.txt");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("logs")] {
            let error = FolderSettings::open(path, Arc::default()).unwrap_err().to_string();
            assert!(error.contains("notes.txt is a file") && error.contains("--shared"), "{error}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_created_now_is_reported() {
        let root = tempfile::tempdir().unwrap();
        let link = root.path().join("link");
        std::os::unix::fs::symlink(root.path().join("not mounted"), &link).unwrap();
        let settings = FolderSettings::open(link, Arc::default()).unwrap();
        let told = settings.status.borrow().problem.clone();
        assert!(told.is_some_and(|problem| problem.contains("not there")));
    }

    #[tokio::test]
    async fn private_files_of_the_daemon_are_refused_and_never_shared_later() {
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
        // Now the path leads to the data folder itself.
        fs::rename(&shared, root.path().join("aside")).unwrap();
        std::os::unix::fs::symlink(&data, &shared).unwrap();
        let look = folder.look(Known::new()).await;
        assert!(names(&look).is_empty(), "{look:?}");
        assert!(folder.settings.status.borrow().problem.is_some());
    }
}
