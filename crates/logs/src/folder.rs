//! A shared folder: its state, its scans, and the reports of changes. The folder at the path may appear, vanish or be
//! replaced at any time. Its marker shows which volume it is.

use crate::ledger::Ledger;
use crate::left_out::{LeftOut, Reason};
use crate::marker::{Before, identify};
use crate::scan::{RecordedFolders, Scan, Unseen, scan};
use crate::select::{SelectedFolder, Selection, SelectionError};
use crate::settle::Found;
use crate::volume::VolumeId;
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
    /// A pattern is wrong.
    #[error("the shared folder {0} is configured wrongly: {1}")]
    Patterns(PathBuf, #[source] SelectionError),
    /// One shared folder contains another.
    #[error("the shared folder {0} is inside the shared folder {1}; share only one of them")]
    Nested(PathBuf, PathBuf),
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
    /// Files of it that are shared.
    pub(crate) selection: Arc<Selection>,
    /// Places that belong to the daemon and are never shared.
    pub(crate) private: Arc<PrivatePlaces>,
    /// State of the folder at the last scan.
    pub(crate) status: watch::Sender<FolderStatus>,
}

impl FolderSettings {
    /// Uses the folder at `path`. Tries to create it, unless the ledger knows files in it: then it is on a disk that is
    /// not there. A folder that does not exist is shared as soon as it exists.
    ///
    /// # Errors
    /// When the folder can never be shared with the present configuration.
    pub(crate) fn open(
        SelectedFolder { path, include, exclude }: SelectedFolder,
        private: Arc<PrivatePlaces>,
        ledger: &Ledger,
    ) -> Result<Self, FolderError> {
        let selection = Selection::new(&include, &exclude);
        let selection = selection.map_err(|error| FolderError::Patterns(path.clone(), error))?;
        let path = std::path::absolute(&path).map_err(|error| FolderError::Relative(path, error))?;
        let made = match ledger.has_seen(&path) {
            true => path.metadata().map(drop),
            false => std::fs::create_dir_all(&path),
        };
        let is_file = |path: &&Path| path.metadata().is_ok_and(|metadata| !metadata.is_dir());
        if let Some(file) = path.ancestors().find(is_file) {
            return Err(FolderError::NotAFolder(path.clone(), file.to_owned()));
        }
        if let Some(overlap) = private.overlap(&path) {
            return Err(FolderError::Private(overlap));
        }
        let status = watch::Sender::default();
        let settings = Self { path, selection: Arc::new(selection), private, status };
        if let Err(error) = made {
            // For a dangling link, the error of `create_dir_all` would only say that it exists.
            let error = settings.path.metadata().err().filter(|_| is_there(&error)).unwrap_or(error);
            settings.tell(FolderStatus { problem: Some(problem(&error)), ..FolderStatus::default() });
        }
        Ok(settings)
    }

    /// Checks that none of these folders is inside another one.
    ///
    /// # Errors
    /// When a folder is inside another one. The files in it would be shared twice.
    pub(crate) fn check_apart(folders: &[Self]) -> Result<(), FolderError> {
        let real = |folder: &Self| folder.path.canonicalize().unwrap_or_else(|_| folder.path.clone());
        for (at, inner) in folders.iter().enumerate() {
            let others = folders.iter().enumerate().filter(|(other, _)| *other != at);
            if let Some((_, outer)) =
                others.into_iter().find(|(_, outer)| real(inner).starts_with(real(outer)))
            {
                return Err(FolderError::Nested(inner.path.clone(), outer.path.clone()));
            }
        }
        Ok(())
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
    /// The volume that the folder shows, and the files in it; `None` when the folder is not there or cannot be read now.
    pub(crate) found: Option<(VolumeId, Found)>,
    /// The folders of ROS 2 in it.
    pub(crate) folders: RecordedFolders,
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
    /// The volume at the last scan, and the identity of the folder that showed it.
    before: Before,
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
        let (seen, before, took, told) = (None, None, Duration::ZERO, BTreeSet::new());
        Self { settings, watch: watch.ok(), seen, before, took, told }
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

    /// Returns the absolute path of the folder, as it was configured.
    pub(crate) fn path(&self) -> &Path {
        &self.settings.path
    }

    /// Returns the volume that the folder showed at the last scan.
    pub(crate) fn shows(&self) -> Option<VolumeId> {
        self.before.map(|(_, volume)| volume)
    }

    /// Recognises and scans the folder. The files that the ledger knows in it take precedence.
    pub(crate) async fn look(&mut self, ledger: &Ledger) -> Look {
        let looking = Looking {
            path: self.settings.path.clone(),
            selection: self.settings.selection.clone(),
            private: self.settings.private.clone(),
            ledger: ledger.clone(),
            before: self.before,
        };
        let marking = self.watch.as_ref().map(FolderWatch::mark);
        let begun = Instant::now();
        let looked = tokio::task::spawn_blocking(move || looking.look(marking)).await;
        let (at, scanned) = looked.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        self.took = begun.elapsed();
        let problem = scanned.as_ref().err().map(problem);
        let (folder, id) = at.unwrap_or_else(|| (self.settings.path.clone(), None));
        self.before = None;
        let (found, folders, unseen) = match scanned {
            Ok((volume, Scan { found, folders, left_out, unseen })) => {
                self.before = id.map(|id| (id, volume));
                left_out.tell(&mut self.told);
                self.settings.tell(FolderStatus { problem, left_out });
                (Some((volume, found)), folders, unseen)
            }
            Err(_) => {
                self.settings.tell(FolderStatus { problem, ..FolderStatus::default() });
                (None, RecordedFolders::default(), Unseen::default())
            }
        };
        let is_other = self.seen.replace(id).is_some_and(|before| before != id);
        Look { folder, found, folders, unseen, is_other }
    }
}

fn is_there(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AlreadyExists
}

type At = Option<(PathBuf, Option<FileId>)>;

/// The inputs of one scan.
struct Looking {
    path: PathBuf,
    selection: Arc<Selection>,
    private: Arc<PrivatePlaces>,
    ledger: Ledger,
    before: Before,
}

impl Looking {
    /// Scans the folder, and sets watches on it and its subfolders. Also returns the real path and the identity of the
    /// folder, and its volume.
    fn look(&self, mut marking: Option<Marking>) -> (At, io::Result<(VolumeId, Scan)>) {
        if let Some(marking) = &mut marking {
            marking.way(&self.path);
        }
        let real = self.path.canonicalize();
        let at = real.as_ref().ok().map(|real| (real.clone(), FileId::at(real)));
        let scanned = real.and_then(|real| self.scan(&real, marking.as_mut()));
        if let Some(marking) = marking {
            marking.finish();
        }
        (at, scanned)
    }

    fn scan(&self, real: &Path, mut marking: Option<&mut Marking>) -> io::Result<(VolumeId, Scan)> {
        let enter = &mut |folder: &Path| marking.iter_mut().for_each(|marking| marking.shared(folder));
        let metadata = real.metadata()?;
        if !metadata.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let id = FileId::from(&metadata);
        let private = private_in(real, &self.private, Some(id))?;
        let volume = identify((&self.path, real, id), self.before, &self.ledger)?;
        let known = self.ledger.taken_in(volume).into_keys().collect();
        let mut scanned = scan(real, (&private, &self.selection), &known, enter)?;
        for path in self.ledger.unshared_in(volume) {
            if scanned.found.contains_key(&path) {
                scanned.left_out.add(Reason::Unshared, &path);
            }
        }
        // The folder may have been unmounted during the scan. Then the files that were not found are not gone.
        match FileId::at(real) {
            Some(now) if now == id => Ok((volume, scanned)),
            _ => Err(io::Error::other("it was replaced during the scan")),
        }
    }
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

    fn whole(path: PathBuf) -> SelectedFolder {
        crate::select::SharedFolder::Whole(path).into()
    }

    /// Opens a ledger beside the shared folder.
    fn ledger(root: &tempfile::TempDir) -> Ledger {
        crate::ledger::tests::open(&root.path().join("records.redb"))
    }

    fn open(path: PathBuf, ledger: &Ledger) -> SharedFolder {
        SharedFolder::new(FolderSettings::open(whole(path), Arc::default(), ledger).unwrap())
    }

    fn names(look: &Look) -> Vec<&str> {
        look.found.iter().flat_map(|(_, found)| found.keys().map(String::as_str)).collect()
    }

    #[tokio::test]
    async fn a_folder_that_replaces_the_shared_one_is_noticed_at_once_and_scanned() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("shared");
        let ledger = ledger(&root);
        let mut folder = open(path.clone(), &ledger);
        fs::write(path.join("a.bag"), "").unwrap();
        let look = folder.look(&ledger).await;
        assert_eq!((names(&look), look.is_other), (vec!["a.bag"], false));
        let volume = look.found.unwrap().0;
        fs::rename(&path, root.path().join("aside")).unwrap();
        tokio::time::timeout(DEADLINE, folder.changed()).await.unwrap();
        let look = folder.look(&ledger).await;
        assert_eq!((look.found, look.is_other), (None, true));
        let status = folder.settings.status.borrow().clone();
        assert!(status.problem.is_some_and(|problem| problem.contains("not there")));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("b.bag"), "").unwrap();
        tokio::time::timeout(DEADLINE, folder.changed()).await.unwrap();
        let look = folder.look(&ledger).await;
        assert_eq!((names(&look), look.is_other), (vec!["b.bag"], true));
        assert_ne!(look.found.unwrap().0, volume);
        assert_eq!(folder.settings.status.borrow().problem, None);
    }

    #[test]
    fn a_file_at_the_path_of_the_folder_is_refused_with_advice() {
        let root = tempfile::tempdir().unwrap();
        let ledger = ledger(&root);
        let file = root.path().join("notes.txt");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("logs")] {
            let error = FolderSettings::open(whole(path), Arc::default(), &ledger).unwrap_err().to_string();
            assert!(error.contains("notes.txt is a file") && error.contains("--shared"), "{error}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_created_now_is_reported() {
        let root = tempfile::tempdir().unwrap();
        let link = root.path().join("link");
        std::os::unix::fs::symlink(root.path().join("not mounted"), &link).unwrap();
        let settings = FolderSettings::open(whole(link), Arc::default(), &ledger(&root)).unwrap();
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
        let ledger = ledger(&root);
        let refused =
            FolderSettings::open(whole(root.path().to_owned()), private.clone(), &ledger).unwrap_err();
        assert!(refused.to_string().contains("--data-dir"), "{refused}");
        let mut folder =
            SharedFolder::new(FolderSettings::open(whole(shared.clone()), private, &ledger).unwrap());
        fs::hard_link(data.join("identity.key"), shared.join("a.bag")).unwrap();
        fs::write(shared.join("b.bag"), "").unwrap();
        assert_eq!(names(&folder.look(&ledger).await), ["b.bag"]);
        let left_out = folder.settings.status.borrow().left_out.clone();
        assert_eq!(left_out.0[&Reason::Private].total, 1);
        // Now the path leads to the data folder itself.
        fs::rename(&shared, root.path().join("aside")).unwrap();
        std::os::unix::fs::symlink(&data, &shared).unwrap();
        let look = folder.look(&ledger).await;
        assert!(names(&look).is_empty(), "{look:?}");
        assert!(folder.settings.status.borrow().problem.is_some());
        assert!(!data.join(crate::marker::MARKER_NAME).exists());
    }

    #[tokio::test]
    async fn a_folder_with_known_files_is_not_created_again() {
        let root = tempfile::tempdir().unwrap();
        let (path, ledger) = (root.path().join("shared"), ledger(&root));
        let volume = open(path.clone(), &ledger).look(&ledger).await.found.unwrap().0;
        let fingerprint = crate::settle::Fingerprint { size: 1, modified: 1, inode_changed: None };
        let taken = crate::ledger::Taken { fingerprint, cid: crate::index::tests::cid() };
        let file = crate::volume::SharedPath::new(volume, "a.bag");
        ledger.take(vec![(file, taken, crate::index::tests::description(1, "a.bag"))]).await.unwrap();
        ledger.show(path.clone(), Some(volume));
        ledger.note_volumes(crate::index::tests::NOW).await.unwrap();
        fs::remove_dir_all(&path).unwrap();
        let folder = open(path.clone(), &ledger);
        assert!(!path.exists(), "it hides that a disk is missing");
        assert!(folder.settings.status.borrow().problem.is_some());
    }

    #[tokio::test]
    async fn files_that_the_patterns_leave_out_are_counted_and_known_ones_are_gone() {
        let root = tempfile::tempdir().unwrap();
        let (path, ledger) = (root.path().join("shared"), ledger(&root));
        let selected = |exclude: &str| SelectedFolder {
            path: path.clone(),
            include: vec!["*.bag".to_owned()],
            exclude: vec![exclude.to_owned()],
        };
        let open = |folder| FolderSettings::open(folder, Arc::default(), &ledger);
        let mut folder = SharedFolder::new(open(selected("old/*")).unwrap());
        fs::create_dir(path.join("old")).unwrap();
        for name in ["a.bag", "notes.txt", "old/b.bag"] {
            fs::write(path.join(name), "").unwrap();
        }
        assert_eq!(names(&folder.look(&ledger).await), ["a.bag"]);
        let left_out = folder.settings.status.borrow().left_out.clone();
        assert_eq!(left_out.0[&Reason::Excluded].examples, ["notes.txt", "old/b.bag"]);
        let refused = open(selected("[")).unwrap_err().to_string();
        assert!(refused.contains("is not a pattern"), "{refused}");
    }

    #[test]
    fn a_shared_folder_inside_another_one_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let ledger = ledger(&root);
        let open = |name: &str| {
            FolderSettings::open(whole(root.path().join(name)), Arc::default(), &ledger).unwrap()
        };
        assert!(FolderSettings::check_apart(&[open("a"), open("ab")]).is_ok());
        let refused = FolderSettings::check_apart(&[open("a/b"), open("a")]).unwrap_err().to_string();
        assert!(refused.contains("a/b is inside"), "{refused}");
    }
}
