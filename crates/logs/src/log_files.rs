//! The files of one log on the disk: a file, or the files of a folder that ROS 2 recorded.

use crate::scan::{fingerprint, folder_fingerprint, is_passed_over};
use crate::settle::Fingerprint;
use crate::sources::FileSource;
use ipfs::unixfs::{Content, DirectoryEntry};
use recordings::{METADATA_NAME, Source, describe, describe_folder};
use rustix::fs::{AtFlags, Mode, OFlags, open, openat, unlinkat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Maximum number of files of a folder that is one log. With the longest names, their directory has 160 KiB, which fits
/// into a block.
pub(crate) const MAX_MEMBERS: usize = 512;

/// Flags to open a folder.
const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

/// The files of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFiles {
    /// Absolute path of the file or folder.
    path: PathBuf,
    /// Names of the files of a folder; `None` for a file.
    members: Option<Vec<String>>,
}

impl LogFiles {
    /// Names the file at `path`, or these files of the folder there.
    pub(crate) fn new(path: PathBuf, members: Option<Vec<String>>) -> Self {
        Self { path, members }
    }

    /// Returns the paths of all files.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        match &self.members {
            None => vec![self.path.clone()],
            Some(names) => names.iter().map(|name| self.path.join(name)).collect(),
        }
    }

    /// Returns whether the files still have this fingerprint.
    pub(crate) fn is_unchanged(&self, before: Fingerprint) -> bool {
        let now = match &self.members {
            None => look(&self.path),
            Some(names) => look_at_members(&self.path, names),
        };
        now.is_ok_and(|now| now == before)
    }

    /// Returns the entries of an IPFS directory that has this log under `name`. The files are not copied.
    pub(crate) fn entries(&self, name: &str) -> Vec<DirectoryEntry> {
        let entry = |path: String, file: PathBuf| DirectoryEntry { path, content: Content::InPlace(file) };
        match &self.members {
            None => vec![entry(name.to_owned(), self.path.clone())],
            Some(names) => {
                let member = |member: &String| entry(format!("{name}/{member}"), self.path.join(member));
                names.iter().map(member).collect()
            }
        }
    }

    /// Reads what the log contains. This call blocks.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn describe(&self, name: &str) -> io::Result<recordings::Description> {
        match &self.members {
            None => describe(name, &mut FileSource::open(&self.path)?),
            Some(names) => describe_folder(&mut DiskFolder { path: &self.path, names }),
        }
    }
}

/// A folder on the disk.
struct DiskFolder<'a> {
    path: &'a Path,
    names: &'a [String],
}

impl recordings::Folder for DiskFolder<'_> {
    fn names(&self) -> Vec<String> {
        self.names.to_vec()
    }

    fn open(&mut self, name: &str) -> io::Result<Box<dyn Source + '_>> {
        Ok(Box::new(FileSource::open(&self.path.join(name))?))
    }
}

/// Deletes the log at `path` below the folder `root`, if it still has this fingerprint: a file, or these files of a folder.
/// Links below `root` are not followed. Other files in the folder stay, and then the folder does.
///
/// # Errors
/// When the log has changed, is not there, or cannot be deleted.
pub(crate) fn deleted_in(
    root: &Path,
    (path, members): (&str, Option<&[String]>),
    before: Fingerprint,
) -> io::Result<()> {
    let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut folder = open(root, FOLDER, Mode::empty())?;
    for part in above.split('/').filter(|part| !part.is_empty()) {
        folder = openat(&folder, part, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
    }
    let Some(members) = members else {
        check_unchanged(before, look_in(&folder, name)?)?;
        return Ok(unlinkat(&folder, name, AtFlags::empty())?);
    };
    let inner = openat(&folder, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
    let member = |name: &String| Ok((name.clone(), look_in(&inner, name)?));
    let found: BTreeMap<String, Fingerprint> = members.iter().map(member).collect::<io::Result<_>>()?;
    check_unchanged(before, folder_fingerprint(&found))?;
    // Without its metadata, the folder is not a log any more. Otherwise the rest of it would be a new version.
    let metadata_first = found.keys().filter(|name| *name == METADATA_NAME);
    for name in metadata_first.chain(found.keys().filter(|name| *name != METADATA_NAME)) {
        unlinkat(&inner, name.as_str(), AtFlags::empty())?;
    }
    match unlinkat(&folder, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn look_in(folder: &OwnedFd, name: &str) -> io::Result<Fingerprint> {
    // Opening a pipe does not block, and a link is not followed.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let metadata = File::from(openat(folder, name, flags, Mode::empty())?).metadata()?;
    if metadata.is_file() { Ok(fingerprint(&metadata)) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

fn check_unchanged(before: Fingerprint, now: Fingerprint) -> io::Result<()> {
    if before.is_like(&now) { Ok(()) } else { Err(io::Error::other("it was changed meanwhile")) }
}

/// Returns the fingerprint of the log at a path: of a file, or of the plain files of a folder that are not hidden. Links
/// are not followed.
///
/// # Errors
/// When it is not there, or is neither a file nor a folder.
pub(crate) fn look_at(path: &Path) -> io::Result<Fingerprint> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return look(path);
    }
    let is_plain = |entry: &fs::DirEntry| {
        !is_passed_over(entry.file_name().as_encoded_bytes())
            && entry.metadata().is_ok_and(|found| found.is_file())
    };
    let entries = fs::read_dir(path)?.filter_map(Result::ok).filter(is_plain);
    let names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).take(MAX_MEMBERS).collect();
    look_at_members(path, &names)
}

fn look_at_members(folder: &Path, names: &[String]) -> io::Result<Fingerprint> {
    let member = |name: &String| Ok((name.clone(), look(&folder.join(name))?));
    let members: BTreeMap<String, Fingerprint> = names.iter().map(member).collect::<io::Result<_>>()?;
    Ok(folder_fingerprint(&members))
}

fn look(file: &Path) -> io::Result<Fingerprint> {
    let metadata = fs::symlink_metadata(file)?;
    if metadata.is_file() { Ok(fingerprint(&metadata)) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_any_file_of_a_folder_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("run");
        fs::create_dir(&folder).unwrap();
        let names: Vec<String> = ["metadata.yaml", "run_0.mcap"].map(str::to_owned).into();
        for name in &names {
            fs::write(folder.join(name), name).unwrap();
        }
        let files = LogFiles::new(folder.clone(), Some(names.clone()));
        let before = look_at(&folder).unwrap();
        assert_eq!(before.size, 13 + 10);
        assert!(files.is_unchanged(before));
        fs::write(folder.join(".hidden"), "x").unwrap();
        assert_eq!(look_at(&folder).unwrap(), before);
        fs::rename(folder.join("run_0.mcap"), folder.join("run_1.mcap")).unwrap();
        assert!(!files.is_unchanged(before));
        assert!(!look_at(&folder).unwrap().is_like(&before), "a file has another name");
        fs::rename(folder.join("run_1.mcap"), folder.join("run_0.mcap")).unwrap();
        fs::write(folder.join("run_0.mcap"), "another text").unwrap();
        assert!(!files.is_unchanged(before), "a file has another size");
        fs::remove_file(folder.join("run_0.mcap")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", folder.join("run_0.mcap")).unwrap();
        assert!(!files.is_unchanged(before), "a link is no file");
    }

    #[test]
    fn only_an_unchanged_log_below_the_folder_is_deleted() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("shared/day/run")).unwrap();
        fs::create_dir_all(at("outside/run")).unwrap();
        let members: Vec<String> = ["metadata.yaml", "run_0.mcap"].map(str::to_owned).into();
        for name in &members {
            fs::write(at("shared/day/run").join(name), name).unwrap();
            fs::write(at("outside/run").join(name), name).unwrap();
        }
        for path in ["shared/day/a.bag", "outside/a.bag"] {
            fs::write(at(path), "a log").unwrap();
        }
        std::os::unix::fs::symlink(at("outside"), at("shared/link")).unwrap();
        let delete = |path: &str, members: Option<&[String]>, from: &str| {
            deleted_in(&at("shared"), (path, members), look_at(&at(from)).unwrap())
        };
        for (path, from) in [("link/a.bag", "outside/a.bag"), ("day/run/../a.bag", "shared/day/a.bag")] {
            let _ = delete(path, None, from);
            assert!(at("outside/a.bag").exists(), "{path}");
        }
        delete("link/run", Some(&members), "outside/run").unwrap_err();
        assert!(at("outside/run/run_0.mcap").exists());
        fs::write(at("shared/day/a.bag"), "a log").unwrap();
        let before = look_at(&at("shared/day/a.bag")).unwrap();
        fs::write(at("shared/day/a.bag"), "another log").unwrap();
        deleted_in(&at("shared"), ("day/a.bag", None), before).unwrap_err();
        delete("day/a.bag", None, "shared/day/a.bag").unwrap();
        assert!(!at("shared/day/a.bag").exists());
        let before = look_at(&at("shared/day/run")).unwrap();
        fs::write(at("shared/day/run/.notes"), "mine").unwrap();
        deleted_in(&at("shared"), ("day/run", Some(&members)), before).unwrap();
        let left: Vec<_> =
            fs::read_dir(at("shared/day/run")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, [".notes"], "a file that is not in the log stays");
    }
}
