//! A repository in a folder: `metadata` for mirrors, and `drafts` for the holders of keys.

use super::edit_error::EditError;
use super::repository::{Files, Repository};
use crate::limits::MAX_LISTING_BYTES;
use crate::names::{FileName, Role};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// A folder with a repository.
///
/// | path | content |
/// |---|---|
/// | `metadata/` | the published files, with consistent snapshots; mirrors copy this folder |
/// | `drafts/ROLE.json` | drafts; the name of a delegated role is percent-encoded |
///
/// Each file is replaced atomically, and a power cut at any moment leaves a repository that clients accept. Only one
/// program may write to the folder at a time.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// Reason why a repository cannot be read from a folder, or written to it.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The repository is wrong.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// A file cannot be read or written.
    #[error("cannot use {}: {source}; check the path, its permissions and the free space", path.display())]
    File {
        /// Path of the file.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// There is no repository.
    #[error("{} has no release repository; make one there first", .0.display())]
    Empty(PathBuf),
}

impl Folder {
    /// Returns the repository in this folder. This does not access the disk.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns the folder that mirrors copy.
    pub fn metadata(&self) -> PathBuf {
        self.0.join("metadata")
    }

    /// Reads the repository with its drafts. Drafts of versions that were published are ignored.
    ///
    /// # Errors
    /// Returns an error if there is no repository, or a file cannot be read.
    pub fn load(&self) -> Result<Repository, FolderError> {
        Repository::read(self)?.ok_or_else(|| FolderError::Empty(self.0.clone()))
    }

    /// Writes the drafts, and removes those that were published.
    ///
    /// # Errors
    /// Returns an error if a file cannot be written.
    pub fn save_drafts(&self, repository: &Repository) -> Result<(), FolderError> {
        let drafts = repository.drafts()?;
        for (role, content) in &drafts {
            replace(&self.path_of_draft(role), content)?;
        }
        let drafts: BTreeSet<_> = drafts.into_iter().map(|(role, _)| role).collect();
        let outdated =
            repository.roles().filter(|role| !drafts.contains(role)).map(|role| self.path_of_draft(&role));
        outdated.into_iter().try_for_each(|path| remove(&path))
    }

    /// Publishes all drafts, and writes the new files.
    ///
    /// # Errors
    /// Returns an error if the drafts cannot be published, or a file cannot be written. Loading the folder and publishing
    /// again then continues.
    pub fn publish(&self, repository: &mut Repository) -> Result<(), FolderError> {
        self.save_drafts(repository)?;
        let mut next = repository.clone();
        for file in next.publish()? {
            replace(&self.metadata().join(file.name.as_ref()), &file.content)?;
        }
        *repository = next;
        self.save_drafts(repository)
    }

    fn path_of_draft(&self, role: &Role) -> PathBuf {
        self.0.join("drafts").join(FileName::of(role).as_ref())
    }
}

impl Files for Folder {
    type Error = FolderError;

    fn published(&self, name: &FileName) -> Result<Option<Vec<u8>>, FolderError> {
        read(&self.metadata().join(name.as_ref()))
    }

    fn draft(&self, role: &Role) -> Result<Option<Vec<u8>>, FolderError> {
        read(&self.path_of_draft(role))
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> FolderError {
    move |source| FolderError::File { path: path.to_owned(), source }
}

/// Reads a file of limited size. Returns `None` if there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, FolderError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(at(path))?,
    };
    let mut content = Vec::new();
    file.take(MAX_LISTING_BYTES + 1).read_to_end(&mut content).map_err(at(path))?;
    if content.len() as u64 > MAX_LISTING_BYTES {
        return Err(at(path)(ErrorKind::FileTooLarge.into()));
    }
    Ok(Some(content))
}

/// Replaces the content of a file: writes another file, syncs it, renames it, and syncs the folder.
fn replace(path: &Path, content: &[u8]) -> Result<(), FolderError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(at(folder))?;
    let aside = path.with_extension("new");
    let write = || {
        let mut file = File::create(&aside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(at(path))
}

fn remove(path: &Path) -> Result<(), FolderError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(at(path)),
    }
}
