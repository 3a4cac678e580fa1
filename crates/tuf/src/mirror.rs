//! Where metadata files come from.

use crate::names::FileName;
use std::error::Error;
use std::future::Future;
use std::path::PathBuf;
use tokio::io::AsyncReadExt as _;

/// A copy of a release repository. Nothing that it sends is trusted.
pub trait Mirror: Sync {
    /// Fetches a metadata file. Returns `None` if the mirror does not have it. Stops to read after `max_bytes`, and then
    /// returns an error or what was read; the client refuses files that are longer.
    fn fetch(
        &self,
        name: &FileName,
        max_bytes: u64,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, MirrorError>> + Send;
}

/// Reason why a mirror cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct MirrorError(#[from] pub Box<dyn Error + Send + Sync>);

/// A mirror in a folder, such as on a USB stick.
#[derive(Clone, Debug)]
pub struct FolderMirror(pub PathBuf);

impl Mirror for FolderMirror {
    async fn fetch(&self, name: &FileName, max_bytes: u64) -> Result<Option<Vec<u8>>, MirrorError> {
        let failed = |error: std::io::Error| MirrorError(Box::new(error));
        let file = match tokio::fs::File::open(self.0.join(name.as_ref())).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let mut content = Vec::new();
        // One byte more shows that the file is too long.
        file.take(max_bytes + 1).read_to_end(&mut content).await.map_err(failed)?;
        Ok(Some(content))
    }
}
