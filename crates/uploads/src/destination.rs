//! Destinations of uploads: a folder or S3-compatible storage.

use crate::folder::Folder;
use crate::object::Object;
use crate::plan::{Part, Seen};
use crate::s3::S3;
use crate::trouble::Trouble;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;

/// The actions of the plan in a destination. Each may be dropped or fail at any point; the plan then finds out what was done.
pub trait Destination: Send + Sync {
    /// Returns the name of the destination without secrets, such as `s3://bucket/prefix`. Parts that were sent to a
    /// destination of another name are of no use.
    fn name(&self) -> &str;

    /// Returns what the destination has under a key.
    fn look(&self, key: &str) -> impl Future<Output = Result<Option<Seen>, Trouble>> + Send;

    /// Stores a whole object at once.
    fn put(&self, object: &Object, content: Bytes) -> impl Future<Output = Result<Part, Trouble>> + Send;

    /// Creates a multipart upload and returns its identifier.
    fn create(&self, object: &Object) -> impl Future<Output = Result<String, Trouble>> + Send;

    /// Stores a part, counted from 0.
    fn put_part(
        &self,
        object: &Object,
        id: &str,
        number: u32,
        content: Bytes,
    ) -> impl Future<Output = Result<Part, Trouble>> + Send;

    /// Makes the object of its parts.
    fn complete(
        &self,
        object: &Object,
        id: &str,
        parts: &BTreeMap<u32, Part>,
    ) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Aborts a multipart upload.
    fn abort(&self, object: &Object, id: &str) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Aborts all multipart uploads of the object's key.
    fn sweep(&self, object: &Object) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Reads a range of a stored object, with at most [`crate::MAX_PART_BYTES`].
    fn read(&self, key: &str, range: Range<u64>) -> impl Future<Output = Result<Bytes, Trouble>> + Send;
}

/// A destination of either kind.
#[derive(Debug)]
pub enum Storage {
    /// A folder on a disk of this host.
    Folder(Folder),
    /// A bucket of an S3-compatible storage.
    S3(Box<S3>),
}

macro_rules! either {
    ($self:expr, $storage:ident => $call:expr) => {
        match $self {
            Storage::Folder($storage) => $call,
            Storage::S3($storage) => $call,
        }
    };
}

impl Destination for Storage {
    fn name(&self) -> &str {
        either!(self, storage => storage.name())
    }

    async fn look(&self, key: &str) -> Result<Option<Seen>, Trouble> {
        either!(self, storage => storage.look(key).await)
    }

    async fn put(&self, object: &Object, content: Bytes) -> Result<Part, Trouble> {
        either!(self, storage => storage.put(object, content).await)
    }

    async fn create(&self, object: &Object) -> Result<String, Trouble> {
        either!(self, storage => storage.create(object).await)
    }

    async fn put_part(
        &self,
        object: &Object,
        id: &str,
        number: u32,
        content: Bytes,
    ) -> Result<Part, Trouble> {
        either!(self, storage => storage.put_part(object, id, number, content).await)
    }

    async fn complete(&self, object: &Object, id: &str, parts: &BTreeMap<u32, Part>) -> Result<(), Trouble> {
        either!(self, storage => storage.complete(object, id, parts).await)
    }

    async fn abort(&self, object: &Object, id: &str) -> Result<(), Trouble> {
        either!(self, storage => storage.abort(object, id).await)
    }

    async fn sweep(&self, object: &Object) -> Result<(), Trouble> {
        either!(self, storage => storage.sweep(object).await)
    }

    async fn read(&self, key: &str, range: Range<u64>) -> Result<Bytes, Trouble> {
        either!(self, storage => storage.read(key, range).await)
    }
}
