//! What is in the shared folder.

use crate::info::{INFO_NAME, is_file_name};
use crate::left_out::{LeftOut, Reason};
use crate::settle::{Fingerprint, Found};
use rustix::fs::Access;
use service::FileId;
use std::collections::BTreeSet;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Maximum number of folders in the folder above a file that is shared.
pub(crate) const MAX_DEPTH: usize = 8;
/// Maximum number of folders above a file that is counted.
const MAX_COUNTED_DEPTH: usize = 32;
/// Maximum number of files that are shared.
pub(crate) const MAX_FILES: usize = 20_000;
/// A recorder is still writing a file whose name ends with this (rosbag).
const BEING_WRITTEN: &[u8] = b".active";
/// Permission bits with which there is no need to ask the system whether a file can be read.
const READ_FOR_ALL: u32 = 0o444;

/// What a scan found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The files that are shared.
    pub(crate) found: Found,
    /// What is not shared. Hidden files and those that are being recorded are not counted.
    pub(crate) left_out: LeftOut,
}

/// Returns whether files and folders of this name are passed over without a word: hidden ones, and what is being recorded.
pub(crate) fn is_passed_over(name: &[u8]) -> bool {
    name.starts_with(b".") || name.ends_with(BEING_WRITTEN)
}

/// Finds the plain files below `folder`, without those that [`is_passed_over`] and whatever is `private`. Each folder is
/// given to `enter` before it is read.
///
/// # Errors
/// When the folder itself cannot be read.
pub(crate) fn scan(
    folder: &Path,
    private: &BTreeSet<FileId>,
    enter: &mut dyn FnMut(&Path),
) -> io::Result<Scan> {
    let mut scanner = Scanner { private, enter, scan: Scan::default() };
    scanner.scan_folder(folder, "", 0)?;
    Ok(scanner.scan)
}

struct Scanner<'a> {
    private: &'a BTreeSet<FileId>,
    enter: &'a mut dyn FnMut(&Path),
    scan: Scan,
}

impl Scanner<'_> {
    fn scan_folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> io::Result<()> {
        if depth <= MAX_DEPTH {
            (self.enter)(folder);
        }
        let mut entries: Vec<DirEntry> = fs::read_dir(folder)?.filter_map(Result::ok).collect();
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            if is_passed_over(name.as_encoded_bytes()) {
                continue;
            }
            let path = format!("{prefix}{}", name.to_string_lossy());
            if let Err(reason) = self.scan_entry(&entry, name.to_str(), &path, depth) {
                self.scan.left_out.add(reason, &path);
            }
        }
        Ok(())
    }

    /// Takes a file, or what is in a folder; or returns why not.
    fn scan_entry(
        &mut self,
        entry: &DirEntry,
        name: Option<&str>,
        path: &str,
        depth: usize,
    ) -> Result<(), Reason> {
        if self.scan.found.len() >= MAX_FILES {
            return Err(Reason::TooMany);
        }
        // Of a link this is the link's own, so links are neither files nor folders here.
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
        match metadata.file_type() {
            kind if kind.is_symlink() => return Err(Reason::Link),
            kind if !kind.is_file() => return Err(Reason::Special),
            _ if depth > MAX_DEPTH => return Err(Reason::TooDeep),
            _ if name == INFO_NAME => return Err(Reason::Reserved),
            _ if !is_file_name(name) => return Err(Reason::ControlCharacters),
            _ if !is_readable(&metadata, &entry.path()) => return Err(Reason::Unreadable),
            _ => {}
        }
        self.scan.found.insert(path.to_owned(), fingerprint(&metadata));
        Ok(())
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

fn is_readable(metadata: &Metadata, path: &Path) -> bool {
    let is_for_all = metadata.mode() & READ_FOR_ALL == READ_FOR_ALL;
    is_for_all || rustix::fs::access(path, Access::READ_OK).is_ok()
}

/// What shows later that a file was changed.
pub(crate) fn fingerprint(metadata: &Metadata) -> Fingerprint {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified = modified.and_then(|time| u64::try_from(time.as_nanos()).ok()).unwrap_or(0);
    Fingerprint { size: metadata.len(), modified }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    fn scan_all(folder: &Path) -> Scan {
        scan(folder, &BTreeSet::new(), &mut |_| {}).unwrap()
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
        let scan = scan(folder.path(), &BTreeSet::new(), &mut |path| entered.push(path.to_owned())).unwrap();
        assert_eq!(scan.found.keys().collect::<Vec<_>>(), ["a.bag", "run 1/camera/d.bag"]);
        assert_eq!(scan.found["a.bag"].size, 1);
        assert_eq!(entered, [at(""), at("run 1"), at("run 1/camera")]);
        assert_eq!((total(&scan, Reason::Link), total(&scan, Reason::Reserved)), (1, 1));
        let nowhere = super::scan(&at("nowhere"), &BTreeSet::new(), &mut |_| {});
        assert!(nowhere.is_err());
    }

    #[test]
    fn what_is_not_shared_is_counted_with_the_reason() {
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
    fn what_is_private_is_not_shared_whatever_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("data")).unwrap();
        for name in ["identity.key", "data/records.redb", "a.bag"] {
            fs::write(at(name), "x").unwrap();
        }
        fs::hard_link(at("identity.key"), at("harmless.bag")).unwrap();
        let id = |name: &str| FileId::from(&fs::metadata(at(name)).unwrap());
        let private = BTreeSet::from([id("identity.key"), id("data")]);
        let scan = scan(folder.path(), &private, &mut |_| {}).unwrap();
        assert_eq!(scan.found.keys().collect::<Vec<_>>(), ["a.bag"]);
        assert_eq!(total(&scan, Reason::Private), 3);
    }
}
