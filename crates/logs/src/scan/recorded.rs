//! Folders that ROS 2 records. A finished one is shared as one log.

use super::{MAX_DEPTH, Scanner, folder_fingerprint, is_passed_over};
use crate::info::is_file_name;
use crate::left_out::Reason;
use crate::log_files::MAX_MEMBERS;
use crate::settle::Fingerprint;
use recordings::{METADATA_NAME, is_recording};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirEntry;

/// The folders below a shared folder that ROS 2 recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecordedFolders {
    /// Names of the files of each folder that is one log, by the path of the folder.
    pub(crate) finished: BTreeMap<String, Vec<String>>,
    /// Paths of the files of recordings that are not finished, since `metadata.yaml` is missing. They are shared singly if
    /// they do not change for a long time: the recording was cut.
    pub(crate) unfinished: BTreeSet<String>,
}

/// The plain files of a folder that may be shared, by name.
type Members = BTreeMap<String, Fingerprint>;

impl Scanner<'_> {
    /// Recognises a folder that ROS 2 recorded, and adds it if it is finished. Returns the names of the files that must
    /// not be added singly. `prefix` is the path of the folder with `/` at its end, or empty for the shared folder itself,
    /// which is never a log.
    pub(super) fn scan_recording(
        &mut self,
        entries: &[DirEntry],
        prefix: &str,
        depth: usize,
    ) -> BTreeSet<String> {
        let Some(folder) = prefix.strip_suffix('/').filter(|_| depth <= MAX_DEPTH) else {
            return BTreeSet::new();
        };
        let names: Vec<String> =
            entries.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        if !is_recording(names.iter().map(String::as_str)) {
            return BTreeSet::new();
        }
        let members = match self.members(entries, prefix, depth) {
            Ok(members) => members,
            // A part of the recording cannot be read, so it cannot be shared now.
            Err(reason) => {
                self.leave_out(reason, folder);
                return names.into_iter().collect();
            }
        };
        let name = folder.rsplit('/').next().unwrap_or(folder);
        let is_whole = members.contains_key(METADATA_NAME)
            && is_recording(members.keys().map(String::as_str))
            && members.len() <= MAX_MEMBERS
            && is_file_name(name);
        if is_whole {
            return self.add_recording(folder, members);
        }
        if !members.contains_key(METADATA_NAME) {
            // Recorders name the parts after the folder, such as `run/run_0.mcap`.
            let is_named_after =
                |member: &&String| member.strip_prefix(name).is_some_and(|rest| rest.starts_with(['_', '.']));
            let unfinished = members.keys().filter(is_named_after);
            self.scan.folders.unfinished.extend(unfinished.map(|member| format!("{prefix}{member}")));
        }
        BTreeSet::new()
    }

    /// Returns the files of a folder that may be shared.
    ///
    /// # Errors
    /// When the daemon cannot read one of them.
    fn members(&self, entries: &[DirEntry], prefix: &str, depth: usize) -> Result<Members, Reason> {
        let mut members = Members::new();
        for entry in entries {
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !is_passed_over(name.as_bytes())) else { continue };
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                continue;
            }
            match self.check_file(entry, &metadata, (name, &format!("{prefix}{name}")), depth) {
                Ok(fingerprint) => drop(members.insert(name.to_owned(), fingerprint)),
                Err(Reason::Unreadable) => return Err(Reason::Unreadable),
                Err(_) => {}
            }
        }
        Ok(members)
    }

    /// Adds a folder that is one log. Files of it that were shared singly before stay until the folder is shared.
    fn add_recording(&mut self, folder: &str, members: Members) -> BTreeSet<String> {
        let is_known = self.known.contains(folder);
        if !is_known {
            for (name, fingerprint) in &members {
                let path = format!("{folder}/{name}");
                if self.known.contains(&path) {
                    self.scan.found.insert(path, *fingerprint);
                }
            }
        }
        let fingerprint = folder_fingerprint(&members);
        if is_known {
            self.scan.found.insert(folder.to_owned(), fingerprint);
        } else if self.new.len() < self.most {
            self.new.push((folder.to_owned(), fingerprint));
        } else {
            self.leave_out(Reason::TooMany, folder);
        }
        let names: BTreeSet<String> = members.into_keys().collect();
        self.scan.folders.finished.insert(folder.to_owned(), names.iter().cloned().collect());
        names
    }
}

#[cfg(test)]
mod tests;
