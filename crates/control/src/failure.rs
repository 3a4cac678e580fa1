//! Why a request failed.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a request failed, for the program and for the person who asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("{message}")]
pub struct Failure {
    /// Kind of the reason.
    pub kind: FailureKind,
    /// The reason as a sentence.
    pub message: String,
}

/// Kinds of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The signer holds no role that would make the statement count.
    NotAllowed,
    /// The daemon does not accept it: expired, too long, over a quota, or not signed by the claimed signer. Of several
    /// records those that are acceptable are published.
    Refused,
    /// The request makes no sense, or makes none in the present state.
    Wrong,
    /// The work was tried and did not succeed.
    Failed,
    /// The disk could not be read or written.
    Disk,
    /// The daemon is stopping or restarting a part of itself.
    Stopped,
}

impl Failure {
    /// Makes a failure of this kind with this message.
    pub fn new(kind: FailureKind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string() }
    }
}
