//! Files and folders of the daemon itself, which are never given to others: its identity, records, blocks, configuration,
//! sockets and key files. They are known by device and inode, so neither a link nor a mount hides them.

use control::{KeyText, MAX_KEY_FILE_BYTES};
use dcache::{Keypair, PeerId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Depth to which the daemon's folders are looked into: the folders of blocks, but not the single blocks.
const MAX_DEPTH: usize = 2;
/// Maximum number of entries of one folder that are looked at. The daemon's own folders have a few hundred.
const MAX_ENTRIES: usize = 4096;

/// What a file or folder is, whatever its path: its device and inode.
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
    /// Returns what lies at a path, links followed; `None` when nothing does, or it cannot be told.
    pub fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::from(&metadata))
    }
}

/// A file or folder of the daemon itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivatePlace {
    /// Its path. It need not exist yet.
    pub path: PathBuf,
    /// What it is, such as `the data folder`.
    pub what: &'static str,
    /// How a person puts it elsewhere, such as `--data-dir`.
    pub option: &'static str,
    /// Whether a folder that is not private may lie in it.
    pub may_hold_others: bool,
}

/// All files and folders of the daemon itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrivatePlaces(Vec<PrivatePlace>);

/// A folder that cannot be shared, since something of the daemon itself would be shared with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The folder.
    pub folder: PathBuf,
    /// What would be shared with it.
    pub place: PrivatePlace,
    /// Whether the folder lies in that place, and not the other way round.
    pub is_inside: bool,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PrivatePlace { path, what, option, .. } = &self.place;
        let (folder, path) = (self.folder.display(), path.display());
        match self.is_inside {
            true => write!(f, "the shared folder {folder} lies in {path}, {what} of this daemon")?,
            false => {
                write!(
                    f,
                    "{path}, {what} of this daemon, lies in the shared folder {folder}: all would get it"
                )?;
            }
        }
        write!(f, "; choose another shared folder with --shared, or put {what} elsewhere with {option}")
    }
}

impl PrivatePlaces {
    /// Makes the list.
    pub fn new(places: Vec<PrivatePlace>) -> Self {
        Self(places)
    }

    /// Returns why a folder cannot be shared, if it cannot: something private is it, lies in it, or is around it.
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

    /// Returns what is private now: each place, and what lies in those that are folders, but nothing in `except`.
    pub fn ids(&self, except: Option<FileId>) -> BTreeSet<FileId> {
        // How deep each was looked into: a place may lie in another one.
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

/// Returns whether a file holds a key that makes whoever has it speak in the name of `me` or of a person: a copy of the
/// identity or of a key file. A file that cannot be read holds none.
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

/// Returns what lies at a path and above it. Of a path where nothing lies yet, the part that is there counts.
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
    fn a_folder_around_or_in_a_private_place_is_refused_by_any_path() {
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
    fn copies_of_keys_are_known_by_their_content() {
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
    fn what_lies_in_private_folders_is_private_but_for_one_folder() {
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
