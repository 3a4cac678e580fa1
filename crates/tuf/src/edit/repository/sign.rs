//! Signatures: which keys must sign a file, and which signatures are missing.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Repository;
use crate::edit::document::Document;
use crate::edit::edit_error::EditError;
use crate::edit::key::{KeyId, PublicKey, Signer};
use crate::edit::metadata::{Key, Payload, RoleKeys, Root};
use crate::names::{Role, TargetsRole};
use std::collections::BTreeMap;

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

/// Keys that must sign a file: their identifiers, the keys, and the threshold.
pub(super) type Authority<'a> = (&'a [KeyId], &'a BTreeMap<KeyId, Key>, usize);

impl Repository {
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
    pub(super) fn authorities<'a>(&'a self, role: &'a TargetsRole) -> impl Iterator<Item = Authority<'a>> {
        let delegations = self.targets.values().filter_map(|file| file.content().delegations.as_ref());
        delegations.flat_map(move |delegations| {
            let entries = delegations.roles.iter().filter(move |entry| entry.name == role.name());
            entries.map(|entry| (entry.keyids.as_slice(), &delegations.keys, entry.threshold))
        })
    }
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
