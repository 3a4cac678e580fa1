//! Reading a repository: its newest published files, and the drafts that follow them.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{Repository, delegated};
use crate::edit::document::Document;
use crate::edit::edit_error::EditError;
use crate::edit::metadata::{FileEntry, Payload, Root, Snapshot, Timestamp};
use crate::names::{FileName, Role, TargetsRole};
use std::collections::BTreeMap;

/// Where the files of a repository are.
pub(in crate::edit) trait Files {
    /// Reason why a file cannot be read.
    type Error: From<EditError>;

    /// Returns the content of a published file, if it exists.
    fn published(&self, name: &FileName) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Returns the content of a draft, if it exists.
    fn draft(&self, role: &Role) -> Result<Option<Vec<u8>>, Self::Error>;
}

impl Repository {
    /// Reads a repository. Returns `None` if there is none.
    pub(in crate::edit) fn read<F: Files>(files: &F) -> Result<Option<Self>, F::Error> {
        let newest = newest_root(files)?;
        let Some(root) = or_draft(files, Role::Root, newest.clone())? else { return Ok(None) };
        if !root.content().consistent_snapshot {
            return Err(EditError::Inconsistent.into());
        }
        let timestamp = files.published(&FileName::of(&Role::Timestamp))?;
        let timestamp = timestamp.map(|content| Document::parse_published(Role::Timestamp, content));
        let timestamp: Option<Document<Timestamp>> = timestamp.transpose()?;
        let named = timestamp.as_ref().and_then(|timestamp| timestamp.content().meta.get("snapshot.json"));
        let snapshot: Option<Document<Snapshot>> = published(files, Role::Snapshot, named)?;
        let named = snapshot.as_ref().map(|snapshot| snapshot.content().meta.clone()).unwrap_or_default();
        let mut repository = Self {
            root,
            signing_root: newest,
            timestamp: or_draft(files, Role::Timestamp, timestamp)?,
            snapshot: or_draft(files, Role::Snapshot, snapshot)?,
            targets: BTreeMap::new(),
        };
        repository.read_targets(files, &named)?;
        Ok(Some(repository))
    }

    /// Reads all files of targets that a snapshot names, and drafts of roles to which these delegate.
    fn read_targets<F: Files>(
        &mut self,
        files: &F,
        named: &BTreeMap<String, FileEntry>,
    ) -> Result<(), F::Error> {
        let names = named.keys().filter_map(|file| file.strip_suffix(".json"));
        let named_roles = names.filter_map(|name| TargetsRole::parse(name).ok());
        let mut roles: Vec<TargetsRole> = named_roles.chain([TargetsRole::Top]).collect();
        while let Some(role) = roles.pop() {
            if self.targets.contains_key(&role) {
                continue;
            }
            let file = Role::Targets(role.clone());
            let old = published(files, file.clone(), named.get(&role.key_in_snapshot()))?;
            if let Some(targets) = or_draft(files, file, old)? {
                roles.extend(delegated(&targets).filter_map(|role| TargetsRole::parse(&role.name).ok()));
                self.targets.insert(role, targets);
            }
        }
        Ok(())
    }
}

fn newest_root<F: Files>(files: &F) -> Result<Option<Document<Root>>, F::Error> {
    let mut newest = None;
    for version in 1.. {
        let Some(content) = files.published(&FileName::versioned(&Role::Root, version))? else { break };
        newest = Some(Document::parse_published(Role::Root, content)?);
    }
    Ok(newest)
}

/// Returns the published file that another one names. A file that is missing must not be dropped from the snapshot.
fn published<F: Files, T: Payload>(
    files: &F,
    role: Role,
    named: Option<&FileEntry>,
) -> Result<Option<Document<T>>, F::Error> {
    let Some(named) = named else { return Ok(None) };
    let name = FileName::versioned(&role, named.version);
    let content = files.published(&name)?.ok_or(EditError::Absent(name))?;
    Ok(Some(Document::parse_published(role, content)?))
}

/// Returns the draft of a file if it is newer than the published one, or else the published one.
fn or_draft<F: Files, T: Payload>(
    files: &F,
    role: Role,
    published: Option<Document<T>>,
) -> Result<Option<Document<T>>, F::Error> {
    let draft = files.draft(&role)?.map(|bytes| Document::parse_draft(role, &bytes)).transpose()?;
    let last = published.as_ref().map_or(0, Document::version);
    Ok(draft.filter(|draft| draft.version() > last).or(published))
}
