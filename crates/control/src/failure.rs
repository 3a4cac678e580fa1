//! The failure of a request.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The reason why a request failed: a kind for programs, and a message for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("{message}")]
pub struct Failure {
    /// Kind of the reason.
    pub kind: FailureKind,
    /// Reason as a message for people.
    pub message: String,
}

/// The kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The signer has no role that the policy of the swarm requires for the statement. Other peers would ignore it.
    NotAllowed,
    /// The daemon refuses a record: it is expired, too long, over a quota, or not signed by the claimed signer. If a request
    /// has several records, the acceptable ones are published.
    Refused,
    /// The request is malformed, or does not apply to the present state.
    Wrong,
    /// The daemon attempted the work, but it did not succeed.
    Failed,
    /// The disk could not be read or written.
    Disk,
    /// The daemon is stopping or restarting a part of itself.
    Stopped,
}

impl Failure {
    /// Creates a failure of this kind with this message.
    pub fn new(kind: FailureKind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string() }
    }
}
