//! Finds files that a process holds open for writing, as far as the daemon has permission to see this.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Minimum time between two checks of the open files of all processes.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// Minimum time between two checks, as a multiple of the duration of the last check. Checks thus take at most about 5 %
/// of the time of one core.
const IDLE_SHARE: u32 = 20;
/// Maximum value of that minimum time. On a computer that is busy, a check takes long without using the core. A file that
/// was closed must not wait for that.
const LONGEST_IDLE: Duration = Duration::from_secs(4);
/// Maximum time after which open files are checked again. Usually inotify reports earlier that a writer closed the file.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Mask of the open flags `O_WRONLY` and `O_RDWR`. One of them is set when a file is open for writing.
const WRITING: u32 = 0o3;

/// Path of the file system `proc`, which lists processes.
pub(crate) const PROCESSES: &str = "/proc";

/// Schedule for the checks of open files. It is pure: the caller passes the time.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    next: Duration,
    /// Time at which each file was first found open, by path.
    open: BTreeMap<String, Duration>,
}

impl Pace {
    /// Returns the time at which the open files may be checked again.
    pub(crate) fn next(&self) -> Duration {
        self.next
    }

    /// Notes the files that a check found open at `elapsed`, and the duration of the check. Returns the time of the
    /// next check. The longer a file stays open, the more rarely it is checked.
    pub(crate) fn note(&mut self, open: Vec<String>, elapsed: Duration, took: Duration) -> Option<Duration> {
        self.next = elapsed + (took * IDLE_SHARE).clamp(SHORTEST_WAIT, LONGEST_IDLE);
        let since = |path: String| {
            let since = self.open.get(&path).copied().unwrap_or(elapsed);
            (path, since)
        };
        self.open = open.into_iter().map(since).collect();
        let again =
            |since: &Duration| elapsed + elapsed.saturating_sub(*since).clamp(SHORTEST_WAIT, LONGEST_WAIT);
        self.open.values().map(again).min().map(|at| at.max(self.next))
    }

    /// Notes that there is no file to check.
    pub(crate) fn note_none(&mut self) {
        self.open.clear();
    }

    /// Returns the number of files that were open at the last check.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }
}

/// Returns the files of `files` that a process holds open for writing. `processes` is `/proc`. Processes without access
/// permission and unreadable files are skipped.
pub(crate) fn open_for_writing(processes: &Path, files: &[(String, PathBuf)]) -> Vec<String> {
    let sought = Sought::new(files);
    let mut open = BTreeSet::new();
    for process in entries(processes) {
        for descriptor in entries(&process.join("fd")) {
            // The name is compared first: this is cheaper, and does not hang on a file system that does not respond.
            let link = fs::read_link(&descriptor).unwrap_or_default();
            if sought.may_be(&link) && sought.is_writing(&process, &descriptor, &link) {
                let identity = fs::metadata(&descriptor).ok().map(|metadata| identity(&metadata));
                let paths = identity.and_then(|identity| sought.paths.get(&identity));
                open.extend(paths.into_iter().flatten().map(|path| (*path).clone()));
            }
        }
    }
    open.into_iter().collect()
}

/// The files to look for among the open files.
struct Sought<'a> {
    /// Paths by device and inode. A file with several hard links has several paths.
    paths: BTreeMap<(u64, u64), Vec<&'a String>>,
    names: BTreeSet<&'a OsStr>,
    inodes: BTreeSet<u64>,
    /// Whether one of the files has several hard links, so that it may be open under another name.
    are_linked: bool,
}

impl<'a> Sought<'a> {
    fn new(files: &'a [(String, PathBuf)]) -> Self {
        let (paths, names, inodes) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        let mut sought = Self { paths, names, inodes, are_linked: false };
        for (path, file) in files {
            if let (Ok(metadata), Some(name)) = (fs::metadata(file), file.file_name()) {
                sought.paths.entry(identity(&metadata)).or_default().push(path);
                sought.names.insert(name);
                sought.inodes.insert(metadata.ino());
                sought.are_linked |= metadata.nlink() > 1;
            }
        }
        sought
    }

    /// Returns whether an open file can be one of them, by its name. A file whose name was removed may have another
    /// name.
    fn may_be(&self, link: &Path) -> bool {
        link.is_absolute() && (self.are_linked || self.has_name(link) || is_removed(link))
    }

    fn has_name(&self, link: &Path) -> bool {
        link.file_name().is_some_and(|name| self.names.contains(name))
    }

    /// Returns whether a descriptor is open for writing and may be one of these files. It only reads `fdinfo`, so it
    /// does not access the file system of the file. `fdinfo` has a line such as `flags: 0100001`, in octal digits, and
    /// since Linux 5.14 one such as `ino: 123`.
    fn is_writing(&self, process: &Path, descriptor: &Path, link: &Path) -> bool {
        let number = descriptor.file_name().unwrap_or_default();
        let info = fs::read_to_string(process.join("fdinfo").join(number)).unwrap_or_default();
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let flags = field("flags:").and_then(|flags| u32::from_str_radix(flags, 8).ok());
        let inode = field("ino:").and_then(|inode| inode.parse::<u64>().ok());
        let is_sought = || self.has_name(link) || inode.is_none_or(|inode| self.inodes.contains(&inode));
        flags.is_some_and(|flags| flags & WRITING != 0) && is_sought()
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Returns whether the name under which a file was opened was removed.
fn is_removed(link: &Path) -> bool {
    link.as_os_str().as_encoded_bytes().ends_with(b" (deleted)")
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).ok().into_iter().flatten().filter_map(Result::ok);
    let is_number =
        |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
    entries.filter(is_number).map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn files_that_are_open_for_writing_are_found_and_those_for_reading_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<(String, PathBuf)> =
            ["a", "b", "c"].map(|name| (name.to_owned(), folder.path().join(name))).into();
        for (_, file) in &files {
            fs::write(file, "x").unwrap();
        }
        let open = || open_for_writing(Path::new(PROCESSES), &files);
        assert!(open().is_empty());
        let writer = fs::File::options().append(true).open(&files[0].1).unwrap();
        let reader = fs::File::open(&files[1].1).unwrap();
        let both = fs::File::options().read(true).write(true).open(&files[2].1).unwrap();
        assert_eq!(open(), ["a", "c"]);
        drop((writer, both));
        assert!(open().is_empty());
        drop(reader);
        assert!(open_for_writing(&folder.path().join("nowhere"), &files).is_empty());
    }

    #[test]
    fn a_file_that_is_written_under_another_name_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let files: Vec<(String, PathBuf)> =
            ["rec.bag", "rec.part"].map(|name| (name.to_owned(), at(name))).into();
        let writer = fs::File::create(at("elsewhere")).unwrap();
        for (_, file) in &files {
            fs::hard_link(at("elsewhere"), file).unwrap();
        }
        let open = || open_for_writing(Path::new(PROCESSES), &files);
        assert_eq!(open(), ["rec.bag", "rec.part"]);
        fs::remove_file(at("elsewhere")).unwrap();
        fs::remove_file(at("rec.part")).unwrap();
        assert_eq!(open(), ["rec.bag"], "its first name was removed");
        drop(writer);
        assert!(open().is_empty());
    }

    #[test]
    fn files_that_stay_open_are_checked_more_rarely_and_slow_checks_are_rarer() {
        let mut pace = Pace::default();
        assert_eq!(pace.next(), Duration::ZERO);
        let open = || vec!["a".to_owned()];
        assert_eq!(pace.note(open(), SECOND, Duration::ZERO), Some(SECOND * 2));
        assert_eq!((pace.next(), pace.open()), (SECOND * 2, 1));
        assert_eq!(pace.note(open(), SECOND * 11, Duration::ZERO), Some(SECOND * 21));
        assert_eq!(pace.note(open(), SECOND * 101, Duration::ZERO), Some(SECOND * 131));
        assert_eq!(pace.note(open(), SECOND * 200, SECOND), Some(SECOND * 230));
        assert_eq!(pace.next(), SECOND * 204, "a slow check delays the next one by four seconds only");
        pace.note_none();
        assert_eq!((pace.next(), pace.open()), (SECOND * 204, 0));
        assert_eq!(pace.note(open(), SECOND * 300, SECOND / 10), Some(SECOND * 302));
    }
}
