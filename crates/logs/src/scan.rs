//! Scans the shared folder for files to share, and for folders of ROS 2 that are shared as one log each.

mod recorded;

use crate::info::{INFO_NAME, is_file_name};
use crate::left_out::{LeftOut, Reason};
use crate::select::Selection;
use crate::settle::{Fingerprint, Found};
use dcache::Digest;
pub(crate) use recorded::RecordedFolders;
use rustix::fs::Access;
use service::FileId;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Maximum number of subfolders on the path of a shared file.
pub(crate) const MAX_DEPTH: usize = 8;
/// Maximum number of subfolders on the path of a file that the scan counts as too deep. Deeper folders are not read.
const MAX_COUNTED_DEPTH: usize = 32;
/// Maximum number of shared files.
pub(crate) const MAX_FILES: usize = 20_000;
/// Suffix of files that a recorder (rosbag) is still writing.
const BEING_WRITTEN: &[u8] = b".active";
/// Permission bits that make a file readable for all users. With them, no system call is needed to know that it is
/// readable.
const READ_FOR_ALL: u32 = 0o444;

/// The result of a scan.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The files and folders that may be shared as logs.
    pub(crate) found: Found,
    /// The folders that ROS 2 recorded.
    pub(crate) folders: RecordedFolders,
    /// The files and folders that are not shared. Hidden files and those that are being recorded are not counted.
    pub(crate) left_out: LeftOut,
    /// The known files that may exist although the scan did not find them.
    pub(crate) unseen: Unseen,
}

/// Paths of the files that were in the folder at an earlier scan.
pub(crate) type Known = BTreeSet<String>;

/// Paths of known files, and of folders with known files, that could not be read. The empty path is the shared folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unseen(pub(crate) BTreeSet<String>);

impl Unseen {
    /// Returns whether a file may exist in the folder although it was not found.
    pub(crate) fn covers(&self, path: &str) -> bool {
        let mut above = path.match_indices('/').map(|(at, _)| &path[..at]);
        !self.0.is_empty()
            && (["", path].iter().any(|path| self.0.contains(*path))
                || above.any(|path| self.0.contains(path)))
    }
}

/// Returns whether files and folders of this name are skipped silently: hidden ones, and files that are being recorded.
pub(crate) fn is_passed_over(name: &[u8]) -> bool {
    name.starts_with(b".") || name.ends_with(BEING_WRITTEN)
}

/// Finds the plain files below `folder` that `selection` takes, except those that [`is_passed_over`] and those in
/// `private`. Finished folders of ROS 2 are found instead of their files. Calls `enter` with each folder before it is read. When there are too many files, the `known` files take
/// precedence.
///
/// # Errors
/// When the folder itself cannot be read.
pub(crate) fn scan(
    folder: &Path,
    (private, selection): (&BTreeSet<FileId>, &Selection),
    known: &Known,
    enter: &mut dyn FnMut(&Path),
) -> io::Result<Scan> {
    scan_at_most(MAX_FILES, folder, (private, selection), known, enter)
}

fn scan_at_most(
    most: usize,
    folder: &Path,
    (private, selection): (&BTreeSet<FileId>, &Selection),
    known: &Known,
    enter: &mut dyn FnMut(&Path),
) -> io::Result<Scan> {
    let mut scanner =
        Scanner { most, private, selection, known, enter, new: Vec::new(), scan: Scan::default() };
    scanner.scan_folder(folder, "", 0)?;
    Ok(scanner.finish())
}

struct Scanner<'a> {
    most: usize,
    private: &'a BTreeSet<FileId>,
    selection: &'a Selection,
    known: &'a Known,
    enter: &'a mut dyn FnMut(&Path),
    /// Files that are not in `known`, in the order in which they were found.
    new: Vec<(String, Fingerprint)>,
    scan: Scan,
}

impl Scanner<'_> {
    /// Adds new files to the known ones, up to the maximum number.
    fn finish(self) -> Scan {
        let Self { most, known, new, mut scan, .. } = self;
        let is_unseen = |path: &&String| !scan.found.contains_key(*path) && scan.unseen.covers(path);
        let unseen = if scan.unseen.0.is_empty() { 0 } else { known.iter().filter(is_unseen).count() };
        let room = most.saturating_sub(scan.found.len() + unseen);
        for (at, (path, fingerprint)) in new.into_iter().enumerate() {
            if at < room {
                scan.found.insert(path, fingerprint);
            } else {
                scan.left_out.add(Reason::TooMany, &path);
            }
        }
        scan
    }

    /// Returns whether a path is that of a known file, or of a folder with known files.
    fn is_known(&self, path: &str) -> bool {
        let below = format!("{path}/");
        let is_below = |known: &String| known.starts_with(&below);
        self.known.contains(path) || self.known.range(below.clone()..).next().is_some_and(is_below)
    }

    fn leave_out(&mut self, reason: Reason, path: &str) {
        self.scan.left_out.add(reason, path);
        if reason == Reason::Unreadable && self.is_known(path) {
            self.scan.unseen.0.insert(path.to_owned());
        }
    }

    fn scan_folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> io::Result<()> {
        if depth <= MAX_DEPTH {
            (self.enter)(folder);
        }
        let (entries, unread): (Vec<_>, Vec<_>) = fs::read_dir(folder)?.partition(Result::is_ok);
        if !unread.is_empty() {
            self.scan.unseen.0.insert(prefix.trim_end_matches('/').to_owned());
        }
        let mut entries: Vec<DirEntry> = entries.into_iter().filter_map(Result::ok).collect();
        entries.sort_by_key(DirEntry::file_name);
        let members = self.scan_recording(&entries, prefix, depth);
        for entry in entries {
            let name = entry.file_name();
            let is_member = || name.to_str().is_some_and(|name| members.contains(name));
            if is_passed_over(name.as_encoded_bytes()) || is_member() && !is_folder(&entry) {
                continue;
            }
            let path = format!("{prefix}{}", name.to_string_lossy());
            if let Err(reason) = self.scan_entry(&entry, name.to_str(), &path, depth) {
                self.leave_out(reason, &path);
            }
        }
        Ok(())
    }

    /// Adds a file, or the files of a folder. Returns the reason if the file or folder is not shared.
    fn scan_entry(
        &mut self,
        entry: &DirEntry,
        name: Option<&str>,
        path: &str,
        depth: usize,
    ) -> Result<(), Reason> {
        if self.new.len() >= self.most && !self.is_known(path) {
            return Err(Reason::TooMany);
        }
        // This is the metadata of a link itself, not of its target. So links are neither files nor folders here.
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(_) => return Err(Reason::Unreadable),
        };
        if self.private.contains(&FileId::from(&metadata)) {
            return Err(Reason::Private);
        }
        let name = name.ok_or(Reason::NotUtf8)?;
        if metadata.is_dir() {
            return self.scan_below(entry, path, depth);
        }
        let fingerprint = self.check_file(entry, &metadata, (name, path), depth)?;
        if self.known.contains(path) {
            self.scan.found.insert(path.to_owned(), fingerprint);
        } else if self.new.len() < self.most {
            self.new.push((path.to_owned(), fingerprint));
        } else {
            return Err(Reason::TooMany);
        }
        Ok(())
    }

    /// Returns the fingerprint of a file, or the reason if the file is not shared.
    fn check_file(
        &self,
        entry: &DirEntry,
        metadata: &Metadata,
        (name, path): (&str, &str),
        depth: usize,
    ) -> Result<Fingerprint, Reason> {
        match metadata.file_type() {
            _ if self.private.contains(&FileId::from(metadata)) => Err(Reason::Private),
            kind if kind.is_symlink() => Err(Reason::Link),
            kind if !kind.is_file() => Err(Reason::Special),
            _ if depth > MAX_DEPTH => Err(Reason::TooDeep),
            _ if name == INFO_NAME => Err(Reason::Reserved),
            _ if !is_file_name(name) => Err(Reason::ControlCharacters),
            _ if !self.selection.takes(path) => Err(Reason::Excluded),
            _ if !is_readable(metadata, &entry.path()) => Err(Reason::Unreadable),
            _ => Ok(fingerprint(metadata)),
        }
    }

    fn scan_below(&mut self, entry: &DirEntry, path: &str, depth: usize) -> Result<(), Reason> {
        if depth >= MAX_COUNTED_DEPTH {
            return Err(Reason::TooDeep);
        }
        match self.scan_folder(&entry.path(), &format!("{path}/"), depth + 1) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Reason::Unreadable),
            _ => Ok(()),
        }
    }
}

/// Returns the fingerprint of a folder that is one log, from the fingerprints of its files by name. The time of the inode
/// change stands for the names and all properties of the files.
pub(crate) fn folder_fingerprint(members: &BTreeMap<String, Fingerprint>) -> Fingerprint {
    let mut text = String::new();
    for (name, Fingerprint { size, modified, inode_changed }) in members {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{size} {modified} {} {name}", inode_changed.unwrap_or_default());
    }
    let digest = Digest::of(text.as_bytes());
    let changed = digest.as_bytes().iter().take(8).fold(0, |word, byte| word << 8 | u64::from(*byte));
    Fingerprint {
        size: members.values().fold(0, |sum, member| sum.saturating_add(member.size)),
        modified: members.values().map(|member| member.modified).max().unwrap_or_default(),
        inode_changed: Some(changed),
    }
}

fn is_folder(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir())
}

fn is_readable(metadata: &Metadata, path: &Path) -> bool {
    let is_for_all = metadata.mode() & READ_FOR_ALL == READ_FOR_ALL;
    is_for_all || rustix::fs::access(path, Access::READ_OK).is_ok()
}

/// Returns the fingerprint by which a later change of the file is detected.
pub(crate) fn fingerprint(metadata: &Metadata) -> Fingerprint {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified = modified.and_then(|time| u64::try_from(time.as_nanos()).ok()).unwrap_or(0);
    let inode_changed = i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
    Fingerprint { size: metadata.len(), modified, inode_changed: u64::try_from(inode_changed).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    fn scan_all(folder: &Path) -> Scan {
        scan(folder, (&BTreeSet::new(), &Selection::default()), &Known::new(), &mut |_| {}).unwrap()
    }

    fn total(scan: &Scan, reason: Reason) -> usize {
        scan.left_out.0.get(&reason).map_or(0, |row| row.total)
    }

    #[test]
    fn finds_plain_files_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("run 1/camera")).unwrap();
        fs::create_dir(at(".cache")).unwrap();
        for name in
            ["a.bag", "b.bag.active", ".hidden", ".cache/c", "run 1/camera/d.bag", "upload_info1.yaml"]
        {
            fs::write(at(name), "x").unwrap();
        }
        std::os::unix::fs::symlink(at("a.bag"), at("link.bag")).unwrap();
        let mut entered = Vec::new();
        let enter = &mut |path: &Path| entered.push(path.to_owned());
        let scan =
            scan(folder.path(), (&BTreeSet::new(), &Selection::default()), &Known::new(), enter).unwrap();
        assert_eq!(scan.found.keys().collect::<Vec<_>>(), ["a.bag", "run 1/camera/d.bag"]);
        assert_eq!(scan.found["a.bag"].size, 1);
        assert_eq!(entered, [at(""), at("run 1"), at("run 1/camera")]);
        assert_eq!((total(&scan, Reason::Link), total(&scan, Reason::Reserved)), (1, 1));
        let nowhere = super::scan(
            &at("nowhere"),
            (&BTreeSet::new(), &Selection::default()),
            &Known::new(),
            &mut |_| {},
        );
        assert!(nowhere.is_err());
    }

    #[test]
    fn files_that_are_not_shared_are_counted_by_reason() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (mut deep, mut deeper) = (folder.path().to_owned(), folder.path().to_owned());
        for depth in 0..MAX_DEPTH + 2 {
            deeper.push(format!("d{depth}"));
            if depth < MAX_DEPTH {
                deep.push(format!("d{depth}"));
            }
        }
        fs::create_dir_all(&deeper).unwrap();
        for path in [deep.join("deep enough"), deeper.join("one"), deeper.join("two"), at("tab\t"), at("a")] {
            fs::write(path, "x").unwrap();
        }
        fs::write(folder.path().join(OsStr::from_bytes(b"\xff.bag")), "x").unwrap();
        let scan = scan_all(folder.path());
        let of = |reason| total(&scan, reason);
        assert_eq!((of(Reason::TooDeep), of(Reason::ControlCharacters), of(Reason::NotUtf8)), (2, 1, 1));
        assert_eq!(scan.found.len(), 2, "{:?}", scan.found);
        assert_eq!(scan.left_out.0[&Reason::NotUtf8].examples, ["\u{fffd}.bag"]);
    }

    #[test]
    fn known_files_take_precedence_when_there_are_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("zz/run")).unwrap();
        for name in ["a", "b", "c", "d", "e", "z-large.bag", "zz/run/z.bag", "zz/run/new"] {
            fs::write(at(name), "x").unwrap();
        }
        let scan = |known: &[&str]| {
            let known: Known = known.iter().map(|path| (*path).to_owned()).collect();
            let scan = scan_at_most(
                4,
                folder.path(),
                (&BTreeSet::new(), &Selection::default()),
                &known,
                &mut |_| {},
            )
            .unwrap();
            (scan.found.keys().cloned().collect::<Vec<_>>().join(" "), total(&scan, Reason::TooMany))
        };
        assert_eq!(scan(&[]), ("a b c d".to_owned(), 3));
        assert_eq!(scan(&["z-large.bag", "zz/run/z.bag"]), ("a b z-large.bag zz/run/z.bag".to_owned(), 4));
        assert_eq!(scan(&["a", "gone", "zz/gone"]), ("a b c d".to_owned(), 3), "missing files do not count");
        let known = ["a", "b", "c", "d", "z-large.bag"];
        assert_eq!(
            scan(&known),
            ("a b c d z-large.bag".to_owned(), 3),
            "known files stay even above the maximum"
        );
    }

    #[test]
    fn known_files_that_cannot_be_read_are_unseen() {
        let folder = tempfile::tempdir().unwrap();
        let known: Known = ["a", "run/1/b", "run/2/c"].map(str::to_owned).into();
        let mut scanner = Scanner {
            most: 2,
            private: &BTreeSet::new(),
            selection: &Selection::default(),
            known: &known,
            enter: &mut |_| {},
            new: vec![("d".to_owned(), looks()), ("e".to_owned(), looks())],
            scan: Scan::default(),
        };
        scanner.scan_folder(folder.path(), "", 0).unwrap();
        scanner.leave_out(Reason::Unreadable, "run/1");
        scanner.leave_out(Reason::Unreadable, "run/3");
        scanner.leave_out(Reason::Link, "a");
        let scan = scanner.finish();
        assert_eq!(scan.unseen, Unseen(BTreeSet::from(["run/1".to_owned()])));
        assert_eq!(scan.found.into_keys().collect::<Vec<_>>(), ["d"], "the unseen file keeps the other slot");
    }

    fn looks() -> Fingerprint {
        Fingerprint { size: 1, modified: 1, inode_changed: None }
    }

    #[test]
    fn a_file_that_replaces_one_of_the_same_size_and_time_has_another_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("a"), folder.path().join("b"));
        let look = || fingerprint(&fs::metadata(&file).unwrap());
        fs::write(&file, "x").unwrap();
        let before = look();
        let time = fs::metadata(&file).unwrap().modified().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        // The clock of the file system ticks only every few milliseconds.
        loop {
            fs::write(&other, "y").unwrap();
            fs::File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
            fs::rename(&other, &file).unwrap();
            let now = look();
            assert_eq!((now.size, now.modified), (before.size, before.modified));
            if !before.is_like(&now) {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "the fingerprint stays the same");
        }
    }

    #[test]
    fn private_files_are_not_shared_under_any_path() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("data")).unwrap();
        for name in ["identity.key", "data/records.redb", "a.bag"] {
            fs::write(at(name), "x").unwrap();
        }
        fs::hard_link(at("identity.key"), at("harmless.bag")).unwrap();
        let id = |name: &str| FileId::from(&fs::metadata(at(name)).unwrap());
        let private = BTreeSet::from([id("identity.key"), id("data")]);
        let scan =
            scan(folder.path(), (&private, &Selection::default()), &Known::new(), &mut |_| {}).unwrap();
        assert_eq!(scan.found.keys().collect::<Vec<_>>(), ["a.bag"]);
        assert_eq!(total(&scan, Reason::Private), 3);
    }
}
