//! Reasons why a repository cannot be edited.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::repository::Missing;
use crate::canonical::NotCanonical;
use crate::limits::MAX_KEYS;
use crate::names::{FileName, Role, TargetPath, TargetsRole};
use crate::verify_error::VerifyError;

/// Reason why a repository cannot be edited, signed or published. It is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The keys of a role are wrong.
    #[error(
        "a role needs 1 to {MAX_KEYS} different keys and a threshold between 1 and their number, not {keys} keys and {threshold}; name other ones"
    )]
    Keys {
        /// Number of different keys.
        keys: usize,
        /// Number of keys that must sign.
        threshold: usize,
    },
    /// A text is not a key.
    #[error("{0:?} is not an Ed25519 key: write its 32 bytes as 64 hexadecimal digits")]
    NotAKey(String),
    /// A key of the repository is of another kind.
    #[error(
        "the key {0} is not an Ed25519 key, and only those can be edited here; replace it with the program that wrote the repository"
    )]
    OtherKey(String),
    /// A role does not exist.
    #[error("the repository has no role {0}; delegate to it first")]
    NoRole(TargetsRole),
    /// A role exists already.
    #[error("the repository has a role {0} already; choose another name, or change its keys")]
    RoleExists(TargetsRole),
    /// A target does not exist.
    #[error("the role {role} lists no target {path}; list the targets to find its path")]
    NoTarget {
        /// The role concerned.
        role: TargetsRole,
        /// Path of the target.
        path: TargetPath,
    },
    /// A delegated role may not list a path.
    #[error(
        "the path {path} is not delegated to the role {role}, so no client would find it there; delegate it first"
    )]
    NotDelegated {
        /// The role concerned.
        role: TargetsRole,
        /// Path of the target.
        path: TargetPath,
    },
    /// The pattern of a delegation is malformed.
    #[error(
        "the patterns {0:?} are malformed: write paths in which `*` and `?` stand for a part of one name"
    )]
    Patterns(Vec<String>),
    /// Signatures are missing.
    #[error("signatures are missing: {}; pass the drafts to the holders of these keys", list(.0))]
    Unsigned(Vec<Missing>),
    /// The snapshot or the timestamp is older than what it describes.
    #[error("the {0} does not describe the present files; make a new one and sign it")]
    Outdated(Role),
    /// A file is larger than clients accept.
    #[error(
        "{file} has {bytes} bytes, and clients accept {max_bytes}; delegate some of its targets to other roles"
    )]
    TooLarge {
        /// Name of the file.
        file: FileName,
        /// Size of the file, in bytes.
        bytes: u64,
        /// Maximum size of the file, in bytes.
        max_bytes: u64,
    },
    /// A file is not metadata of its role.
    #[error("the {role} of the repository cannot be read: {source}; restore it from a copy")]
    Malformed {
        /// The role concerned.
        role: Role,
        /// Error of the JSON parser.
        source: serde_json::Error,
    },
    /// A file that the repository names is missing.
    #[error("the repository names {0}, which is not there; restore it from a mirror")]
    Absent(FileName),
    /// The repository does not have consistent snapshots.
    #[error(
        "the repository has no consistent snapshots, so mirrors could copy a half of a change; \
         make a new root that demands them, with the program that wrote it"
    )]
    Inconsistent,
    /// A value has no canonical form.
    #[error(transparent)]
    NotCanonical(#[from] NotCanonical),
    /// A client would refuse the repository.
    #[error("a client would refuse the repository: {0}")]
    Refused(#[from] VerifyError),
}

fn list(missing: &[Missing]) -> String {
    let one = |missing: &Missing| format!("{} has {} of {}", missing.role, missing.have, missing.need);
    missing.iter().map(one).collect::<Vec<_>>().join(", ")
}
