//! The source of images and blobs.

use crate::name::{Digest, Repository, Tag};
use bytes::Bytes;
use std::time::Duration;
use thiserror::Error;

/// A source cannot give something.
#[derive(Clone, Debug, Error)]
pub enum SourceError {
    /// It does not have it.
    #[error("the swarm has no such content")]
    Missing,
    /// It gave nothing for too long.
    #[error("no bytes arrived for {} s", .limit.as_secs())]
    Stalled {
        /// The limit on the time without bytes.
        limit: Duration,
    },
    /// Something else is wrong.
    #[error("{0}")]
    Failed(String),
}

/// Knows which images there are, and gives their bytes.
pub trait Source: Send + Sync + 'static {
    /// A blob or manifest that is being read.
    type Reader: Reader;

    /// Returns the digest of the manifest that a tag names.
    fn resolve(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> impl Future<Output = Result<Digest, SourceError>> + Send;

    /// Returns the size of a blob or manifest in bytes, if it can be had now: from this robot or from a reachable one.
    fn size(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> impl Future<Output = Result<u64, SourceError>> + Send;

    /// Opens a blob or manifest at an offset.
    fn open(
        &self,
        repository: &Repository,
        digest: &Digest,
        offset: u64,
    ) -> impl Future<Output = Result<Self::Reader, SourceError>> + Send;
}

/// A blob or manifest that is being read.
pub trait Reader: Send + 'static {
    /// Returns the next bytes, which must not be empty, or nothing at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, SourceError>> + Send;
}
