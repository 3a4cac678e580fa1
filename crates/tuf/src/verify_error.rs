//! Reasons why metadata is refused.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::limits::{MAX_DELEGATION_DEPTH, MAX_NEW_ROOTS, MAX_ROLES_VISITED};
use crate::names::{FileName, NameError};
use crate::now;
use dcache::Time;
use std::error::Error;

/// Reason why metadata of a mirror, or that on the disk, is refused. The node keeps what it trusted before.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The root with which the node was set up is not valid.
    #[error(
        "the root file of the release repository with which this node was set up is not valid: {cause}; copy it again \
         from the publisher"
    )]
    Bootstrap {
        /// Reason why it is refused.
        cause: Cause,
    },
    /// A file is refused.
    #[error(
        "{file} of the release repository is refused: {cause}; ask another mirror, and tell the publisher if all send the same"
    )]
    Refused {
        /// Name of the file.
        file: FileName,
        /// Reason why it is refused.
        cause: Cause,
    },
    /// A mirror does not have a file.
    #[error(
        "the mirror does not have {file} of the release repository; ask another one, or publish the repository again"
    )]
    Missing {
        /// Name of the file.
        file: FileName,
    },
    /// A mirror sent more than it was asked for.
    #[error("{file} of the release repository has more than {max_bytes} bytes; ask another mirror")]
    TooLong {
        /// Name of the file.
        file: FileName,
        /// Maximum size of the file, in bytes.
        max_bytes: u64,
    },
    /// Trusted metadata has expired.
    #[error("the {role} of the release repository expired at {}; check the clock, ask another mirror, and remind the publisher \
         to renew it if all send the same", at.date())]
    Expired {
        /// Name of the role.
        role: String,
        /// Time until which the metadata was valid.
        at: Time,
    },
    /// The root was replaced more often than one refresh follows.
    #[error(
        "the release repository has more than {MAX_NEW_ROOTS} new roots; refresh again to continue after them"
    )]
    TooManyRoots,
    /// The store has no complete metadata, and no mirror was asked.
    #[error(
        "this node has no complete metadata of the release repository yet; refresh when a mirror can be reached"
    )]
    Incomplete,
    /// A search read too many files of targets.
    #[error(
        "{path} was not found in {MAX_ROLES_VISITED} files of targets, {MAX_DELEGATION_DEPTH} deep; \
         the publisher has to delegate it more directly"
    )]
    TooManyRoles {
        /// Path of the target.
        path: String,
    },
    /// A delegation names a role that cannot exist.
    #[error("the release repository delegates to a role with a wrong name: {source}")]
    Role {
        /// Reason why the name is wrong.
        source: NameError,
    },
    /// The entry of a target is wrong.
    #[error("the entry of {path} in the release repository is wrong: {cause}; tell the publisher")]
    Target {
        /// Path of the target.
        path: String,
        /// Reason why it is refused.
        cause: TargetFault,
    },
}

/// Reason why a single file is refused.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// Too few of the keys of the role signed the file.
    #[error("{found} of the {needed} signatures that the role {role} needs are valid")]
    Signatures {
        /// Name of the role.
        role: String,
        /// Number of valid signatures by different keys of the role.
        found: usize,
        /// Number of signatures that the role needs.
        needed: usize,
    },
    /// The file is older than what is trusted.
    #[error("version {offered} of {role} is older than the trusted version {trusted}")]
    Older {
        /// Name of the role.
        role: String,
        /// Version of the role that is trusted.
        trusted: u64,
        /// Version that the file has or names.
        offered: u64,
    },
    /// A root does not follow the trusted one.
    #[error("root {offered} does not follow the trusted root {trusted}")]
    RootOrder {
        /// Version of the trusted root.
        trusted: u64,
        /// Version of the offered root.
        offered: u64,
    },
    /// The file is not the one that a trusted file names.
    #[error("it is not the file that the trusted metadata names ({0})")]
    Mismatch(String),
    /// The file is not metadata of its role, or names keys that cannot be used.
    #[error("it is malformed: {0}")]
    Malformed(#[source] Box<dyn Error + Send + Sync>),
    /// The file expired.
    #[error("it expired at {}", .0.date())]
    Expired(Time),
}

/// Reason why the entry of a target is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetFault {
    /// The entry has no hash that this program can compute.
    #[error("it has neither a SHA-256 nor a SHA-512 hash")]
    NoHash,
    /// A hash is not hexadecimal, or has a wrong length.
    #[error("its hash {0:?} is malformed")]
    Hash(String),
    /// The content identifier is malformed.
    #[error("its content identifier {0:?} is malformed")]
    Cid(String),
}

impl Cause {
    /// Translates an error of the library, whose interface changes often.
    pub(crate) fn of(error: sigstore_tuf::Error) -> Self {
        use sigstore_tuf::Error as Theirs;
        match error {
            Theirs::ThresholdNotMet { role, found, threshold } => {
                Self::Signatures { role, found, needed: threshold }
            }
            Theirs::Rollback { role, trusted, new } => Self::Older { role, trusted, offered: new },
            Theirs::BadRootVersion { trusted, new } => Self::RootOrder { trusted, offered: new },
            Theirs::IntegrityMismatch(reason) => Self::Mismatch(reason),
            Theirs::Expired { expires, .. } => Self::Expired(now::from_timestamp(expires)),
            other => Self::Malformed(Box::new(other)),
        }
    }
}

impl VerifyError {
    /// Returns the error for a file that is refused.
    pub(crate) fn refused(file: &FileName, error: sigstore_tuf::Error) -> Self {
        Self::Refused { file: file.clone(), cause: Cause::of(error) }
    }

    /// Returns the error for trusted metadata that has expired.
    pub(crate) fn expired(error: sigstore_tuf::Error) -> Self {
        match error {
            sigstore_tuf::Error::Expired { role, expires } => {
                Self::Expired { role, at: now::from_timestamp(expires) }
            }
            _ => Self::Incomplete,
        }
    }
}
