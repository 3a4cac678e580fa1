//! Errors for files of the shared folder that are not added.

use ipfs::node::PinError;
use ipfs::unixfs::AddError;

/// Reason why one file was not added.
#[derive(Debug, thiserror::Error)]
pub(super) enum TakeError {
    /// The file changed while it was read. It is added later, when it has stopped changing.
    #[error("it was changed while it was read")]
    Changed,
    /// The content differs from the shared content, although size and time are the same.
    #[error(
        "its bytes changed although its time and size did not, so it is considered damaged and not shared; to share it \
         as it is now, touch it"
    )]
    Damaged,
    /// The file holds the secret key of this node.
    #[error("it holds a secret key, so it is never shared; keep it elsewhere")]
    Key,
    /// The file cannot be read, or its blocks cannot be stored.
    #[error(transparent)]
    Add(#[from] AddError),
    /// The file cannot be pinned.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The file cannot be read to describe its recording.
    #[error("it cannot be read: {0}")]
    Describe(#[source] std::io::Error),
    /// The info file of the file cannot be made.
    #[error(transparent)]
    Info(#[from] crate::InfoError),
}

impl TakeError {
    /// Returns whether the store has no space for the file.
    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::Add(AddError::Store(error)) | Self::Pin(PinError::Store(error)) => error.is_full(),
            _ => false,
        }
    }
}
