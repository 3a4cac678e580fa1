//! Recognises a shared folder by a small hidden file in it, the *marker*, in spite of changed paths and device numbers.
//!
//! The marker holds the random ID of the volume. A folder without a marker is recognised by the files in it, or is the
//! same folder as a moment ago; otherwise it is a new volume. On a disk that cannot be written, no marker is made.

use crate::ledger::Ledger;
use crate::log_files::look_at;
use crate::settle::Fingerprint;
use crate::volume::VolumeId;
use rustix::fs::OFlags;
use service::FileId;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Name of the marker. It is hidden, so it is not shared.
pub(crate) const MARKER_NAME: &str = ".dt-swarm-folder";
/// Name of the marker while it is written.
const UNFINISHED: &str = ".dt-swarm-folder.part";
/// First line of a marker, for people who find it.
const TITLE: &str = "dt-swarm recognises this shared folder by this file. Do not copy it to another folder.";
/// Start of the line with the ID.
const ID_KEY: &str = "id: ";
/// Maximum size of a marker, in bytes.
const MAX_BYTES: u64 = 4096;

/// The volume that a shared folder showed at its last scan, and the identity of the folder then.
pub(crate) type Before = Option<(FileId, VolumeId)>;

/// Returns the volume of the folder at `real`, which is the shared folder `configured`. Marks the folder where it has no
/// marker and can be written.
///
/// # Errors
/// When the marker or the ledger cannot be read, or when the folder is shared already at another path.
pub(crate) fn identify(
    (configured, real, id): (&Path, &Path, FileId),
    before: Before,
    ledger: &Ledger,
) -> io::Result<VolumeId> {
    if let Some(volume) = read(real)? {
        match ledger.shown_elsewhere(volume, configured) {
            None => return Ok(volume),
            Some(other) => {
                match other.canonicalize().map(|real| (FileId::at(&real), read(&real).ok().flatten())) {
                    // The volume was moved from there to here.
                    Ok((_, there)) if there != Some(volume) => return Ok(volume),
                    Err(_) => return Ok(volume),
                    Ok((there, _)) if there == Some(id) => return Err(is_shown_twice(&other)),
                    Ok(_) => return renew(real, &other),
                }
            }
        }
    }
    let volume = match before {
        Some((folder, volume)) if folder == id => volume,
        _ => by_files(real, ledger)?.map_or_else(new_id, Ok)?,
    };
    if let Err(error) = write(real, volume) {
        // Without a marker, the folder is recognised by its files.
        tracing::debug!(folder = %real.display(), %error, "a shared folder cannot be marked");
    }
    Ok(volume)
}

/// Gives a copy of a volume an ID of its own.
fn renew(real: &Path, original: &Path) -> io::Result<VolumeId> {
    let volume = new_id()?;
    write(real, volume).map_err(|error| {
        let original = original.display();
        io::Error::other(format!(
            "it has the same {MARKER_NAME} as {original}, and that file cannot be replaced ({error}); remove it"
        ))
    })?;
    Ok(volume)
}

fn is_shown_twice(other: &Path) -> io::Error {
    io::Error::other(format!(
        "it is the same folder as {}; remove one of them from the configuration",
        other.display()
    ))
}

/// Returns the missing volume of which an unchanged file is in the folder. The time of the inode is not compared, since
/// it changes when a disk is copied.
fn by_files(real: &Path, ledger: &Ledger) -> io::Result<Option<VolumeId>> {
    let is_there = |(path, before): &(String, Fingerprint)| {
        look_at(&real.join(path)).is_ok_and(|now| (now.size, now.modified) == (before.size, before.modified))
    };
    let missing = ledger.files_of_missing_volumes().into_iter();
    let Some((volume, _)) = missing.into_iter().find(|(_, files)| files.iter().any(is_there)) else {
        return Ok(None);
    };
    if volume != VolumeId::UNKNOWN {
        return Ok(Some(volume));
    }
    let named = new_id()?;
    ledger.rename_volume(volume, named).map_err(io::Error::other)?;
    Ok(Some(named))
}

fn new_id() -> io::Result<VolumeId> {
    let number = u64::from_ne_bytes(service::random()?);
    Ok(VolumeId(number.max(1)))
}

/// Reads the marker in a folder. Returns `None` when there is no marker, or it is damaged.
fn read(folder: &Path) -> io::Result<Option<VolumeId>> {
    // Opening a pipe does not block, and a link is not followed.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = File::options();
    let opened = options.read(true).custom_flags(flags.bits().cast_signed()).open(marker(folder));
    let file = match opened {
        Ok(file) if file.metadata()?.is_file() => file,
        Ok(_) => return Ok(None),
        Err(error) if is_no_marker(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    match file.take(MAX_BYTES).read_to_string(&mut text) {
        Err(error) if error.kind() != io::ErrorKind::InvalidData => Err(error),
        _ => Ok(parse(&text)),
    }
}

fn is_no_marker(error: &io::Error) -> bool {
    let is_link = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    is_link || error.kind() == io::ErrorKind::NotFound
}

fn parse(text: &str) -> Option<VolumeId> {
    let id = text.lines().find_map(|line| line.strip_prefix(ID_KEY)?.trim().parse().ok());
    id.filter(|id| *id != VolumeId::UNKNOWN)
}

/// Writes the marker. It is complete or absent after a power cut.
fn write(folder: &Path, volume: VolumeId) -> io::Result<()> {
    let unfinished = folder.join(UNFINISHED);
    // A file or link of this name may remain from a power cut.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).open(&unfinished)?;
    write!(file, "{TITLE}\n{ID_KEY}{volume}\n")?;
    file.sync_all()?;
    fs::rename(unfinished, marker(folder))
}

fn marker(folder: &Path) -> PathBuf {
    folder.join(MARKER_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::{cid, description};
    use crate::ledger::Taken;
    use crate::ledger::tests::open;
    use crate::scan::fingerprint;
    use crate::volume::SharedPath;
    use std::collections::BTreeMap;

    struct Folders {
        root: tempfile::TempDir,
        ledger: Ledger,
    }

    impl Folders {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let ledger = open(&root.path().join("records.redb"));
            Self { root, ledger }
        }

        fn make(&self, name: &str) -> PathBuf {
            let folder = self.root.path().join(name);
            fs::create_dir_all(&folder).unwrap();
            folder
        }

        /// Identifies a folder as it is done at a first scan.
        fn identify(&self, folder: &Path) -> io::Result<VolumeId> {
            let volume = identify((folder, folder, FileId::at(folder).unwrap()), None, &self.ledger)?;
            self.ledger.show(folder.to_owned(), Some(volume));
            Ok(volume)
        }

        /// Notes that this robot shares the file at `path` of a volume.
        async fn take(&self, volume: VolumeId, folder: &Path, path: &str) {
            let fingerprint = fingerprint(&fs::metadata(folder.join(path)).unwrap());
            let taken = Taken { fingerprint, cid: cid() };
            let file = (SharedPath::new(volume, path), taken, description(1, path));
            self.ledger.take(vec![file]).await.unwrap();
        }
    }

    #[test]
    fn a_folder_is_recognised_at_another_path_and_its_replacement_is_not() {
        let folders = Folders::new();
        let stick = folders.make("stick");
        let volume = folders.identify(&stick).unwrap();
        fs::rename(&stick, folders.root.path().join("elsewhere")).unwrap();
        let empty = folders.make("stick");
        let other = folders.identify(&empty).unwrap();
        assert_ne!(other, volume);
        assert_eq!(folders.identify(&empty).unwrap(), other);
        assert_eq!(folders.identify(&folders.root.path().join("elsewhere")).unwrap(), volume);
    }

    #[tokio::test]
    async fn a_folder_without_a_marker_is_recognised_by_a_file_in_it() {
        let folders = Folders::new();
        let stick = folders.make("stick");
        fs::write(stick.join("a.bag"), "a log").unwrap();
        let volume = folders.identify(&stick).unwrap();
        folders.take(volume, &stick, "a.bag").await;
        folders.ledger.show(stick.clone(), None);
        fs::remove_file(marker(&stick)).unwrap();
        let other = folders.make("other");
        assert_ne!(folders.identify(&other).unwrap(), volume, "it is empty");
        assert_eq!(folders.identify(&stick).unwrap(), volume);
        assert_eq!(read(&stick).unwrap(), Some(volume), "it is marked again");
    }

    #[tokio::test]
    async fn files_of_an_earlier_version_of_the_daemon_belong_to_the_folder_that_holds_them() {
        let folders = Folders::new();
        let stick = folders.make("stick");
        fs::write(stick.join("a.bag"), "a log").unwrap();
        folders.take(VolumeId::UNKNOWN, &stick, "a.bag").await;
        let volume = folders.identify(&stick).unwrap();
        let taken: Vec<SharedPath> = folders.ledger.taken().into_keys().collect();
        assert_eq!(taken, [SharedPath::new(volume, "a.bag")]);
    }

    #[test]
    fn the_same_folder_stays_the_same_volume_when_its_marker_is_removed() {
        let folders = Folders::new();
        let folder = folders.make("shared");
        let (volume, id) = (folders.identify(&folder).unwrap(), FileId::at(&folder).unwrap());
        fs::remove_file(marker(&folder)).unwrap();
        let again = identify((&folder, &folder, id), Some((id, volume)), &folders.ledger);
        assert_eq!((again.unwrap(), read(&folder).unwrap()), (volume, Some(volume)));
    }

    #[test]
    fn a_copy_of_a_folder_gets_an_id_of_its_own_and_a_second_path_to_a_folder_is_refused() {
        let folders = Folders::new();
        let (one, copy) = (folders.make("one"), folders.make("copy"));
        let volume = folders.identify(&one).unwrap();
        fs::copy(marker(&one), marker(&copy)).unwrap();
        assert_ne!(folders.identify(&copy).unwrap(), volume);
        assert_eq!(folders.identify(&one).unwrap(), volume);
        let link = folders.root.path().join("link");
        std::os::unix::fs::symlink(&one, &link).unwrap();
        let refused = folders.identify(&link).unwrap_err().to_string();
        assert!(refused.contains("the same folder as"), "{refused}");
    }

    #[test]
    fn hostile_and_damaged_markers_are_replaced() {
        let folders = Folders::new();
        let folder = folders.make("shared");
        let secret = folders.root.path().join("secret");
        fs::write(&secret, "id: 0000000000000001\n").unwrap();
        std::os::unix::fs::symlink(&secret, marker(&folder)).unwrap();
        assert_ne!(folders.identify(&folder).unwrap(), VolumeId(1), "the link was followed");
        assert_eq!(fs::read_to_string(&secret).unwrap(), "id: 0000000000000001\n");
        for text in ["", "id: 0000000000000000\n", "id: x", "\u{0}\u{1}", &"x".repeat(9999)] {
            fs::write(marker(&folder), text).unwrap();
            assert_eq!(read(&folder).unwrap(), None, "{text:.20}");
        }
        fs::write(marker(&folder), [0xff; 9]).unwrap();
        let volume = folders.identify(&folder).unwrap();
        assert_eq!(read(&folder).unwrap(), Some(volume));
    }

    #[test]
    fn a_ledger_without_missing_volumes_has_no_files_to_look_for() {
        let folders = Folders::new();
        let none: BTreeMap<VolumeId, Vec<(String, Fingerprint)>> = folders.ledger.files_of_missing_volumes();
        assert!(none.is_empty());
    }
}
