//! Why a file of the shared folder is not taken into the swarm.

use ipfs::node::PinError;
use ipfs::unixfs::AddError;

/// Why one file was not added.
#[derive(Debug, thiserror::Error)]
pub(super) enum TakeError {
    /// It is looked at again as soon as it has settled.
    #[error("it was changed meanwhile")]
    Changed,
    /// Its bytes are not those that were shared.
    #[error(
        "its bytes changed although its time and size did not, so it is taken for damaged and not shared; to share it as \
         it is now, touch it"
    )]
    Damaged,
    /// It is a key.
    #[error("it holds a secret key, so it is never shared; keep it elsewhere")]
    Key,
    /// It cannot be read or stored.
    #[error(transparent)]
    Add(#[from] AddError),
    /// It cannot be pinned.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// It cannot be described.
    #[error(transparent)]
    Info(#[from] crate::InfoError),
}

impl TakeError {
    /// Returns whether there is no room for the file.
    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::Add(AddError::Store(error)) | Self::Pin(PinError::Store(error)) => error.is_full(),
            _ => false,
        }
    }
}
