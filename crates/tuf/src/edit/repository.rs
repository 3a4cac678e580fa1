//! A repository that is edited: its newest files, some of which are drafts.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::document::Document;
use super::edit_error::EditError;
use super::key::{KeyId, KeySet, PublicKey, Signer};
use super::metadata::{
    DelegatedRole, Delegations, Expiry, Extra, FileEntry, Header, Key, Listing, Payload, RoleKeys, Root,
    Snapshot, TargetEntry, Targets, Timestamp, TopRoles,
};
use crate::hex;
use crate::limits::{MAX_LISTING_BYTES, MAX_ROOT_BYTES, MAX_TIMESTAMP_BYTES};
use crate::names::{FileName, Role, RoleName, TargetPath, TargetsRole};
use crate::now::Now;
use crate::refresh::Refresh;
use crate::saved::Saved;
use crate::target::CID_KEY;
use cid::Cid;
use dcache::Time;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A role whose keys are in the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopRole {
    /// The role that names the keys of all four.
    Root,
    /// The role that names the newest snapshot.
    Timestamp,
    /// The role that names the versions of all files of targets.
    Snapshot,
    /// The role that lists targets and delegates to others.
    Targets,
}

/// A target to be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTarget {
    /// Size of the content, in bytes.
    pub length: u64,
    /// SHA-256 hash of the content.
    pub sha256: [u8; 32],
    /// Content identifier, by which nodes fetch the content.
    pub cid: Option<Cid>,
    /// Further custom data, for the service that installs the target. A member `cid` is replaced by the identifier.
    pub custom: Map<String, Value>,
}

/// A role to which targets are delegated.
#[derive(Clone, Debug)]
pub struct Delegation {
    /// Name of the role.
    pub name: RoleName,
    /// Keys of the role.
    pub keys: KeySet,
    /// Patterns of the paths that the role may list, such as `sensors/*`. `*` and `?` do not match `/`.
    pub paths: Vec<String>,
    /// Whether a search for such a path ends with this role.
    pub terminating: bool,
}

/// A file with too few signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Role of the file.
    pub role: Role,
    /// Number of valid signatures.
    pub have: usize,
    /// Number of signatures that are needed.
    pub need: usize,
}

/// A file that was published, to be given to mirrors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedFile {
    /// Name of the file.
    pub name: FileName,
    /// Content of the file.
    pub content: Vec<u8>,
}

/// A repository that is edited.
#[derive(Clone, Debug)]
pub struct Repository {
    root: Document<Root>,
    /// The published root, whose keys have to sign a draft of the next one.
    signing_root: Option<Document<Root>>,
    timestamp: Option<Document<Timestamp>>,
    snapshot: Option<Document<Snapshot>>,
    targets: BTreeMap<TargetsRole, Document<Targets>>,
}

/// Keys that must sign a file: their identifiers, the keys, and the threshold.
type Authority<'a> = (&'a [KeyId], &'a BTreeMap<KeyId, Key>, usize);

impl Repository {
    /// Makes a repository without targets. Its root and its file of targets are drafts, which are valid until `expires`.
    pub fn create(keys: &BTreeMap<TopRole, KeySet>, expires: Time) -> Result<Self, EditError> {
        let of = |role| keys.get(&role).map(role_keys).ok_or(EditError::Keys { keys: 0, threshold: 0 });
        let roles = TopRoles {
            root: of(TopRole::Root)?,
            timestamp: of(TopRole::Timestamp)?,
            snapshot: of(TopRole::Snapshot)?,
            targets: of(TopRole::Targets)?,
            extra: Extra::new(),
        };
        let all_keys =
            keys.values().flat_map(|set| set.keys()).map(|(id, key)| (id.clone(), key.to_metadata()));
        let root = Root {
            header: Header::first::<Root>(expires),
            consistent_snapshot: true,
            keys: all_keys.collect(),
            roles,
            extra: Extra::new(),
        };
        let top = TargetsRole::Top;
        let targets = Document::draft(Role::Targets(top.clone()), no_targets(expires));
        Ok(Self {
            root: Document::draft(Role::Root, root),
            signing_root: None,
            timestamp: None,
            snapshot: None,
            targets: BTreeMap::from([(top, targets)]),
        })
    }

    /// Reads a repository. `published` and `draft` return the content of a published file and of a draft.
    pub(super) fn read<E: From<EditError>>(
        mut published: impl FnMut(&FileName) -> Result<Option<Vec<u8>>, E>,
        mut draft: impl FnMut(&Role) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Option<Self>, E> {
        let mut newest: Option<Document<Root>> = None;
        let mut version = 1;
        while let Some(content) = published(&FileName::versioned(&Role::Root, version))? {
            newest = Some(Document::parse_published(Role::Root, content)?);
            version += 1;
        }
        let Some(root) = choose(Role::Root, newest.clone(), draft(&Role::Root)?)? else { return Ok(None) };
        if !root.content().consistent_snapshot {
            return Err(EditError::Inconsistent.into());
        }
        let timestamp = published(&FileName::of(&Role::Timestamp))?;
        let timestamp =
            timestamp.map(|content| Document::<Timestamp>::parse_published(Role::Timestamp, content));
        let timestamp = timestamp.transpose()?;
        let named = timestamp.as_ref().and_then(|timestamp| timestamp.content().meta.get("snapshot.json"));
        let snapshot = match named {
            Some(entry) => published(&FileName::versioned(&Role::Snapshot, entry.version))?,
            None => None,
        };
        let snapshot = snapshot.map(|content| Document::<Snapshot>::parse_published(Role::Snapshot, content));
        let snapshot = snapshot.transpose()?;
        let mut repository =
            Self { root, signing_root: newest, timestamp: None, snapshot: None, targets: BTreeMap::new() };
        repository.read_targets(snapshot.as_ref(), &mut published, &mut draft)?;
        repository.snapshot = choose(Role::Snapshot, snapshot, draft(&Role::Snapshot)?)?;
        repository.timestamp = choose(Role::Timestamp, timestamp, draft(&Role::Timestamp)?)?;
        Ok(Some(repository))
    }

    /// Reads all files of targets that the snapshot names, and drafts of roles to which these delegate.
    fn read_targets<E: From<EditError>>(
        &mut self,
        snapshot: Option<&Document<Snapshot>>,
        published: &mut impl FnMut(&FileName) -> Result<Option<Vec<u8>>, E>,
        draft: &mut impl FnMut(&Role) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<(), E> {
        let named = snapshot.map(|snapshot| snapshot.content().meta.clone()).unwrap_or_default();
        let role_of = |file: &String| TargetsRole::parse(file.strip_suffix(".json").unwrap_or(file)).ok();
        let mut roles: Vec<TargetsRole> =
            named.keys().filter_map(role_of).chain([TargetsRole::Top]).collect();
        while let Some(role) = roles.pop() {
            if self.targets.contains_key(&role) {
                continue;
            }
            let file = Role::Targets(role.clone());
            let old = match named.get(&role.key_in_snapshot()) {
                Some(entry) => published(&FileName::versioned(&file, entry.version))?,
                None => None,
            };
            let old = old.map(|content| Document::parse_published(file.clone(), content)).transpose()?;
            let new = draft(&file)?;
            if let Some(targets) = choose(file, old, new)? {
                roles.extend(delegated(&targets).filter_map(|role| role_of(&role.name)));
                self.targets.insert(role, targets);
            }
        }
        Ok(())
    }

    /// Lists a target, or replaces its entry.
    ///
    /// # Errors
    /// Returns an error if the role does not exist or may not list the path.
    pub fn set_target(
        &mut self,
        role: &TargetsRole,
        path: &TargetPath,
        target: NewTarget,
    ) -> Result<(), EditError> {
        if !self.may_list(role, path) {
            return Err(EditError::NotDelegated { role: role.clone(), path: path.clone() });
        }
        let mut custom = target.custom;
        if let Some(cid) = target.cid {
            custom.insert(CID_KEY.to_owned(), Value::String(cid.to_string()));
        }
        let entry = TargetEntry {
            length: target.length,
            hashes: BTreeMap::from([("sha256".to_owned(), hex::encode(&target.sha256))]),
            custom: (!custom.is_empty()).then_some(Value::Object(custom)),
            extra: Extra::new(),
        };
        self.edit_targets(role)?.targets.insert(path.to_string(), entry);
        Ok(())
    }

    /// Removes a target from the list of a role.
    ///
    /// # Errors
    /// Returns an error if the role does not list it.
    pub fn remove_target(&mut self, role: &TargetsRole, path: &TargetPath) -> Result<(), EditError> {
        let is_listed = self.targets(role)?.content().targets.contains_key(path.as_ref());
        if !is_listed {
            return Err(EditError::NoTarget { role: role.clone(), path: path.clone() });
        }
        self.edit_targets(role)?.targets.remove(path.as_ref());
        Ok(())
    }

    /// Returns the paths that a role lists.
    ///
    /// # Errors
    /// Returns an error if the role does not exist.
    pub fn paths(&self, role: &TargetsRole) -> Result<Vec<&str>, EditError> {
        Ok(self.targets(role)?.content().targets.keys().map(String::as_str).collect())
    }

    /// Delegates paths to a new role, whose file is a draft without targets. Clients ask roles in the order in which they
    /// were added.
    ///
    /// # Errors
    /// Returns an error if there is such a role, or a pattern is malformed.
    pub fn delegate(&mut self, from: &TargetsRole, new: &Delegation, expires: Time) -> Result<(), EditError> {
        let role = TargetsRole::Delegated(new.name.clone());
        // A role that was removed stays in the snapshot, and can be delegated to again.
        if self.authorities(&role).next().is_some() {
            return Err(EditError::RoleExists(role));
        }
        let keys = role_keys(&new.keys);
        let entry = DelegatedRole {
            name: new.name.to_string(),
            keyids: keys.keyids,
            threshold: keys.threshold,
            terminating: new.terminating,
            paths: Some(new.paths.clone()),
            path_hash_prefixes: None,
            extra: Extra::new(),
        };
        if entry.matches("a").is_none() {
            return Err(EditError::Patterns(new.paths.clone()));
        }
        let delegations = self.edit_targets(from)?.delegations.get_or_insert_default();
        delegations.roles.push(entry);
        add_keys(&mut delegations.keys, &new.keys);
        match self.targets.get_mut(&role) {
            // The new keys have to sign.
            Some(targets) => drop(targets.edit()),
            None => {
                let draft = Document::draft(Role::Targets(role.clone()), no_targets(expires));
                self.targets.insert(role, draft);
            }
        }
        Ok(())
    }

    /// Removes a delegation. The file of the role stays in the snapshot, because clients refuse a snapshot in which a file
    /// is missing.
    ///
    /// # Errors
    /// Returns an error if the role `from` does not delegate to it.
    pub fn remove_delegation(&mut self, from: &TargetsRole, name: &RoleName) -> Result<(), EditError> {
        let is_there = delegated(self.targets(from)?).any(|role| role.name == name.as_ref());
        if !is_there {
            return Err(EditError::NoRole(TargetsRole::Delegated(name.clone())));
        }
        let delegations = self.edit_targets(from)?.delegations.get_or_insert_default();
        delegations.roles.retain(|role| role.name != name.as_ref());
        remove_unused_keys(delegations);
        Ok(())
    }

    /// Changes the keys of a delegated role. A new version of its file has to be signed by them.
    ///
    /// # Errors
    /// Returns an error if the role `from` does not delegate to it.
    pub fn set_delegation_keys(
        &mut self,
        from: &TargetsRole,
        name: &RoleName,
        keys: &KeySet,
    ) -> Result<(), EditError> {
        let role = TargetsRole::Delegated(name.clone());
        if !delegated(self.targets(from)?).any(|role| role.name == name.as_ref()) {
            return Err(EditError::NoRole(role));
        }
        let delegations = self.edit_targets(from)?.delegations.get_or_insert_default();
        for entry in delegations.roles.iter_mut().filter(|entry| entry.name == name.as_ref()) {
            let keys = role_keys(keys);
            (entry.keyids, entry.threshold) = (keys.keyids, keys.threshold);
        }
        add_keys(&mut delegations.keys, keys);
        remove_unused_keys(delegations);
        self.edit_targets(&role)?;
        Ok(())
    }

    /// Changes the keys of a top role, in a draft of the next root. The holders of enough keys of the present root must
    /// sign it, and those of the new one. New keys of the targets must sign a new version of their file.
    ///
    /// # Errors
    /// Returns an error if the repository has no file of targets.
    pub fn set_keys(&mut self, role: TopRole, keys: &KeySet) -> Result<(), EditError> {
        let root = self.root.edit();
        let old = match role {
            TopRole::Root => &mut root.roles.root,
            TopRole::Timestamp => &mut root.roles.timestamp,
            TopRole::Snapshot => &mut root.roles.snapshot,
            TopRole::Targets => &mut root.roles.targets,
        };
        let new = role_keys(keys);
        (old.keyids, old.threshold) = (new.keyids, new.threshold);
        add_keys(&mut root.keys, keys);
        let roles = &root.roles;
        let used = [&roles.root, &roles.timestamp, &roles.snapshot, &roles.targets];
        let used: BTreeSet<_> = used.iter().flat_map(|role| role.keyids.clone()).collect();
        root.keys.retain(|id, _| used.contains(id));
        if role == TopRole::Targets {
            self.edit_targets(&TargetsRole::Top)?;
        }
        Ok(())
    }

    /// Makes a draft of the root, or of the file of a role that lists targets, that is valid until `expires`.
    ///
    /// # Errors
    /// Returns an error if there is no such role.
    pub fn renew(&mut self, role: &Role, expires: Time) -> Result<(), EditError> {
        match role {
            Role::Root => self.root.edit().header.expires = Expiry(expires),
            Role::Targets(role) => self.edit_targets(role)?.header.expires = Expiry(expires),
            Role::Snapshot => self.make_snapshot(expires)?,
            Role::Timestamp => self.make_timestamp(expires)?,
        }
        Ok(())
    }

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

    /// Signs all drafts that the key may sign. Returns their roles.
    ///
    /// # Errors
    /// Returns an error if a draft has no canonical form.
    pub fn sign(&mut self, signer: &dyn Signer) -> Result<Vec<Role>, EditError> {
        let key = signer.public_key();
        let roles: Vec<Role> = self.roles().filter(|role| self.is_draft(role)).collect();
        let mut signed = Vec::new();
        for role in roles {
            let may_sign = self.authorities_of(&role).any(|(ids, keys, _)| holds(ids, keys, &key));
            if !may_sign {
                continue;
            }
            match &role {
                Role::Root => self.root.sign(signer)?,
                Role::Timestamp => self.timestamp.as_mut().map_or(Ok(()), |file| file.sign(signer))?,
                Role::Snapshot => self.snapshot.as_mut().map_or(Ok(()), |file| file.sign(signer))?,
                Role::Targets(name) => self.targets.get_mut(name).map_or(Ok(()), |file| file.sign(signer))?,
            }
            signed.push(role);
        }
        Ok(signed)
    }

    /// Returns the files with too few signatures.
    ///
    /// # Errors
    /// Returns an error if a file has no canonical form, or a role has a key that is no Ed25519 key.
    pub fn missing(&self) -> Result<Vec<Missing>, EditError> {
        let mut missing = Vec::new();
        for role in self.roles() {
            for (ids, keys, need) in self.authorities_of(&role) {
                let have = match &role {
                    Role::Root => self.root.count_signatures(ids, keys)?,
                    Role::Timestamp => count(self.timestamp.as_ref(), ids, keys)?,
                    Role::Snapshot => count(self.snapshot.as_ref(), ids, keys)?,
                    Role::Targets(name) => count(self.targets.get(name), ids, keys)?,
                };
                if have < need {
                    missing.push(Missing { role: role.clone(), have, need });
                    break;
                }
            }
        }
        Ok(missing)
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
    pub(super) fn drafts(&self) -> Result<Vec<(Role, Vec<u8>)>, EditError> {
        let drafts = self.roles().filter(|role| self.is_draft(role));
        drafts.map(|role| Ok((role.clone(), self.bytes(&role)?))).collect()
    }

    /// Returns all roles that have a file, in the order of publication.
    pub(super) fn roles(&self) -> impl Iterator<Item = Role> {
        // Clients find a delegated role by the file of its delegator, so that follows.
        let targets = self.targets.keys().rev().cloned().map(Role::Targets);
        let snapshot = self.snapshot.as_ref().map(|_| Role::Snapshot);
        let timestamp = self.timestamp.as_ref().map(|_| Role::Timestamp);
        [Role::Root].into_iter().chain(targets).chain(snapshot).chain(timestamp)
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

    fn is_draft(&self, role: &Role) -> bool {
        match role {
            Role::Root => self.root.is_draft(),
            Role::Timestamp => self.timestamp.as_ref().is_some_and(Document::is_draft),
            Role::Snapshot => self.snapshot.as_ref().is_some_and(Document::is_draft),
            Role::Targets(name) => self.targets.get(name).is_some_and(Document::is_draft),
        }
    }

    fn version(&self, role: &Role) -> u64 {
        match role {
            Role::Root => self.root.version(),
            Role::Timestamp => self.timestamp.as_ref().map_or(0, Document::version),
            Role::Snapshot => self.snapshot.as_ref().map_or(0, Document::version),
            Role::Targets(name) => self.targets.get(name).map_or(0, Document::version),
        }
    }

    fn bytes(&self, role: &Role) -> Result<Vec<u8>, EditError> {
        match role {
            Role::Root => self.root.bytes(),
            Role::Timestamp => self.timestamp.as_ref().map_or(Ok(Vec::new()), Document::bytes),
            Role::Snapshot => self.snapshot.as_ref().map_or(Ok(Vec::new()), Document::bytes),
            Role::Targets(name) => self.targets.get(name).map_or(Ok(Vec::new()), Document::bytes),
        }
    }

    fn targets(&self, role: &TargetsRole) -> Result<&Document<Targets>, EditError> {
        self.targets.get(role).ok_or_else(|| EditError::NoRole(role.clone()))
    }

    fn edit_targets(&mut self, role: &TargetsRole) -> Result<&mut Targets, EditError> {
        let file = self.targets.get_mut(role).ok_or_else(|| EditError::NoRole(role.clone()))?;
        Ok(file.edit())
    }

    fn may_list(&self, role: &TargetsRole, path: &TargetPath) -> bool {
        let delegations = self.targets.values().flat_map(delegated);
        let mut entries = delegations.filter(|entry| entry.name == role.name());
        *role == TargetsRole::Top || entries.any(|entry| entry.matches(path.as_ref()) == Some(true))
    }

    /// Returns each set of keys that must sign the file of a role.
    fn authorities_of<'a>(&'a self, role: &'a Role) -> impl Iterator<Item = Authority<'a>> {
        let root = self.root.content();
        let published = self.signing_root.as_ref().map(Document::content);
        let top: Vec<(&Root, &RoleKeys)> = match role {
            Role::Root => published.into_iter().chain([root]).map(|root| (root, &root.roles.root)).collect(),
            Role::Timestamp => vec![(root, &root.roles.timestamp)],
            Role::Snapshot => vec![(root, &root.roles.snapshot)],
            Role::Targets(TargetsRole::Top) => vec![(root, &root.roles.targets)],
            Role::Targets(TargetsRole::Delegated(_)) => Vec::new(),
        };
        let top = top.into_iter().map(|(root, keys)| (keys.keyids.as_slice(), &root.keys, keys.threshold));
        let delegated = match role {
            Role::Targets(role) => Some(self.authorities(role)),
            _ => None,
        };
        top.chain(delegated.into_iter().flatten())
    }

    /// Returns the keys of each delegation to a role.
    fn authorities<'a>(&'a self, role: &'a TargetsRole) -> impl Iterator<Item = Authority<'a>> {
        let delegations = self.targets.values().filter_map(|file| file.content().delegations.as_ref());
        delegations.flat_map(move |delegations| {
            let entries = delegations.roles.iter().filter(move |entry| entry.name == role.name());
            entries.map(|entry| (entry.keyids.as_slice(), &delegations.keys, entry.threshold))
        })
    }
}

fn no_targets(expires: Time) -> Targets {
    let header = Header::first::<Targets>(expires);
    Targets { header, targets: BTreeMap::new(), delegations: None, extra: Extra::new() }
}

fn role_keys(keys: &KeySet) -> RoleKeys {
    let keyids = keys.keys().keys().cloned().collect();
    RoleKeys { keyids, threshold: keys.threshold(), extra: Extra::new() }
}

fn add_keys(to: &mut BTreeMap<KeyId, Key>, keys: &KeySet) {
    to.extend(keys.keys().iter().map(|(id, key)| (id.clone(), key.to_metadata())));
}

fn remove_unused_keys(delegations: &mut Delegations) {
    let used: BTreeSet<_> = delegations.roles.iter().flat_map(|role| role.keyids.clone()).collect();
    delegations.keys.retain(|id, _| used.contains(id));
}

fn delegated(file: &Document<Targets>) -> impl Iterator<Item = &DelegatedRole> {
    file.content().delegations.iter().flat_map(|delegations| &delegations.roles)
}

/// Returns whether the key is one of these. Its identifier may be another one than that of this program.
fn holds(ids: &[KeyId], keys: &BTreeMap<KeyId, Key>, key: &PublicKey) -> bool {
    ids.iter()
        .any(|id| *id == key.id() && keys.get(id).and_then(PublicKey::of_metadata).as_ref() == Some(key))
}

fn count<T: Payload>(
    file: Option<&Document<T>>,
    ids: &[KeyId],
    keys: &BTreeMap<KeyId, Key>,
) -> Result<usize, EditError> {
    file.map_or(Ok(0), |file| file.count_signatures(ids, keys))
}

/// Returns the draft if it is newer than the published file, or else the published file.
fn choose<T: Payload>(
    role: Role,
    published: Option<Document<T>>,
    draft: Option<Vec<u8>>,
) -> Result<Option<Document<T>>, EditError> {
    let draft = draft.map(|bytes| Document::parse_draft(role, &bytes)).transpose()?;
    let last = published.as_ref().map_or(0, Document::version);
    Ok(draft.filter(|draft| draft.version() > last).or(published))
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
