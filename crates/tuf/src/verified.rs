//! Verified metadata, and the search for a target in it.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::limits::{MAX_DELEGATION_DEPTH, MAX_LISTING_BYTES, MAX_ROLES_VISITED, MAX_SAVED_ROLES};
use crate::names::{TargetPath, TargetsRole};
use crate::now::{self, Now};
use crate::refresh::{self, Request};
use crate::saved::{Changes, Row, Saved};
use crate::target::{Provenance, Target};
use crate::verify_error::VerifyError;
use sigstore_tuf::{Targets, TrustedMetadataSet};
use std::collections::BTreeSet;

/// The metadata of a repository, complete and verified.
#[derive(Debug)]
pub struct Verified {
    trusted: TrustedMetadataSet,
    saved: Saved,
    now: Now,
}

/// A search for a target. The caller fetches what [`Search::request`] names, as in a [`Refresh`](crate::Refresh).
#[derive(Debug)]
pub struct Search<'a> {
    verified: &'a mut Verified,
    path: TargetPath,
    now: Now,
    /// Roles to visit, the next one last.
    to_visit: Vec<Visit>,
    visited: BTreeSet<TargetsRole>,
    /// The role whose file is needed next.
    needed: Option<Visit>,
    found: Option<Target>,
}

#[derive(Clone, Debug)]
struct Visit {
    role: TargetsRole,
    delegator: TargetsRole,
    depth: usize,
}

impl Verified {
    pub(crate) fn new(trusted: TrustedMetadataSet, saved: Saved, now: Now) -> Self {
        Self { trusted, saved, now }
    }

    /// Returns the time with which the metadata was verified.
    pub fn verified_at(&self) -> Now {
        self.now
    }

    /// Returns the root file that is trusted now.
    pub fn root(&self) -> &[u8] {
        self.trusted.root_bytes()
    }

    /// Returns the versions of the files that are trusted now.
    pub fn versions(&self) -> Provenance {
        self.provenance(&TargetsRole::Top)
    }

    /// Returns all paths that the role `targets` itself lists. Entries that are no paths are left out.
    pub fn paths(&self) -> impl Iterator<Item = TargetPath> {
        let targets = self.trusted.targets_role("targets");
        targets.into_iter().flat_map(|targets| targets.targets.keys()).filter_map(|path| path.parse().ok())
    }

    /// Begins the search for a target. It reads the files of delegated roles in the order in which the specification
    /// demands.
    ///
    /// # Errors
    /// Returns an error if the metadata has expired since it was verified, or a stored file of a role is wrong.
    pub fn search(&mut self, path: TargetPath, now: Now) -> Result<Search<'_>, VerifyError> {
        self.check_time(now)?;
        let top = Visit { role: TargetsRole::Top, delegator: TargetsRole::Top, depth: 0 };
        let (to_visit, visited) = (vec![top], BTreeSet::new());
        let mut search = Search { verified: self, path, now, to_visit, visited, needed: None, found: None };
        search.advance()?;
        Ok(search)
    }

    fn check_time(&self, now: Now) -> Result<(), VerifyError> {
        let passed = now::to_timestamp(now.passed());
        self.trusted.check_root_expired(passed).map_err(VerifyError::expired)?;
        self.trusted.check_timestamp_expired(passed).map_err(VerifyError::expired)?;
        self.trusted.check_snapshot_expired(passed).map_err(VerifyError::expired)?;
        let targets = self.trusted.targets_role("targets").ok_or(VerifyError::Incomplete)?;
        if targets.expires < passed {
            return Err(VerifyError::Expired {
                role: "targets".to_owned(),
                at: now::from_timestamp(targets.expires),
            });
        }
        Ok(())
    }

    fn provenance(&self, role: &TargetsRole) -> Provenance {
        Provenance {
            root: self.trusted.root().version,
            timestamp: self.trusted.timestamp().map_or(0, |timestamp| timestamp.version),
            snapshot: self.trusted.snapshot().map_or(0, |snapshot| snapshot.version),
            role: role.name().to_owned(),
            version: self.trusted.targets_role(role.name()).map_or(0, |targets| targets.version),
        }
    }

    fn is_named(&self, role: &TargetsRole) -> bool {
        let key = role.key_in_snapshot();
        self.trusted.snapshot().is_some_and(|snapshot| snapshot.meta.contains_key(&key))
    }

    /// Keeps the file of a delegated role, unless there are too many.
    fn save(&mut self, role: &TargetsRole, content: &str) -> Changes {
        let TargetsRole::Delegated(name) = role else { return Changes::new() };
        let row = Row::Delegated(name.clone());
        let saved = self.saved.keys().filter(|row| matches!(row, Row::Delegated(_))).count();
        if saved >= MAX_SAVED_ROLES && !self.saved.contains_key(&row) {
            return Changes::new();
        }
        self.saved.insert(row.clone(), content.to_owned());
        vec![(row, content.to_owned())]
    }
}

impl Search<'_> {
    /// Returns the file that is needed next, or `None` if the search is complete.
    pub fn request(&self) -> Option<Request> {
        let needed = self.needed.as_ref()?;
        let name = refresh::targets_file(&self.verified.trusted, &needed.role);
        Some(Request { name, max_bytes: MAX_LISTING_BYTES })
    }

    /// Takes the file that was requested, or `None` if the mirror does not have it. Returns the rows that the caller has
    /// to make durable before it continues.
    ///
    /// # Errors
    /// Returns an error if the file is refused or missing. The search has then failed.
    pub fn supply(&mut self, content: Option<&[u8]>) -> Result<Changes, VerifyError> {
        let (Some(request), Some(visit)) = (self.request(), self.needed.take()) else {
            return Ok(Changes::new());
        };
        let content = content.ok_or_else(|| VerifyError::Missing { file: request.name.clone() })?;
        let content = refresh::text(&request, content)?;
        self.load(&visit, content).map_err(|error| VerifyError::refused(&request.name, error))?;
        let changes = self.verified.save(&visit.role, content);
        self.examine(&visit)?;
        self.advance()?;
        Ok(changes)
    }

    /// Returns the target, or `None` if no role lists it or the search is not complete.
    pub fn finish(self) -> Option<Target> {
        self.found
    }

    /// Visits roles until one needs a file, or the search is complete.
    fn advance(&mut self) -> Result<(), VerifyError> {
        while self.found.is_none()
            && let Some(visit) = self.to_visit.pop()
        {
            if self.visited.contains(&visit.role) || !self.verified.is_named(&visit.role) {
                continue;
            }
            if self.visited.len() >= MAX_ROLES_VISITED || visit.depth > MAX_DELEGATION_DEPTH {
                return Err(VerifyError::TooManyRoles { path: self.path.to_string() });
            }
            self.visited.insert(visit.role.clone());
            if !self.recall(&visit)? {
                self.needed = Some(visit);
                return Ok(());
            }
            self.examine(&visit)?;
        }
        Ok(())
    }

    /// Makes the role's file trusted if this node has it, and returns whether it has.
    fn recall(&mut self, visit: &Visit) -> Result<bool, VerifyError> {
        let TargetsRole::Delegated(name) = &visit.role else { return Ok(true) };
        let passed = now::to_timestamp(self.now.passed());
        if self.verified.trusted.targets_role(visit.role.name()).is_some() {
            // Two roles can delegate to one role, with different keys.
            let file = refresh::targets_file(&self.verified.trusted, &visit.role);
            self.verified
                .trusted
                .verify_delegated_targets(visit.role.name(), visit.delegator.name(), passed)
                .map_err(|error| VerifyError::refused(&file, error))?;
            return Ok(true);
        }
        let stored = self.verified.saved.get(&Row::Delegated(name.clone())).cloned();
        Ok(stored.is_some_and(|stored| self.load(visit, &stored).is_ok()))
    }

    fn load(&mut self, visit: &Visit, content: &str) -> Result<(), sigstore_tuf::Error> {
        let passed = now::to_timestamp(self.now.passed());
        let (role, delegator) = (visit.role.name(), visit.delegator.name());
        self.verified.trusted.update_delegated_targets(content.as_bytes(), role, delegator, passed)?;
        Ok(())
    }

    /// Looks for the target in the trusted file of a role, and notes the roles to which it delegates the path.
    fn examine(&mut self, visit: &Visit) -> Result<(), VerifyError> {
        let Some(targets) = self.verified.trusted.targets_role(visit.role.name()) else { return Ok(()) };
        if let Some(entry) = targets.target(self.path.as_ref()) {
            let provenance = self.verified.provenance(&visit.role);
            let target = Target::new(self.path.clone(), entry, provenance, self.now.freshness());
            let wrong = |cause| VerifyError::Target { path: self.path.to_string(), cause };
            self.found = Some(target.map_err(wrong)?);
            return Ok(());
        }
        let (children, is_last) = self.children(targets, visit)?;
        if is_last {
            self.to_visit.clear();
        }
        self.to_visit.extend(children.into_iter().rev());
        Ok(())
    }

    /// Returns the roles to which the path is delegated, and whether no others may be visited.
    fn children(&self, targets: &Targets, visit: &Visit) -> Result<(Vec<Visit>, bool), VerifyError> {
        let mut children = Vec::new();
        for role in targets.delegations.iter().flat_map(|delegations| &delegations.roles) {
            let refused = |error| {
                VerifyError::refused(&refresh::targets_file(&self.verified.trusted, &visit.role), error)
            };
            if !role.matches_path(self.path.as_ref()).map_err(refused)? {
                continue;
            }
            let name = role.name.parse().map_err(|source| VerifyError::Role { source })?;
            let (role_name, delegator) = (TargetsRole::Delegated(name), visit.role.clone());
            children.push(Visit { role: role_name, delegator, depth: visit.depth + 1 });
            if role.terminating {
                return Ok((children, true));
            }
        }
        Ok((children, false))
    }
}
