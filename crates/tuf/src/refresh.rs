//! The workflow by which a node takes the newest metadata from a mirror: new roots, timestamp, snapshot, targets.
//!
//! It is the detailed client workflow of the specification (section 5.1 to 5.6), as a machine without I/O. The caller
//! fetches what [`Refresh::request`] names, passes it to [`Refresh::supply`], and makes the returned changes durable
//! before it continues. The checks of single files are those of the library `sigstore-tuf`.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::limits::{MAX_LISTING_BYTES, MAX_NEW_ROOTS, MAX_ROOT_BYTES, MAX_TIMESTAMP_BYTES};
use crate::names::{FileName, Role, TargetsRole};
use crate::now::{self, Now};
use crate::saved::{Changes, Row, Saved};
use crate::verified::Verified;
use crate::verify_error::{Cause, VerifyError};
use sigstore_tuf::{Error as LibraryError, TrustedMetadataSet};

/// A file that the workflow needs next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Name of the file.
    pub name: FileName,
    /// Maximum size of the file, in bytes. The caller stops to read after it.
    pub max_bytes: u64,
}

/// A refresh in progress.
#[derive(Debug)]
pub struct Refresh {
    trusted: TrustedMetadataSet,
    saved: Saved,
    now: Now,
    phase: Phase,
    /// Text of the trusted timestamp.
    timestamp: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Roots { left: u32 },
    Timestamp,
    Snapshot,
    Targets,
    Done,
}

impl Refresh {
    /// Begins with the root with which the node was set up, and with what the store has. Stored roots that do not follow
    /// from this root are ignored: the node was set up with another repository.
    ///
    /// # Errors
    /// Returns an error if the root is not signed by its own keys.
    pub fn begin(bootstrap: &[u8], saved: Saved, now: Now) -> Result<Self, VerifyError> {
        let mut trusted = TrustedMetadataSet::from_root(bootstrap)
            .map_err(|error| VerifyError::Bootstrap { cause: Cause::of(error) })?;
        while let Some(root) = next_root(&trusted).and_then(|version| saved.get(&Row::Root(version))) {
            if trusted.update_root(root.as_bytes()).is_err() {
                break;
            }
        }
        let phase = Phase::Roots { left: MAX_NEW_ROOTS };
        Ok(Self { trusted, saved, now, phase, timestamp: String::new() })
    }

    /// Returns what the store has, without asking a mirror.
    ///
    /// # Errors
    /// Returns an error if the store is not complete, or what it has is known to have expired.
    pub fn offline(mut self) -> Result<Verified, VerifyError> {
        self.end_roots()?;
        self.trusted.check_timestamp_expired(self.passed()).map_err(VerifyError::expired)?;
        self.choose_snapshot();
        self.finish()
    }

    /// Returns the file that is needed next, or `None` if the refresh is complete.
    pub fn request(&self) -> Option<Request> {
        let max_bytes = match self.phase {
            Phase::Roots { .. } => MAX_ROOT_BYTES,
            Phase::Timestamp => MAX_TIMESTAMP_BYTES,
            Phase::Snapshot | Phase::Targets => MAX_LISTING_BYTES,
            Phase::Done => return None,
        };
        Some(Request { name: self.file(), max_bytes })
    }

    /// Takes the file that was requested, or `None` if the mirror does not have it. Returns the rows that the caller has
    /// to make durable, in one step, before it continues.
    ///
    /// # Errors
    /// Returns an error if the file is refused, is missing, or trusted metadata has expired. The refresh has then failed;
    /// what was trusted before stays trusted.
    pub fn supply(&mut self, content: Option<&[u8]>) -> Result<Changes, VerifyError> {
        let Some(request) = self.request() else { return Ok(Changes::new()) };
        match (self.phase, content) {
            (Phase::Roots { .. }, None) => self.end_roots().map(|()| Changes::new()),
            (_, None) => Err(VerifyError::Missing { file: request.name }),
            (_, Some(content)) => self.take(&request, text(&request, content)?),
        }
    }

    /// Returns the verified metadata.
    ///
    /// # Errors
    /// Returns an error if the refresh is not complete.
    pub fn finish(self) -> Result<Verified, VerifyError> {
        if self.phase != Phase::Done {
            return Err(VerifyError::Incomplete);
        }
        Ok(Verified::new(self.trusted, self.saved, self.now))
    }

    fn take(&mut self, request: &Request, content: &str) -> Result<Changes, VerifyError> {
        let taken = match self.phase {
            Phase::Roots { left } => return self.take_root(request, content, left),
            Phase::Timestamp => return self.take_timestamp(request, content),
            Phase::Snapshot => self.take_snapshot(content),
            Phase::Targets => self.take_targets(content),
            Phase::Done => Ok(Changes::new()),
        };
        taken.map_err(|error| VerifyError::refused(&request.name, error))
    }

    fn take_root(&mut self, request: &Request, content: &str, left: u32) -> Result<Changes, VerifyError> {
        let left = left.checked_sub(1).ok_or(VerifyError::TooManyRoots)?;
        let refused = |error| VerifyError::refused(&request.name, error);
        self.trusted.update_root(content.as_bytes()).map_err(refused)?;
        self.phase = Phase::Roots { left };
        Ok(vec![(Row::Root(self.trusted.root().version), content.to_owned())])
    }

    /// Ends the search for new roots. Only the last root must not have expired.
    fn end_roots(&mut self) -> Result<(), VerifyError> {
        self.trusted.check_root_expired(self.passed()).map_err(VerifyError::expired)?;
        self.recall();
        self.phase = Phase::Timestamp;
        Ok(())
    }

    /// Recalls the stored timestamp and snapshot as lower limits for the versions of new ones, also if they have expired.
    /// Those that the keys of the present root did not sign are forgotten: so a repository recovers after somebody with a
    /// stolen key has published the highest possible version.
    fn recall(&mut self) {
        let never_expired = jiff::Timestamp::MIN;
        if let (Some(timestamp), Some(snapshot)) =
            (self.saved.get(&Row::SnapshotTimestamp), self.saved.get(&Row::Snapshot))
            && self.trusted.update_timestamp(timestamp.as_bytes(), never_expired).is_ok()
        {
            self.timestamp.clone_from(timestamp);
            // A snapshot that is refused sets no limit; its timestamp still does.
            let _ = self.trusted.update_snapshot(snapshot.as_bytes(), never_expired);
        }
        if let Some(timestamp) = self.saved.get(&Row::Timestamp)
            && self.trusted.update_timestamp(timestamp.as_bytes(), never_expired).is_ok()
        {
            self.timestamp.clone_from(timestamp);
        }
    }

    fn take_timestamp(&mut self, request: &Request, content: &str) -> Result<Changes, VerifyError> {
        let changes = match self.trusted.update_timestamp(content.as_bytes(), self.passed()) {
            Ok(()) => {
                content.clone_into(&mut self.timestamp);
                vec![(Row::Timestamp, content.to_owned())]
            }
            // Nothing changed since the last refresh.
            Err(LibraryError::EqualVersion { .. }) => Changes::new(),
            Err(error) => return Err(VerifyError::refused(&request.name, error)),
        };
        self.trusted.check_timestamp_expired(self.passed()).map_err(VerifyError::expired)?;
        self.choose_snapshot();
        Ok(changes)
    }

    /// Continues with the trusted snapshot if the timestamp names it, or else requests another one.
    fn choose_snapshot(&mut self) {
        let named = self.snapshot_version();
        let is_trusted = self.trusted.snapshot().is_some_and(|snapshot| Some(snapshot.version) == named);
        if is_trusted && self.trusted.check_snapshot_expired(self.passed()).is_ok() {
            self.choose_targets();
        } else {
            self.phase = Phase::Snapshot;
        }
    }

    fn take_snapshot(&mut self, content: &str) -> Result<Changes, LibraryError> {
        self.trusted.update_snapshot(content.as_bytes(), self.passed())?;
        self.choose_targets();
        Ok(vec![(Row::Snapshot, content.to_owned()), (Row::SnapshotTimestamp, self.timestamp.clone())])
    }

    /// Continues with the stored file of targets if the snapshot names it, or else requests another one.
    fn choose_targets(&mut self) {
        let passed = self.passed();
        let stored = self.saved.get(&Row::Targets);
        let is_named =
            stored.is_some_and(|stored| self.trusted.update_targets(stored.as_bytes(), passed).is_ok());
        self.phase = if is_named { Phase::Done } else { Phase::Targets };
    }

    fn take_targets(&mut self, content: &str) -> Result<Changes, LibraryError> {
        self.trusted.update_targets(content.as_bytes(), self.passed())?;
        self.phase = Phase::Done;
        Ok(vec![(Row::Targets, content.to_owned())])
    }

    fn file(&self) -> FileName {
        let has_versions = self.trusted.root().consistent_snapshot;
        match self.phase {
            Phase::Roots { .. } => {
                FileName::versioned(&Role::Root, next_root(&self.trusted).unwrap_or(u64::MAX))
            }
            Phase::Timestamp => FileName::of(&Role::Timestamp),
            Phase::Snapshot if has_versions => {
                FileName::versioned(&Role::Snapshot, self.snapshot_version().unwrap_or(0))
            }
            Phase::Snapshot => FileName::of(&Role::Snapshot),
            Phase::Targets | Phase::Done => targets_file(&self.trusted, &TargetsRole::Top),
        }
    }

    fn snapshot_version(&self) -> Option<u64> {
        Some(self.trusted.timestamp()?.snapshot_meta()?.version)
    }

    fn passed(&self) -> jiff::Timestamp {
        now::to_timestamp(self.now.passed())
    }
}

fn next_root(trusted: &TrustedMetadataSet) -> Option<u64> {
    trusted.root().version.checked_add(1)
}

/// Returns the name of the file of a role that lists targets, in the version that the snapshot names.
pub(crate) fn targets_file(trusted: &TrustedMetadataSet, role: &TargetsRole) -> FileName {
    let named = trusted.snapshot().and_then(|snapshot| snapshot.meta.get(&role.key_in_snapshot()));
    let file = Role::Targets(role.clone());
    if trusted.root().consistent_snapshot {
        FileName::versioned(&file, named.map_or(0, |named| named.version))
    } else {
        FileName::of(&file)
    }
}

/// Checks the size and the encoding of what a mirror sent.
pub(crate) fn text<'a>(request: &Request, content: &'a [u8]) -> Result<&'a str, VerifyError> {
    if content.len() as u64 > request.max_bytes {
        return Err(VerifyError::TooLong { file: request.name.clone(), max_bytes: request.max_bytes });
    }
    std::str::from_utf8(content).map_err(|error| VerifyError::Refused {
        file: request.name.clone(),
        cause: Cause::Malformed(Box::new(error)),
    })
}
