//! Watches a path: the folder at the path, its subfolders, and everything that may put another folder at the path.
//!
//! An inotify watch belongs to a folder, not to a path. So each scan sets the watches again on the folders that it
//! finds at the path, which is cheap for existing watches. Then it removes the watches that it did not set. When
//! another folder takes the place of the shared one, three sources report it: the folder itself (moved, removed,
//! unmounted), the folders above it, and the list of mounts.
//!
//! Read access is not watched, since each scan would cause events. Writes are not watched either, only the closing of a
//! written file: a file that is still being written is scanned again anyway.

mod mounts;
mod way;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Events about names in a folder.
const NAMES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::ATTRIB);
/// Events about a folder itself. The kernel always reports unmounting.
const ITSELF: WatchFlags = WatchFlags::DELETE_SELF.union(WatchFlags::MOVE_SELF).union(WatchFlags::ONLYDIR);
/// Events about a shared folder.
const SHARED: WatchFlags = NAMES.union(ITSELF).union(WatchFlags::CLOSE_WRITE).union(WatchFlags::EXCL_UNLINK);
/// Size of the read buffer, in bytes. It holds some hundred events; the longest event has 272 bytes.
const BUFFER: usize = 16 * 1024;

/// Watches the folder at a path until it is dropped.
pub(crate) struct FolderWatch {
    watched: Arc<Watched>,
    /// The thread ends when this socket is closed.
    _stop: UnixStream,
}

/// State shared by the thread and the scans.
struct Watched {
    inotify: OwnedFd,
    watches: Mutex<BTreeMap<i32, Interest>>,
    is_limit_told: AtomicBool,
    changed: Notify,
}

/// The names in a watched folder whose events matter.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Interest {
    /// All names that may be shared.
    Shared,
    /// Only these names.
    Names(BTreeSet<OsString>),
}

impl FolderWatch {
    /// Starts the thread that reports changes at this absolute path. No change is reported before the first
    /// [`Marking`].
    ///
    /// # Errors
    /// When the system provides no more inotify instances or threads.
    pub(crate) fn new(path: PathBuf) -> io::Result<Self> {
        let (watched, (stop, stopped)) = (Arc::new(Watched::new()?), UnixStream::pair()?);
        let shared = watched.clone();
        std::thread::Builder::new()
            .name("folder watch".to_owned())
            .spawn(move || listen(&shared, &stopped, &path))?;
        Ok(Self { watched, _stop: stop })
    }

    /// Waits for a change at the path.
    pub(crate) async fn changed(&self) {
        self.watched.changed.notified().await;
    }

    /// Begins to set the watches of a new scan.
    pub(crate) fn mark(&self) -> Marking {
        Marking { watched: self.watched.clone(), set: BTreeMap::new() }
    }
}

/// The watches that one scan sets. [`Self::finish`] removes those of earlier scans that this one did not set.
pub(crate) struct Marking {
    watched: Arc<Watched>,
    set: BTreeMap<i32, (WatchFlags, Interest)>,
}

impl Marking {
    /// Watches the folders above an absolute path.
    pub(crate) fn way(&mut self, path: &Path) {
        for (folder, names) in way::to(path) {
            let flags = if names.is_empty() { ITSELF } else { ITSELF.union(NAMES) };
            self.set(&folder, flags, Interest::Names(names));
        }
    }

    /// Watches a folder whose files are shared. Must be called before the folder is read, so that no change is missed.
    pub(crate) fn shared(&mut self, folder: &Path) {
        self.set(folder, SHARED, Interest::Shared);
    }

    /// Removes the watches that were not set again.
    pub(crate) fn finish(self) {
        let mut watches = self.watched.watches();
        watches.retain(|watch, _| {
            let is_set = self.set.contains_key(watch);
            if !is_set {
                // An error means that the system has already removed the watch.
                let _ = inotify::remove_watch(&self.watched.inotify, *watch);
            }
            is_set
        });
    }

    fn set(&mut self, folder: &Path, flags: WatchFlags, interest: Interest) {
        // The lock makes the thread wait with an event until its watch is in the map.
        let mut watches = self.watched.watches();
        let Some(watch) = self.watched.add(folder, flags) else { return };
        let (mut all, mut interest) = (flags, interest);
        // A scan may reach a folder twice, by different paths.
        if let Some((before, also)) = self.set.get(&watch) {
            (all, interest) = (all.union(*before), interest.and(also));
            let _ = self.watched.add(folder, all);
        }
        watches.insert(watch, interest.clone());
        self.set.insert(watch, (all, interest));
    }
}

impl Watched {
    fn new() -> io::Result<Self> {
        Ok(Self {
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            watches: Mutex::default(),
            is_limit_told: AtomicBool::new(false),
            changed: Notify::new(),
        })
    }

    fn watches(&self) -> MutexGuard<'_, BTreeMap<i32, Interest>> {
        // The map is consistent at every point that can panic, so a poisoned lock is safe to use.
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of the watch; `None` when it cannot be set. Then the periodic rescan finds the changes.
    fn add(&self, folder: &Path, flags: WatchFlags) -> Option<i32> {
        match inotify::add_watch(&self.inotify, folder, flags) {
            Ok(watch) => Some(watch),
            Err(Errno::NOSPC | Errno::NOMEM) => {
                if !self.is_limit_told.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        folder = %folder.display(),
                        "too many folders to watch all of them; changes are found at the periodic scans. To watch more \
                         folders, raise the system setting fs.inotify.max_user_watches"
                    );
                }
                None
            }
            // The folder is gone, or may not be read.
            Err(_) => None,
        }
    }

    /// Reads all pending events. Returns whether one of them matters.
    fn hear(&self, buffer: &mut [MaybeUninit<u8>]) -> io::Result<bool> {
        let (mut events, mut is_change) = (Reader::new(&self.inotify, buffer), false);
        loop {
            match events.next() {
                Ok(event) => {
                    let name = event.file_name().map(std::ffi::CStr::to_bytes);
                    is_change |= self.matters(event.wd(), event.events(), name);
                }
                Err(Errno::AGAIN) => return Ok(is_change),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn matters(&self, watch: i32, events: ReadFlags, name: Option<&[u8]>) -> bool {
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            return true;
        }
        let mut watches = self.watches();
        if events.contains(ReadFlags::IGNORED) {
            // The kernel removed the watch. The event with the reason came before this one.
            watches.remove(&watch);
            return false;
        }
        watches.get(&watch).is_some_and(|interest| name.is_none_or(|name| interest.includes(name)))
    }
}

impl Interest {
    fn includes(&self, name: &[u8]) -> bool {
        match self {
            Self::Shared => !crate::scan::is_passed_over(name),
            Self::Names(names) => names.iter().any(|one| one.as_bytes() == name),
        }
    }

    fn and(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Names(names), Self::Names(others)) => Self::Names(names.union(others).cloned().collect()),
            _ => Self::Shared,
        }
    }
}

/// Reports changes until the other end of `stop` is closed.
fn listen(watched: &Watched, stop: &UnixStream, path: &Path) {
    let mounts = File::open(mounts::MOUNTS);
    let mounts =
        mounts.inspect_err(|error| tracing::debug!(%error, "the list of mounts cannot be watched")).ok();
    let (mut around, mut buffer) = (mounts_around(path), vec![MaybeUninit::<u8>::uninit(); BUFFER]);
    loop {
        let mut sources =
            vec![PollFd::new(stop, PollFlags::IN), PollFd::new(&watched.inotify, PollFlags::IN)];
        sources.extend(mounts.as_ref().map(|mounts| PollFd::new(mounts, PollFlags::PRI)));
        match poll(&mut sources, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => {
                return tracing::warn!(%error, "changes in the shared folder are not reported any more");
            }
        }
        let is_ready = |source: usize| sources.get(source).is_some_and(|one| !one.revents().is_empty());
        if is_ready(0) {
            return;
        }
        let mut is_change = false;
        if is_ready(1) {
            match watched.hear(&mut buffer) {
                Ok(heard) => is_change = heard,
                Err(error) => {
                    return tracing::warn!(%error, "changes in the shared folder are not reported any more");
                }
            }
        }
        if is_ready(2) {
            let now = mounts_around(path);
            is_change |= now != around;
            around = now;
        }
        if is_change {
            watched.changed.notify_one();
        }
    }
}

fn mounts_around(path: &Path) -> Vec<Vec<u8>> {
    let paths: Vec<PathBuf> = path.canonicalize().ok().into_iter().chain([path.to_owned()]).collect();
    mounts::around(&std::fs::read(mounts::MOUNTS).unwrap_or_default(), &paths)
}

#[cfg(test)]
mod tests;
