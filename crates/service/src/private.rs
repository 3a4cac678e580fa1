//! Files and folders of the daemon itself: its identity, records, blocks, configuration, sockets and key files. They
//! are never shared with other peers. They are identified by device and inode, so neither a link nor a mount hides
//! them.

use control::{KeyText, MAX_KEY_FILE_BYTES};
use dcache::{Keypair, PeerId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Depth to which the folders of the daemon are read. It includes the folders that contain the blocks, but not the blocks
/// themselves.
const MAX_DEPTH: usize = 2;
/// Maximum number of entries that are read of one folder. The folders of the daemon have a few hundred.
const MAX_ENTRIES: usize = 4096;

/// Identity of a file or folder: its device and inode, independent of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl From<&Metadata> for FileId {
    fn from(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

impl FileId {
    /// Returns the identity of the file or folder at a path, following links; `None` when it does not exist or cannot
    /// be read.
    pub fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::from(&metadata))
    }
}

/// A file or folder of the daemon itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivatePlace {
    /// Path of the file or folder, which need not exist yet.
    pub path: PathBuf,
    /// Human-readable name, such as `the data folder`.
    pub what: &'static str,
    /// Option by which a user moves it elsewhere, such as `--data-dir`.
    pub option: &'static str,
    /// Whether it may contain a folder that is not private.
    pub may_hold_others: bool,
}

/// All files and folders of the daemon itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrivatePlaces(Vec<PrivatePlace>);

/// Reason why a folder cannot be shared: it overlaps with a file or folder of the daemon itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Folder that cannot be shared.
    pub folder: PathBuf,
    /// File or folder of the daemon that would be shared with it.
    pub place: PrivatePlace,
    /// Whether the folder is inside `place`, and not the other way round.
    pub is_inside: bool,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PrivatePlace { path, what, option, .. } = &self.place;
        let (folder, path) = (self.folder.display(), path.display());
        match self.is_inside {
            true => write!(f, "the shared folder {folder} is inside {path}, {what} of this daemon")?,
            false => {
                write!(
                    f,
                    "{path}, {what} of this daemon, is in the shared folder {folder}, so all peers would get it"
                )?;
            }
        }
        write!(f, "; choose another shared folder with --shared, or put {what} elsewhere with {option}")
    }
}

impl PrivatePlaces {
    /// Creates the list from its places.
    pub fn new(places: Vec<PrivatePlace>) -> Self {
        Self(places)
    }

    /// Returns the first overlap of a folder with a private place. The folder can be the place, contain it, or be
    /// inside it. `None` when the folder can be shared.
    pub fn overlap(&self, folder: &Path) -> Option<Overlap> {
        let id = FileId::at(folder);
        let above = ids_above(folder);
        let overlap = |place: &PrivatePlace| {
            let is_around = id.is_some_and(|id| ids_above(&place.path).contains(&id));
            let is_inside = !is_around
                && !place.may_hold_others
                && FileId::at(&place.path).is_some_and(|place| above.contains(&place));
            let (folder, place) = (folder.to_owned(), place.clone());
            (is_around || is_inside).then_some(Overlap { folder, place, is_inside })
        };
        self.0.iter().find_map(overlap)
    }

    /// Returns the identities of all places and of the files and folders in them, as they are now. The folder `except`
    /// and its content are left out.
    pub fn ids(&self, except: Option<FileId>) -> BTreeSet<FileId> {
        // Each file or folder that was read, with the number of levels below it that were read. A place inside another
        // one is read twice if the first reading did not go deep enough.
        let mut seen = BTreeMap::new();
        for place in &self.0 {
            add(&mut seen, &place.path, except, MAX_DEPTH);
        }
        seen.into_keys().collect()
    }
}

fn add(seen: &mut BTreeMap<FileId, usize>, path: &Path, except: Option<FileId>, depth: usize) {
    let Ok(metadata) = fs::metadata(path) else { return };
    let id = FileId::from(&metadata);
    if except == Some(id) || seen.get(&id).is_some_and(|before| *before >= depth) {
        return;
    }
    seen.insert(id, depth);
    if metadata.is_dir() && depth > 0 {
        for entry in fs::read_dir(path).into_iter().flatten().flatten().take(MAX_ENTRIES) {
            add(seen, &entry.path(), except, depth - 1);
        }
    }
}

/// Returns whether a file holds a secret key: the key of `me`, or a key file of a user. The owner of such a key can
/// sign as this node or as the user. A file that cannot be read counts as holding no key.
pub fn holds_key(path: &Path, me: PeerId) -> bool {
    let is_small = |metadata: Metadata| metadata.is_file() && metadata.len() <= MAX_KEY_FILE_BYTES as u64;
    if !fs::metadata(path).is_ok_and(is_small) {
        return false;
    }
    let content = fs::read(path).unwrap_or_default();
    let is_identity =
        <[u8; 32]>::try_from(content.as_slice()).is_ok_and(|seed| Keypair::from_seed(seed).peer_id() == me);
    is_identity || std::str::from_utf8(&content).is_ok_and(|text| KeyText::parse(text).is_ok())
}

/// Returns the identities of the file or folder at a path and of all folders above it. If the path does not exist,
/// starts at the nearest existing folder above it.
fn ids_above(path: &Path) -> BTreeSet<FileId> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let real = path.ancestors().find_map(|path| path.canonicalize().ok());
    real.iter().flat_map(|real| real.ancestors()).filter_map(FileId::at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &Path, option: &'static str, may_hold_others: bool) -> PrivatePlace {
        PrivatePlace { path: path.to_owned(), what: "the data folder", option, may_hold_others }
    }

    #[test]
    fn a_folder_that_overlaps_with_a_private_place_is_refused_under_any_path() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("logs/data/blocks")).unwrap();
        fs::create_dir_all(at("other")).unwrap();
        std::os::unix::fs::symlink(at("logs"), at("link")).unwrap();
        let places = PrivatePlaces::new(vec![
            place(&at("logs/data"), "--data-dir", true),
            place(&at("logs/data/blocks"), "--ipfs-dir", false),
        ]);
        for folder in ["logs", "link", "logs/data", ""] {
            let overlap = places.overlap(&at(folder)).unwrap();
            assert!(!overlap.is_inside);
            let shown = overlap.to_string();
            assert!(shown.contains("--data-dir") && shown.contains("--shared"), "{shown}");
        }
        fs::create_dir(at("logs/data/blocks/shared")).unwrap();
        assert!(places.overlap(&at("logs/data/blocks/shared")).unwrap().is_inside);
        fs::create_dir(at("logs/data/shared")).unwrap();
        for fit in ["other", "logs/data/shared", "nowhere"] {
            assert_eq!(places.overlap(&at(fit)), None, "{fit}");
        }
        let later = PrivatePlaces::new(vec![place(&at("other/not/yet"), "--socket", false)]);
        assert!(later.overlap(&at("other")).is_some());
    }

    #[test]
    fn copies_of_keys_are_detected_by_their_content() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let me = Keypair::from_seed([7; 32]).peer_id();
        fs::write(at("identity.bag"), [7; 32]).unwrap();
        fs::write(at("32 bytes.bag"), [8; 32]).unwrap();
        control::KeyFile::make(&at("admin.key")).unwrap();
        fs::copy(at("admin.key"), at("notes.txt")).unwrap();
        let holds = |name: &str| holds_key(&at(name), me);
        assert!(holds("identity.bag") && holds("admin.key") && holds("notes.txt"));
        assert!(!holds("32 bytes.bag") && !holds("") && !holds("nowhere"));
    }

    #[test]
    fn all_content_of_private_folders_is_private_except_one_folder() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("data/ipfs/blocks/ab")).unwrap();
        fs::create_dir_all(at("data/shared")).unwrap();
        for name in ["data/identity.key", "data/shared/a.bag", "b.bag"] {
            fs::write(at(name), "x").unwrap();
        }
        let places = PrivatePlaces::new(vec![
            place(&at("data"), "--data-dir", true),
            place(&at("data/ipfs"), "--ipfs-dir", false),
        ]);
        let ids = places.ids(FileId::at(&at("data/shared")));
        let is_private = |name: &str| ids.contains(&FileId::at(&at(name)).unwrap());
        for private in ["data", "data/identity.key", "data/ipfs", "data/ipfs/blocks", "data/ipfs/blocks/ab"] {
            assert!(is_private(private), "{private}");
        }
        for fit in ["data/shared", "data/shared/a.bag", "b.bag", ""] {
            assert!(!is_private(fit), "{fit}");
        }
    }
}
