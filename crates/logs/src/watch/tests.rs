use super::*;
use std::fs;
use std::time::Duration;

/// Time limit for the report of a change, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// A watched path without the thread. No waiting is needed: inotify queues an event before the call that causes it
/// returns.
struct Folder {
    watched: Arc<Watched>,
    path: PathBuf,
}

impl Folder {
    fn new(path: PathBuf) -> Self {
        let folder = Self { watched: Arc::new(Watched::new().unwrap()), path };
        folder.scan();
        folder
    }

    /// Sets the watches on all subfolders, as a scan does.
    fn scan(&self) {
        scan(Marking { watched: self.watched.clone(), set: BTreeMap::new() }, &self.path);
    }

    fn hears(&self) -> bool {
        self.watched.hear(&mut [MaybeUninit::uninit(); BUFFER]).unwrap()
    }

    fn tells(&self, what: &str) {
        assert!(self.hears(), "not reported: {what}");
        self.scan();
        self.hears();
    }
}

fn scan(mut marking: Marking, path: &Path) {
    marking.way(path);
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        marking.shared(&folder);
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        folders.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    marking.finish();
}

fn shared() -> (tempfile::TempDir, Folder) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("shared");
    fs::create_dir(&path).unwrap();
    (root, Folder::new(path))
}

#[test]
fn changes_are_reported_but_scans_and_reads_are_not() {
    let (_root, folder) = shared();
    let run = folder.path.join("run");
    fs::create_dir(&run).unwrap();
    folder.tells("a new folder");
    fs::write(run.join("a.bag"), "a log").unwrap();
    folder.tells("a new file in a new folder");
    for _ in 0..3 {
        folder.scan();
        assert_eq!(fs::read(run.join("a.bag")).unwrap(), b"a log");
    }
    fs::write(run.join("b.bag.active"), "being recorded").unwrap();
    fs::write(run.join(".hidden"), "").unwrap();
    assert!(!folder.hears());
    fs::rename(run.join("b.bag.active"), run.join("b.bag")).unwrap();
    folder.tells("a recording that ended");
    fs::remove_file(run.join("a.bag")).unwrap();
    folder.tells("a removed file");
}

#[test]
fn the_watch_follows_the_path_when_another_folder_takes_its_place() {
    let (root, folder) = shared();
    let (aside, other) = (root.path().join("aside"), root.path().join("other"));
    fs::rename(&folder.path, &aside).unwrap();
    folder.tells("the folder was moved away");
    fs::write(aside.join("a.bag"), "").unwrap();
    assert!(!folder.hears(), "changes in the folder that was moved away do not matter");
    fs::create_dir(&folder.path).unwrap();
    folder.tells("the folder was created again");
    fs::write(folder.path.join("b.bag"), "").unwrap();
    folder.tells("a file in the new folder");
    fs::create_dir(&other).unwrap();
    assert!(!folder.hears(), "a new folder beside it does not matter");
    fs::remove_dir_all(&folder.path).unwrap();
    folder.tells("the folder was removed");
    std::os::unix::fs::symlink(&other, &folder.path).unwrap();
    folder.tells("a link replaced the folder");
    fs::write(other.join("c.bag"), "").unwrap();
    folder.tells("a file in the target of the link");
    fs::remove_file(&folder.path).unwrap();
    folder.tells("the link was removed");
}

#[test]
fn the_creation_of_each_missing_folder_on_the_way_is_reported() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::new(root.path().join("media/stick/logs"));
    fs::create_dir(root.path().join("unrelated")).unwrap();
    assert!(!folder.hears());
    fs::create_dir(root.path().join("media")).unwrap();
    folder.tells("the first folder of the way");
    fs::create_dir_all(&folder.path).unwrap();
    folder.tells("the rest of it");
    fs::write(folder.path.join("a.bag"), "").unwrap();
    folder.tells("a file");
    fs::rename(root.path().join("media/stick"), root.path().join("media/pulled")).unwrap();
    folder.tells("a folder on the way was moved");
}

#[test]
fn the_creation_of_the_target_of_a_link_is_reported() {
    let root = tempfile::tempdir().unwrap();
    let later = root.path().join("stick/logs");
    std::os::unix::fs::symlink(&later, root.path().join("shared")).unwrap();
    let folder = Folder::new(root.path().join("shared"));
    fs::create_dir_all(&later).unwrap();
    folder.tells("the target of the link is a folder now");
    fs::write(later.join("a.bag"), "").unwrap();
    folder.tells("a file");
}

#[tokio::test]
async fn the_thread_reports_changes_and_ends_with_the_watch() {
    let root = tempfile::tempdir().unwrap();
    let watch = FolderWatch::new(root.path().to_owned()).unwrap();
    scan(watch.mark(), root.path());
    fs::write(root.path().join("a.bag"), "").unwrap();
    assert!(tokio::time::timeout(DEADLINE, watch.changed()).await.is_ok());
    let watched = Arc::downgrade(&watch.watched);
    drop(watch);
    let ended = async {
        while watched.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, ended).await.is_ok());
}
