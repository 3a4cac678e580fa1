//! The way to a folder: the folders above its path. A rename, removal or creation in one of them can put another folder
//! at the path.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders on a way, with the names in each that may be created or replaced. Where the next folder exists and is not a
/// link, the set is empty: that folder reports by itself when it is moved or removed.
pub(super) type Way = BTreeMap<PathBuf, BTreeSet<OsString>>;

/// Maximum number of links that are followed, as in the kernel (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Returns the way to an absolute path. It includes the ways to the targets of links on the path, even if they do not
/// exist yet.
pub(super) fn to(path: &Path) -> Way {
    let (mut way, mut paths) = (Way::new(), vec![path.to_owned()]);
    for _ in 0..=MAX_LINKS {
        let Some(path) = paths.pop() else { break };
        paths.extend(add(&mut way, &path));
    }
    way
}

/// Adds the folders of a path without following links. Returns the paths to which the links on it lead.
fn add(way: &mut Way, path: &Path) -> Vec<PathBuf> {
    let mut onward = Vec::new();
    for below in path.ancestors() {
        let (Some(folder), Some(name)) = (below.parent(), below.file_name()) else { continue };
        let names = way.entry(folder.to_owned()).or_default();
        if !fs::symlink_metadata(below).is_ok_and(|metadata| metadata.is_dir()) {
            names.insert(name.to_owned());
        }
        if let (Ok(target), Ok(rest)) = (fs::read_link(below), path.strip_prefix(below)) {
            let target = folder.join(target);
            // Joining an empty rest would add a trailing slash, and then the path would mean the target of a link.
            onward.push(if rest == Path::new("") { target } else { target.join(rest) });
        }
    }
    onward
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_matter_where_a_folder_is_missing_or_a_link() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("disk/logs")).unwrap();
        std::os::unix::fs::symlink(root.join("disk"), root.join("link")).unwrap();
        let way = to(&root.join("link/logs"));
        let names = |folder: &str| way[&root.join(folder)].iter().cloned().collect::<Vec<_>>();
        assert_eq!((names(""), names("link"), names("disk")), (vec!["link".into()], vec![], vec![]));
        std::os::unix::fs::symlink("nowhere/logs", root.join("dangling")).unwrap();
        std::os::unix::fs::symlink(root.join("dangling"), root.join("chain")).unwrap();
        let way = to(&root.join("chain"));
        assert_eq!(way[&root], BTreeSet::from(["chain".into(), "dangling".into(), "nowhere".into()]));
        std::os::unix::fs::symlink(root.join("circle"), root.join("circle")).unwrap();
        assert!(to(&root.join("circle")).contains_key(&root));
        let way = to(&root.join("link/later/logs"));
        assert_eq!(way[&root.join("link")], BTreeSet::from(["later".into()]));
        assert_eq!(
            way[&root.join("link/later")],
            BTreeSet::from(["logs".into()]),
            "the missing folder is on the way, although it cannot be watched yet"
        );
    }
}
