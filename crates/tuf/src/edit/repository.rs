//! A repository that is edited: its newest files, some of which are drafts.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod publish;
mod read;
mod sign;

use super::document::Document;
use super::edit_error::EditError;
use super::key::{KeyId, KeySet};
use super::metadata::{
    DelegatedRole, Delegations, Expiry, Extra, Header, Key, RoleKeys, Root, Snapshot, TargetEntry, Targets,
    Timestamp, TopRoles,
};
use crate::hex;
use crate::names::{Role, RoleName, TargetPath, TargetsRole};
use crate::target::CID_KEY;
use cid::Cid;
use dcache::Time;
pub use publish::PublishedFile;
pub(super) use read::Files;
use serde_json::{Map, Value};
pub use sign::Missing;
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

impl Repository {
    /// Makes a repository without targets. Its root and its file of targets are drafts, which are valid until `expires`.
    ///
    /// # Errors
    /// Returns an error if a role has no keys.
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

    /// Returns all roles that have a file, in the order of publication.
    pub(super) fn roles(&self) -> impl Iterator<Item = Role> {
        // Clients find a delegated role by the file of its delegator, so that follows.
        let targets = self.targets.keys().rev().cloned().map(Role::Targets);
        let snapshot = self.snapshot.as_ref().map(|_| Role::Snapshot);
        let timestamp = self.timestamp.as_ref().map(|_| Role::Timestamp);
        [Role::Root].into_iter().chain(targets).chain(snapshot).chain(timestamp)
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
