//! The way to a folder: the folders above it, in which something may be renamed, removed or made so that another folder lies
//! at its path.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders on a way, and the names in each of which something may be made or replaced. Where the next folder is there and is
/// no link, it tells by itself when it is moved or removed, and the set is empty.
pub(super) type Way = BTreeMap<PathBuf, BTreeSet<OsString>>;

/// Returns the way to an absolute path: as it is written, and as it is without links.
pub(super) fn to(path: &Path) -> Way {
    let mut way = Way::new();
    add(&mut way, path);
    if let Ok(real) = path.canonicalize() {
        add(&mut way, &real);
    }
    way
}

fn add(way: &mut Way, path: &Path) {
    for below in path.ancestors() {
        let (Some(folder), Some(name)) = (below.parent(), below.file_name()) else { continue };
        let names = way.entry(folder.to_owned()).or_default();
        if !fs::symlink_metadata(below).is_ok_and(|metadata| metadata.is_dir()) {
            names.insert(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_matter_where_something_is_missing_or_a_link() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("disk/logs")).unwrap();
        std::os::unix::fs::symlink(root.join("disk"), root.join("link")).unwrap();
        let way = to(&root.join("link/logs"));
        let names = |folder: &str| way[&root.join(folder)].iter().cloned().collect::<Vec<_>>();
        assert_eq!((names(""), names("link"), names("disk")), (vec!["link".into()], vec![], vec![]));
        let way = to(&root.join("link/later/logs"));
        assert_eq!(way[&root.join("link")], BTreeSet::from(["later".into()]));
        assert_eq!(
            way[&root.join("link/later")],
            BTreeSet::from(["logs".into()]),
            "it cannot be watched yet"
        );
    }
}
