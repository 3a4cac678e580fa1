//! Snapshots, timestamps, and the publication of drafts.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Repository;
use crate::edit::document::Document;
use crate::edit::edit_error::EditError;
use crate::edit::metadata::{Expiry, Extra, FileEntry, Header, Listing, Payload, Targets};
use crate::limits::{MAX_LISTING_BYTES, MAX_ROOT_BYTES, MAX_TIMESTAMP_BYTES};
use crate::names::{FileName, Role, TargetsRole};
use crate::now::Now;
use crate::refresh::Refresh;
use crate::saved::Saved;
use dcache::Time;
use std::collections::BTreeMap;

/// A file that was published, to be given to mirrors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedFile {
    /// Name of the file.
    pub name: FileName,
    /// Content of the file.
    pub content: Vec<u8>,
}

impl Repository {
    /// Makes a draft of a snapshot of all files of targets.
    ///
    /// # Errors
    /// Returns an error if signatures of one of these files are missing.
    pub fn make_snapshot(&mut self, expires: Time) -> Result<(), EditError> {
        let missing: Vec<_> =
            self.missing()?.into_iter().filter(|missing| matches!(missing.role, Role::Targets(_))).collect();
        if !missing.is_empty() {
            return Err(EditError::Unsigned(missing));
        }
        let entries = self.snapshot_entries()?;
        edit_listing(&mut self.snapshot, Role::Snapshot, entries, expires);
        Ok(())
    }

    /// Makes a draft of a timestamp that names the snapshot.
    ///
    /// # Errors
    /// Returns an error if there is no snapshot of the present files, or signatures of it are missing.
    pub fn make_timestamp(&mut self, expires: Time) -> Result<(), EditError> {
        let missing: Vec<_> =
            self.missing()?.into_iter().filter(|missing| missing.role == Role::Snapshot).collect();
        if !missing.is_empty() {
            return Err(EditError::Unsigned(missing));
        }
        self.check_snapshot()?;
        let entries = self.timestamp_entries()?;
        edit_listing(&mut self.timestamp, Role::Timestamp, entries, expires);
        Ok(())
    }

    /// Publishes all drafts. Returns the new files in the order in which they have to be given to mirrors: the timestamp,
    /// the only file that replaces another one, is the last.
    ///
    /// # Errors
    /// Returns an error, and changes nothing, if signatures are missing, the snapshot or the timestamp is outdated, a file
    /// is too large, or a client would refuse the files.
    pub fn publish(&mut self) -> Result<Vec<PublishedFile>, EditError> {
        self.check_snapshot()?;
        if self.timestamp.as_ref().map(|file| &file.content().meta) != Some(&self.timestamp_entries()?) {
            return Err(EditError::Outdated(Role::Timestamp));
        }
        let missing = self.missing()?;
        if !missing.is_empty() {
            return Err(EditError::Unsigned(missing));
        }
        let mut next = self.clone();
        let files = next.publish_drafts()?;
        files.iter().try_for_each(check_size)?;
        self.check_as_client(&next)?;
        next.signing_root = Some(next.root.clone());
        *self = next;
        Ok(files)
    }

    /// Returns the drafts, each with its role.
    ///
    /// # Errors
    /// Returns an error if a draft cannot be written.
    pub(in crate::edit) fn drafts(&self) -> Result<Vec<(Role, Vec<u8>)>, EditError> {
        let drafts = self.roles().filter(|role| self.is_draft(role));
        drafts.map(|role| Ok((role.clone(), self.bytes(&role)?))).collect()
    }

    fn publish_drafts(&mut self) -> Result<Vec<PublishedFile>, EditError> {
        let roles: Vec<Role> = self.roles().filter(|role| self.is_draft(role)).collect();
        let mut files = Vec::new();
        for role in roles {
            let version = self.version(&role);
            let content = match &role {
                Role::Root => self.root.publish()?,
                Role::Timestamp => self.timestamp.as_mut().map_or(Ok(Vec::new()), Document::publish)?,
                Role::Snapshot => self.snapshot.as_mut().map_or(Ok(Vec::new()), Document::publish)?,
                Role::Targets(name) => {
                    self.targets.get_mut(name).map_or(Ok(Vec::new()), Document::publish)?
                }
            };
            let is_timestamp = role == Role::Timestamp;
            let name = if is_timestamp { FileName::of(&role) } else { FileName::versioned(&role, version) };
            files.push(PublishedFile { name, content });
        }
        Ok(files)
    }

    /// Verifies the files as a client that has the published root, or a new client if there is none.
    fn check_as_client(&self, next: &Self) -> Result<(), EditError> {
        let bootstrap = self.signing_root.as_ref().unwrap_or(&next.root).bytes()?;
        let mut client = Refresh::begin(&bootstrap, Saved::new(), Now::from(None))?;
        let files = next.roles().map(|role| {
            let is_timestamp = role == Role::Timestamp;
            let version = next.version(&role);
            let name = if is_timestamp { FileName::of(&role) } else { FileName::versioned(&role, version) };
            Ok((name, next.bytes(&role)?))
        });
        let files = files.collect::<Result<BTreeMap<_, _>, EditError>>()?;
        while let Some(request) = client.request() {
            client.supply(files.get(&request.name).map(Vec::as_slice))?;
        }
        client.finish()?;
        Ok(())
    }

    fn check_snapshot(&self) -> Result<(), EditError> {
        let entries = self.snapshot_entries()?;
        let is_current = self.snapshot.as_ref().is_some_and(|snapshot| snapshot.content().meta == entries);
        if is_current { Ok(()) } else { Err(EditError::Outdated(Role::Snapshot)) }
    }

    /// Returns the entries of a snapshot of the present files. Entries of unchanged files are kept as they are.
    fn snapshot_entries(&self) -> Result<BTreeMap<String, FileEntry>, EditError> {
        let old = self.snapshot.as_ref().map(|snapshot| &snapshot.content().meta);
        let entry = |(role, file): (&TargetsRole, &Document<Targets>)| {
            let key = role.key_in_snapshot();
            let old = old.and_then(|old| old.get(&key)).filter(|old| old.version == file.version());
            match old.filter(|_| !file.is_draft()) {
                Some(entry) => Ok((key, entry.clone())),
                None => Ok((key, file.entry()?)),
            }
        };
        self.targets.iter().map(entry).collect()
    }

    fn timestamp_entries(&self) -> Result<BTreeMap<String, FileEntry>, EditError> {
        let key = "snapshot.json".to_owned();
        let snapshot = self.snapshot.as_ref().ok_or(EditError::Outdated(Role::Snapshot))?;
        let old = self.timestamp.as_ref().and_then(|timestamp| timestamp.content().meta.get(&key));
        let old = old.filter(|old| old.version == snapshot.version() && !snapshot.is_draft());
        let entry = old.cloned().map_or_else(|| snapshot.entry(), Ok)?;
        Ok(BTreeMap::from([(key, entry)]))
    }
}

fn edit_listing<const IS_TIMESTAMP: bool>(
    file: &mut Option<Document<Listing<IS_TIMESTAMP>>>,
    role: Role,
    meta: BTreeMap<String, FileEntry>,
    expires: Time,
) where
    Listing<IS_TIMESTAMP>: Payload,
{
    let new = |header| Listing { header, meta: BTreeMap::new(), extra: Extra::new() };
    let file = file
        .get_or_insert_with(|| Document::draft(role, new(Header::first::<Listing<IS_TIMESTAMP>>(expires))));
    let content = file.edit();
    (content.meta, content.header_mut().expires) = (meta, Expiry(expires));
}

fn check_size(file: &PublishedFile) -> Result<(), EditError> {
    let name = file.name.as_ref();
    let max_bytes = if name.ends_with(".root.json") {
        MAX_ROOT_BYTES
    } else if name == "timestamp.json" {
        MAX_TIMESTAMP_BYTES
    } else {
        MAX_LISTING_BYTES
    };
    let bytes = file.content.len() as u64;
    if bytes > max_bytes {
        return Err(EditError::TooLarge { file: file.name.clone(), bytes, max_bytes });
    }
    Ok(())
}
