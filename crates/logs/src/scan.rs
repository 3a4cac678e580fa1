//! What is in the shared folder.

use crate::info::is_file_name;
use crate::settle::{Fingerprint, Found};
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// How deep folders in the folder are looked into.
const MAX_DEPTH: usize = 8;
/// The most files that are looked at.
const MAX_FILES: usize = 20_000;
/// A recorder is still writing this one (rosbag).
const BEING_WRITTEN: &str = ".active";

/// The plain files below `folder`, without hidden ones, `*.active`, links, and names that cannot be shared.
///
/// # Errors
/// When the folder itself cannot be read.
pub(crate) fn scan(folder: &Path) -> io::Result<Found> {
    let mut found = Found::new();
    scan_into(&mut found, folder, "", 0)?;
    if found.len() >= MAX_FILES {
        tracing::warn!(folder = %folder.display(), most = MAX_FILES, "too many files; only the first ones are shared");
    }
    Ok(found)
}

fn scan_into(found: &mut Found, folder: &Path, prefix: &str, depth: usize) -> io::Result<()> {
    let mut entries: Vec<DirEntry> = fs::read_dir(folder)?.filter_map(Result::ok).collect();
    entries.sort_by_key(DirEntry::file_name);
    for entry in entries {
        if found.len() >= MAX_FILES {
            break;
        }
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            tracing::debug!(?name, "a name that is not UTF-8 cannot be shared");
            continue;
        };
        if name.starts_with('.') || name.ends_with(BEING_WRITTEN) {
            continue;
        }
        let path = format!("{prefix}{name}");
        // Of a link this is the link's own, so links are neither files nor folders here.
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() && depth < MAX_DEPTH => {
                // Unreadable folders inside are passed over: the rest is shared all the same.
                let _ = scan_into(found, &entry.path(), &format!("{path}/"), depth + 1);
            }
            Ok(metadata) if metadata.is_file() && is_file_name(name) => {
                found.insert(path, fingerprint(&metadata));
            }
            _ => {}
        }
    }
    Ok(())
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
        let found = scan(folder.path()).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a.bag", "run 1/camera/d.bag"]);
        assert_eq!(found["a.bag"].size, 1);
        assert!(scan(&at("nowhere")).is_err());
    }
}
