//! The folder of one target: its journal, the folders of its versions, and the link to the one in use.

use crate::disk::{Disk, EntryKind};
use crate::journal::{Installed, Journal, MAX_JOURNAL_BYTES};
use crate::name::{Name, Version};
use crate::request::Kind;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Name of the link to the version in use.
const CURRENT: &str = "current";
const JOURNAL: &str = "journal";
/// Name under which a damaged journal is kept for a person to look at.
const DAMAGED: &str = ".journal.damaged";
const NEW_JOURNAL: &str = ".journal.new";
const NEW_LINK: &str = ".current.new";
/// First character of temporary names. No version begins with it.
const TEMPORARY: &str = ".";

/// The folder of one target.
pub(crate) struct TargetFolder<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
}

impl<'a> TargetFolder<'a> {
    pub(crate) fn new(disk: &'a dyn Disk, root: &Path, name: &Name) -> Self {
        Self { disk, path: root.join(name.as_str()) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the link to the version in use.
    pub(crate) fn current(&self) -> PathBuf {
        self.path.join(CURRENT)
    }

    /// Returns the path of a version's folder.
    pub(crate) fn version(&self, version: &Version) -> PathBuf {
        self.path.join(version.as_str())
    }

    /// Makes the folder if it does not exist.
    pub(crate) fn make(&self) -> io::Result<()> {
        match self.disk.make_folder(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => self.path.parent().map_or(Ok(()), |root| self.disk.sync_folder(root)),
        }
    }

    /// Reads the journal. A damaged one is set aside: what is installed then follows from the link, and everything else
    /// is forgotten.
    pub(crate) fn load(&self) -> io::Result<Journal> {
        let path = self.path.join(JOURNAL);
        if self.disk.file(&path)?.is_some() {
            let mut file = Vec::new();
            self.disk.open(&path)?.take(MAX_JOURNAL_BYTES).read_to_end(&mut file)?;
            if let Some(journal) = Journal::decode(&file) {
                return Ok(journal);
            }
            self.disk.rename(&path, &self.path.join(DAMAGED))?;
        }
        let Some(version) = self.link()? else {
            return Ok(Journal::default());
        };
        let current = Installed {
            version,
            kind: Kind::Archive,
            sha256: Installed::UNKNOWN,
            file_name: String::new(),
            package: None,
        };
        let journal = Journal { current: Some(current), ..Journal::default() };
        self.save(&journal)?;
        Ok(journal)
    }

    /// Replaces the journal. Returns once it is on the disk.
    pub(crate) fn save(&self, journal: &Journal) -> io::Result<()> {
        let content = journal.encode().map_err(io::Error::other)?;
        let new = self.path.join(NEW_JOURNAL);
        self.disk.remove_file(&new)?;
        let mut file = self.disk.create(&new, false)?;
        file.write_all(&content)?;
        file.sync()?;
        self.disk.rename(&new, &self.path.join(JOURNAL))?;
        self.disk.sync_folder(&self.path)
    }

    /// Returns the version in use.
    pub(crate) fn link(&self) -> io::Result<Option<Version>> {
        let target = self.disk.read_link(&self.path.join(CURRENT))?;
        Ok(target.and_then(|target| target.to_str()?.parse().ok()))
    }

    /// Switches to a version, or to none, in one operation.
    pub(crate) fn switch(&self, version: Option<&Version>) -> io::Result<()> {
        let link = self.path.join(CURRENT);
        match version {
            Some(version) => {
                let new = self.path.join(NEW_LINK);
                self.disk.remove_file(&new)?;
                self.disk.symbolic_link(Path::new(version.as_str()), &new)?;
                self.disk.rename(&new, &link)?;
            }
            None => self.disk.remove_file(&link)?,
        }
        self.disk.sync_folder(&self.path)
    }

    /// Fills the folder of a version. It is filled under a temporary name, so that it is complete or absent.
    pub(crate) fn fill<E: From<io::Error>>(
        &self,
        version: &Version,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        let temporary = self.path.join(format!("{TEMPORARY}{version}"));
        let folder = self.version(version);
        if self.link()?.as_ref() == Some(version) {
            return Err(io::Error::other("the folder of the version in use is not replaced").into());
        }
        self.disk.remove_folder(&temporary)?;
        self.disk.remove_folder(&folder)?;
        if let Err(error) = fill(&temporary) {
            // If this fails, the next attempt removes it.
            let _ = self.disk.remove_folder(&temporary);
            return Err(error);
        }
        self.disk.rename(&temporary, &folder)?;
        Ok(self.disk.sync_folder(&self.path)?)
    }

    /// Removes all versions that the journal does not name, and what interrupted work has left. The version in use stays
    /// in any case.
    pub(crate) fn clean(&self, journal: &Journal) -> io::Result<()> {
        let link = self.link()?;
        let is_kept = |name: &str| journal.kept().chain(&link).any(|version| version.as_str() == name);
        for (name, kind) in self.disk.list(&self.path)? {
            let Some(name) = name.to_str() else {
                continue;
            };
            let path = self.path.join(name);
            match kind {
                EntryKind::Folder if !is_kept(name) => self.disk.remove_folder(&path)?,
                _ if [NEW_LINK, NEW_JOURNAL].contains(&name) => self.disk.remove_file(&path)?,
                _ => {}
            }
        }
        Ok(())
    }
}
