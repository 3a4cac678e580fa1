//! Which files somebody holds open for writing, as far as this process may see that.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Minimum time between two looks at the open files of all processes.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// A look waits for this many times as long as the one before took.
const IDLE_SHARE: u32 = 20;
/// Maximum time after which files that were open are looked at again. That a writer closes one is usually reported earlier.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The flags of an open file by which it is written: `O_WRONLY` and `O_RDWR`.
const WRITING: u32 = 0o3;

/// Where the system shows processes.
pub(crate) const PROCESSES: &str = "/proc";

/// When open files are looked at. Pure: it is told the time.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    next: Duration,
    /// How long files have been found open, by path.
    open: BTreeMap<String, Duration>,
}

impl Pace {
    /// Returns when the open files may be looked at.
    pub(crate) fn next(&self) -> Duration {
        self.next
    }

    /// Notes which of the files that were looked at are open at `elapsed`, and how long the look took. Returns when to look
    /// again for them; a file that stays open is looked at ever more rarely.
    pub(crate) fn note(&mut self, open: Vec<String>, elapsed: Duration, took: Duration) -> Option<Duration> {
        self.next = elapsed + SHORTEST_WAIT.max(took * IDLE_SHARE);
        let since = |path: String| {
            let since = self.open.get(&path).copied().unwrap_or(elapsed);
            (path, since)
        };
        self.open = open.into_iter().map(since).collect();
        let again =
            |since: &Duration| elapsed + elapsed.saturating_sub(*since).clamp(SHORTEST_WAIT, LONGEST_WAIT);
        self.open.values().map(again).min().map(|at| at.max(self.next))
    }

    /// Notes that there is no file to look at.
    pub(crate) fn note_none(&mut self) {
        self.open.clear();
    }

    /// Returns the number of files that were open at the last look.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }
}

/// Returns those of these files that some process holds open for writing. `processes` is `/proc`. Processes that may not be
/// looked into, and files that cannot be read, are passed over.
pub(crate) fn open_for_writing(processes: &Path, files: &[(String, PathBuf)]) -> Vec<String> {
    let sought = Sought::new(files);
    let mut open = BTreeSet::new();
    for process in entries(processes) {
        for descriptor in entries(&process.join("fd")) {
            // The name is compared first: it costs less, and a file system that does not answer is not asked.
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

/// The files that are looked for.
struct Sought<'a> {
    /// Their paths by device and inode: a file with several names has several.
    paths: BTreeMap<(u64, u64), Vec<&'a String>>,
    names: BTreeSet<&'a OsStr>,
    inodes: BTreeSet<u64>,
    /// Whether one of them has another name, by which it may be open.
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

    /// Returns whether an open file can be one of them, by its name. A name that was removed since may stand for another.
    fn may_be(&self, link: &Path) -> bool {
        link.is_absolute() && (self.are_linked || self.has_name(link) || is_removed(link))
    }

    fn has_name(&self, link: &Path) -> bool {
        link.file_name().is_some_and(|name| self.names.contains(name))
    }

    /// Returns whether a descriptor writes, and may be one of these files as far as that is seen without asking the file
    /// system. `fdinfo` has a line such as `flags: 0100001`, in octal digits, and since Linux 5.14 one such as `ino: 123`.
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

/// Returns whether the name by which a file was opened was removed.
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
    fn finds_files_that_are_written_and_not_those_that_are_read() {
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
    fn finds_a_file_that_is_written_by_another_of_its_names() {
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
    fn a_file_that_stays_open_is_looked_at_ever_more_rarely_and_a_slow_look_less_often() {
        let mut pace = Pace::default();
        assert_eq!(pace.next(), Duration::ZERO);
        let open = || vec!["a".to_owned()];
        assert_eq!(pace.note(open(), SECOND, Duration::ZERO), Some(SECOND * 2));
        assert_eq!((pace.next(), pace.open()), (SECOND * 2, 1));
        assert_eq!(pace.note(open(), SECOND * 11, Duration::ZERO), Some(SECOND * 21));
        assert_eq!(pace.note(open(), SECOND * 101, Duration::ZERO), Some(SECOND * 131));
        assert_eq!(pace.note(open(), SECOND * 200, SECOND), Some(SECOND * 230));
        assert_eq!(pace.next(), SECOND * 220);
        pace.note_none();
        assert_eq!((pace.next(), pace.open()), (SECOND * 220, 0));
    }
}
